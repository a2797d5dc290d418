"""Firmware and twins in which every layer of the model can be watched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tinyedge.errors import ModelError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import Compiler

_FLAG = "-DTE_OBSERVED"
_RECORD_BYTES = 16


@dataclass(frozen=True)
class ObservedLayer:
    """A call of a kernel, whose output the device can show.

    Attributes:
        name: of the operator.
        operator: its class.
        kernel: the C function.
        tensor: that it writes.
        shape: of that tensor.
        size: bytes of that tensor.
    """

    name: str
    operator: str
    kernel: str
    tensor: str
    shape: tuple[int, ...]
    size: int


def observed_layers(model: ConvertedModel) -> list[ObservedLayer]:
    """The layers that are computed, in their order; views of others' outputs are not among them.

    Raises:
        ModelError: there is none.
    """
    layers = []
    for record, operator in zip(model.manifest["layers"], model.graph.operators, strict=True):
        if record["kernel"]:
            tensor = model.graph.tensors[operator.output]
            layers.append(
                ObservedLayer(
                    name=record["name"],
                    operator=record["kind"],
                    kernel=record["kernel"],
                    tensor=tensor.name,
                    shape=tensor.shape,
                    size=tensor.size,
                )
            )
    if not layers:
        raise ModelError(f"{model.folder}: the model has no layer that is computed")
    return layers


def observing(compiler: Compiler) -> Compiler:
    """A compiler of code that is watched."""
    return replace(compiler, command=(*compiler.command, _FLAG))


def observer_files() -> dict[str, str]:
    """Sources of the link's part, by name."""
    folder = data_folder("firmware_templates") / "observe"
    names = ("te_observe.c", "te_observe.h")
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


def observer_ram(layers: list[ObservedLayer]) -> int:
    """Bytes of RAM that the link's part takes."""
    return _RECORD_BYTES * len(layers)


def twin_observer() -> Path:
    """The twin's part, a C file."""
    return data_folder("firmware_templates") / "observe" / "te_observe_twin.c"
