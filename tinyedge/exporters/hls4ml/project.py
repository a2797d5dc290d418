"""An hls4ml project: the folder that the vendor's tools take, and what is to be known of it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

import tinyedge
from tinyedge.errors import ModelError
from tinyedge.exporters.hls4ml.environment import XnorPrecisionType, hls4ml, silence
from tinyedge.exporters.hls4ml.faults import read_layers
from tinyedge.exporters.hls4ml.resources import LayerResources, estimate_resources
from tinyedge.exporters.hls4ml.rewrite import Rewritten, rewrite
from tinyedge.files import folder_aside
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.importers.result import ImportResult
from tinyedge.keras.load import load_keras_model, logits_model, quiet
from tinyedge.names import Arithmetic, Backend, IOType
from tinyedge.records.parts import read_record
from tinyedge.schema import told
from tinyedge.templates import render_template

TOP = "model"
"""Name of hls4ml's project and of the top function."""
RECORD_FILE = "tinyedge.json"
_VERSION = 1
_MANY_COPIES = 30_000
"""Statements of generated C++; 150,000 took g++ over ten minutes."""
_UNUSED_PRECISION = "fixed<32,16>"
"""hls4ml's default; every layer has types of its own."""
_BACKEND_NAMES = {"vitis": "Vitis", "vivado": "Vivado"}


@dataclass(frozen=True)
class Constants:
    """Constants of a layer.

    Attributes:
        file: ``firmware/weights/FILE.h`` is what the vendor's tools read, ``FILE.txt`` what a
            simulation reads.
        shape: in which they lie there.
        binary: whether 0 stands for -1.
    """

    file: str
    shape: tuple[int, ...]
    binary: bool


@dataclass(frozen=True)
class LayerRecord:
    """A layer of the project.

    Attributes:
        name: in the project, of the layer's function and of its traced output.
        kind: hls4ml's.
        shape: of the output.
        types: fixed-point types by hls4ml's names: result, accum, weight, scale, bias.
        unit: real value of a one: the step of an int8 grid where that is no power of two, else 1.
        value_of: the layer of the model whose value the output is, or None.
        codes_of: the layer of the model whose integer weights it multiplies with, or None.
        weights: its constants by hls4ml's names: weight, scale, bias.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    types: dict[str, str]
    unit: float
    value_of: str | None
    codes_of: str | None
    weights: dict[str, Constants]


@dataclass(frozen=True)
class Settings:
    """The target of a project.

    Attributes:
        backend, io_type, arithmetic, reuse_factor: see ``write_project``.
        clock_period_ns: of the FPGA.
        part: its number.
    """

    backend: Backend
    io_type: IOType
    arithmetic: Arithmetic
    reuse_factor: Annotated[int, Field(ge=1)]
    clock_period_ns: Annotated[float, Field(gt=0)]
    part: str


@dataclass(frozen=True)
class Project:
    """An hls4ml project that ``write_project`` wrote.

    Attributes:
        folder: where it lies.
        model: the file name of the model and the hash of its integer graph.
        settings: what it was written for.
        input_shape, output_shape: without the batch.
        layers: in order.
        resources: estimates; see ``estimate_resources``.
        notes: of the import, and of what hls4ml does otherwise.
        versions: of tinyedge and hls4ml.
    """

    folder: Path
    model: dict[str, str]
    settings: Settings
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    layers: tuple[LayerRecord, ...]
    resources: tuple[LayerResources, ...]
    notes: tuple[str, ...]
    versions: dict[str, str]

    @property
    def record(self) -> dict[str, Any]:
        """The contents of ``tinyedge.json``."""
        return {"version": _VERSION, **{k: v for k, v in asdict(self).items() if k != "folder"}}


def write_project(
    path: Path,
    imported: ImportResult,
    folder: Path,
    *,
    backend: Backend = "vitis",
    io_type: IOType = "parallel",
    arithmetic: Arithmetic = "exact",
    reuse_factor: int = 1,
    part: str | None = None,
    clock_period: float = 5.0,
) -> Project:
    """Writes an hls4ml project for a QKeras model; all of it, or nothing.

    Args:
        path: the model file.
        imported: what ``import_model`` made of it, whose grids set the precision.
        folder: made if needed; other files in it stay.
        backend: whose tools the project is for.
        io_type: whole tensors in parallel, or one pixel after the other.
        arithmetic: see ``rewrite``.
        reuse_factor: how often a multiplier is used in one inference of a layer.
        part: FPGA part number; None takes hls4ml's default.
        clock_period: in ns.

    Raises:
        ModelError: hls4ml cannot do a layer, which is named.
        MissingDependencyError: hls4ml is not installed.
    """
    with quiet():
        model = logits_model(load_keras_model(path))
        rewritten = rewrite(
            model, imported.graph, imported.origins, arithmetic, stream=io_type == "stream"
        )
    settings = Settings(backend, io_type, arithmetic, reuse_factor, clock_period, part or "")
    with folder_aside(folder) as aside:
        with silence():
            graph = _model_graph(rewritten, aside, settings)
            graph.write()
        project = Project(
            folder,
            {"file": path.name, "hash": imported.graph.hash},
            replace(settings, part=graph.config.config["Part"]),
            tuple(imported.graph.input_tensor.shape),
            tuple(imported.graph.output_tensor.shape),
            tuple(_layer_records(graph, rewritten)),
            tuple(estimate_resources(imported.graph)),
            (*imported.notes, *_size_notes(imported.graph, io_type)),
            {"tinyedge": tinyedge.__version__, "hls4ml": str(hls4ml.__version__)},
        )
        _clean(aside, folder)
        (aside / RECORD_FILE).write_text(json.dumps(project.record, indent=1) + "\n")
        readme = render_template("hls4ml/README.md.j2", {"project": project})
        (aside / "README.md").write_text(readme)
    return project


def _size_notes(graph: Graph, io_type: IOType) -> list[str]:
    """A warning where parallel I/O makes code that no compiler is quick with."""
    copied = sum(
        graph.macs_of(operator) // len(operator.weights.codes)
        for operator in graph.operators
        if isinstance(operator, ops.Conv2D)
    )
    if io_type == "stream" or copied <= _MANY_COPIES:
        return []
    note = (
        f"parallel I/O copies {copied:,} values of convolutions' windows one by one, which takes "
        "long to compile; --io stream does not"
    )
    return [note]


def _model_graph(rewritten: Rewritten, folder: Path, settings: Settings) -> Any:
    """hls4ml's graph of a rewritten model; raises ModelError where it refuses one."""
    model = rewritten.model
    config = hls4ml.utils.config.create_config(
        output_dir=str(folder),
        project_name=TOP,
        backend=_BACKEND_NAMES[settings.backend],
        io_type=f"io_{settings.io_type}",
        part=settings.part or None,
        clock_period=settings.clock_period_ns,
    )
    reuse = {"ReuseFactor": settings.reuse_factor}
    try:
        layers, inputs, outputs = read_layers(model)
        config["HLSConfig"] = {
            "Model": {
                "Precision": _UNUSED_PRECISION,
                "Strategy": "Latency" if settings.reuse_factor == 1 else "Resource",
                **reuse,
            },
            "LayerName": {
                layer["name"]: {
                    "Precision": rewritten.precision.get(layer["name"], {"result": "auto"}),
                    "Trace": True,
                    **reuse,
                }
                for layer in layers
            },
        }
        graph = hls4ml.model.graph.ModelGraph.from_layer_list(config, layers, inputs, outputs)
    except Exception as error:  # hls4ml raises plain exceptions
        raise ModelError(f"hls4ml refuses the model: {error}") from error
    graph.config.trace_output = True  # so that a simulation can show every layer
    return graph


