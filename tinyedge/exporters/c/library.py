"""From an integer graph to ``<name>.c`` and ``<name>.h``, a model to embed: docs/embedding.md."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.export import c_identifiers, export_c
from tinyedge.exporters.c.kernels import Array, CodeOptions
from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import ALIGNMENT
from tinyedge.graph.tensors import Tensor
from tinyedge.templates import render_template

API_VERSION = 1
"""Version of the functions that ``<name>.h`` declares; docs/embedding.md says when it rises."""

_LAYOUTS = {
    "int8_t": "i1",
    "uint8_t": "u1",
    "int16_t": "<i2",
    "uint16_t": "<u2",
    "int32_t": "<i4",
    "uint32_t": "<u4",
    "te_resize_cell": "<u2,<u2,<i2",
}
"""How the elements of constant arrays lie in memory, none with padding."""


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        direction: ``input`` or ``output``.
        name: of the structs' member and of the functions.
        tensor: its shape and quantization.
        offset: in the arena, in bytes.
    """

    direction: str
    name: str
    tensor: Tensor
    offset: int

    @property
    def macro(self) -> str:
        """The ends of its constants' names, behind the model's."""
        return self.name.upper()

    @property
    def scale(self) -> str:
        """A float literal with all digits of the scale."""
        text = f"{self.tensor.quantization.scale:.9g}"
        return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


@dataclass(frozen=True)
class CLibrary:
    """A model as a C library, the runtime not included.

    Attributes:
        files: file name to content.
        runtime_sources: the runtime's ``.c`` files that it calls.
        context: what its templates were given.
    """

    files: dict[str, str]
    runtime_sources: tuple[str, ...]
    context: dict[str, Any]


def export_library(
    graph: Graph,
    options: CodeOptions,
    name: str,
    runtime_id: str,
    labels: tuple[str, ...] = (),
) -> CLibrary:
    """Generates the library's code. The same arguments give the same text.

    Args:
        graph: the graph.
        options: what the code is made for.
        name: what its functions and files are called by, a C identifier.
        runtime_id: eight hexadecimal digits, which ``te_api.h`` has to have, too.
        labels: names of the classes; none where they are not known.
    """
    exported = export_c(graph, options)
    code = exported.context
    # Weights, biases and tables: a layer's struct holds addresses, which only a linker knows.
    in_flash = {
        f"{layer.identifier}_{array.name}": constant_bytes(array)
        for layer in code["layers"]
        for array in layer.kernel.arrays
    }
    in_ram = {}  # where flash is apart: kernels read these as they read activations
    fixed = graph.constants | {name: state.initial for name, state in graph.states.items()}
    for tensor, values in fixed.items():
        if tensor in code["constant_names"]:  # other states begin with one value throughout
            in_ram[code["constant_names"][tensor]] = values.tobytes()
    crc = 0
    verified = [*in_flash.values(), *in_ram.values()]
    for content in verified:
        crc = zlib.crc32(content, crc)
    headers = {*code["headers"], "te_instance.h", "te_memory.h"} | (
        {"te_crc32.h"} if in_ram else set()
    )
    context: dict[str, Any] = {
        **code,
        "state_size": _aligned(exported.plan.state_size),
        "core": options.core,
        "everywhere": options.features.flash_apart,
        "name": name,
        "macro": name.upper(),
        "api_version": API_VERSION,
        "runtime_id": runtime_id,
        "alignment": ALIGNMENT,
        "arena_size": _aligned(exported.plan.size),
        "inputs": _ports("input", graph.inputs, exported.plan.offsets[graph.input]),
        "outputs": _ports("output", graph.results, exported.plan.offsets[graph.output]),
        # Several lie one behind the other, and have a name together.
        "input_size": graph.input_tensor.size,
        "input_offset": exported.plan.offsets[graph.input],
        "output_size": graph.output_tensor.size,
        "output_offset": exported.plan.offsets[graph.output],
        "labels": [c_string(label) for label in labels],
        "headers": sorted(headers),
        "verified": list(in_flash),
        "verified_in_ram": list(in_ram),
        "crc": crc,
        "stack": None,  # whoever has counted it renders the header again
        "constant_bytes": sum(map(len, verified)),
        "weight_bytes": exported.weight_bytes,
        "macs": sum(layer.macs for layer in exported.layers),
    }
    return CLibrary(
        files={
            f"{name}.{kind}": render_template(f"library/model.{kind}.j2", context)
            for kind in ("c", "h")
        },
        runtime_sources=(*exported.runtime_sources, "te_crc32.c", "te_instance.c"),
        context=context,
    )


def _ports(direction: str, tensors: Sequence[Tensor], offset: int) -> list[Port]:
    """The model's inputs, or outputs, of which the first lies at an offset in the arena."""
    if len(tensors) == 1:
        return [Port(direction, direction, tensors[0], offset)]
    names: list[str] = []
    for tensor in tensors:  # one tensor may be two outputs
        name, again = tensor.name, 1
        while name in names:
            again += 1
            name = f"{tensor.name} {again}"
        names.append(name)
    identifiers = c_identifiers(names)
    ports = []
    for name, tensor in zip(names, tensors, strict=True):
        ports.append(Port(direction, f"{direction}_{identifiers[name]}", tensor, offset))
        offset += tensor.size
    return ports


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def constant_bytes(array: Array) -> bytes:
    """A constant array as it lies in a little-endian memory."""
    layout = np.dtype(_LAYOUTS[array.ctype])
    values: NDArray[np.integer] = array.values
    if layout.names is None:
        return values.astype(layout).tobytes()
    records = np.empty(len(values), layout)
    for column, member in enumerate(layout.names):
        records[member] = values[:, column]
    return records.tobytes()


def c_string(text: str) -> str:
    """A C literal of a text's UTF-8."""
    encoded = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{encoded}"'