def _layer_records(graph: Any, rewritten: Rewritten) -> list[LayerRecord]:
    origins = {name: origin for origin, name in rewritten.names.items()}
    return [
        LayerRecord(
            name=layer.name,
            kind=layer.class_name,
            shape=tuple(int(size) for size in layer.get_output_variable().shape),
            types={
                name.removesuffix("_t"): _type_name(held.precision)
                for name, held in layer.types.items()
                if name not in ("table_t", "index_t")
            },
            unit=rewritten.units.get(layer.name, 1.0),
            value_of=origins.get(layer.name),
            codes_of=rewritten.products.get(layer.name),
            weights={
                name: Constants(
                    held.name,
                    tuple(int(size) for size in held.data.shape),
                    name == "weight" and isinstance(held.type.precision, XnorPrecisionType),
                )
                for name, held in layer.weights.items()
            },
        )
        for layer in graph.get_layers()
    ]


def _type_name(precision: Any) -> str:
    """A type as hls4ml writes it, without the modes that are the default anyway."""
    return re.sub(r",TRN,WRAP,0>|,0>", ">", str(precision))


def _clean(folder: Path, final: Path) -> None:
    """Puts the final folder's name into a project that was written aside."""
    config = folder / "hls4ml_config.yml"
    config.write_text(config.read_text().replace(str(folder), str(final)))
    (folder / "build_lib.sh").chmod(0o755)


def read_project(folder: Path) -> Project:
    """Reads a project's record.

    Raises:
        ModelError: the folder is none that ``write_project`` wrote, or its record is of another
            version or lacks a value, or has one of another kind.
        DataError: the record is no JSON, or beyond the limits of every record.
    """
    hint = "write it with 'tinyedge convert MODEL --to hls4ml -o DIR'"
    path = folder / RECORD_FILE
    if not path.is_file():
        raise ModelError(f"{folder}: not an hls4ml project of tinyedge", hint=hint)
    record = read_record(path, hint)
    if record.get("version") != _VERSION:
        raise ModelError(f"{path}: of another version of tinyedge", hint=hint)
    try:
        # JSON has lists where a project has tuples: strict, as values of JSON.
        text = json.dumps({**record, "folder": str(folder)})
        return TypeAdapter(Project).validate_json(text, strict=True)
    except ValidationError as error:
        raise ModelError(f"{path}: damaged: {told(error, {})}", hint=hint) from error
