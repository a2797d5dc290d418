"""``tinyedge check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import (
    PATH,
    conversion_options,
    data_folder_option,
    data_option,
    output_options,
)
from tinyedge.cli.output import Output
from tinyedge.names import DATASETS, WITNESSES

if TYPE_CHECKING:
    from tinyedge.evaluation.witnesses import Comparison
    from tinyedge.graph.graph import Graph
    from tinyedge.names import WitnessName


@click.command("check")
@click.argument("model", type=PATH)
@click.option(
    "--with",
    "witness",
    type=click.Choice(WITNESSES),
    default="tflite-micro",
    show_default=True,
    help="The other implementation: the C code on this machine, TFLite-Micro's interpreter, LiteRT "
    "(TensorFlow Lite) with its reference or its optimized kernels, the QKeras model itself, or "
    "hls4ml's C++ for it.",
)
@click.option("--samples", type=click.IntRange(1), help="Default: 100, or all of --data.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@data_option("data", "Samples (.npy or .npz), instead of random ones.")
@click.option("--dataset", type=click.Choice(DATASETS), help="Or the test set of a data set.")
@data_folder_option
@click.option(
    "--layers",
    is_flag=True,
    help="Compare the output of every layer; 'qkeras' and 'hls4ml' always do.",
)
@click.option(
    "--converted",
    type=PATH,
    metavar="DIR",
    help="Compare the graph that 'tinyedge convert' wrote there, instead of converting MODEL anew.",
)
@click.option(
    "--project",
    type=PATH,
    metavar="DIR",
    help="Compile the hls4ml project there, as it is, instead of a new one (with --with hls4ml).",
)
@conversion_options
@output_options
@click.pass_obj
def command(
    output: Output,
    model: Path,
    witness: WitnessName,
    samples: int | None,
    seed: int,
    data: Path | None,
    dataset: Any,
    data_folder: Path | None,
    layers: bool,  # noqa: FBT001
    converted: Path | None,
    project: Path | None,
    calibration: Path | None,
    input_range: tuple[float, float] | None,
) -> None:
    """Compare the numpy reference of MODEL with another implementation, byte by byte.

    MODEL is anything that 'tinyedge convert' takes or writes; 'qkeras' and 'hls4ml' take a QKeras
    model. A .tflite file whose ends are int8 is given to TFLite-Micro as it is; with --layers, and
    for other models, it is our export. The twin and TFLite-Micro have to agree on every byte (exit
    code 8 where they do not). The others round otherwise now and then, and the share is reported;
    exit code 8 says that one layer's weights differ, or that by itself it is more than a step off.
    """
    import tempfile

    from tinyedge.cli.conversion import imported_model
    from tinyedge.errors import ThresholdError, UsageError
    from tinyedge.evaluation import witnesses
    from tinyedge.exporters.converted import load_converted
    from tinyedge.importers import is_keras_model, is_tflite_model

    if layers and witness == "twin":
        raise UsageError("--layers: the twin shows only its output; name another --with")
    if data and dataset:
        raise UsageError("--data and --dataset exclude each other")
    if project and witness != "hls4ml":
        raise UsageError("--project goes with --with hls4ml")
    with output.step(f"reading {model.name}"):
        imported = imported_model(model, calibration, input_range)
    graph = load_converted(converted).graph if converted else imported.graph
    if set(graph.tensors) != set(imported.graph.tensors):
        raise UsageError(f"--converted {converted}: of another model than {model}")
    given, about = _samples(output, graph, data, dataset, data_folder, samples, seed)
    original = None
    if witness == "tflite-micro" and is_tflite_model(model) and not layers:
        from tinyedge.tflm.interpreter import Interpreter

        content = model.read_bytes()
        original = content if Interpreter(content).input_type == "int8" else None
    subject = witnesses.Subject(
        graph, model if is_keras_model(model) else None, imported.origins, original, project
    )
    with tempfile.TemporaryDirectory() as folder:
        with output.step(f"making {witness} ready"):
            opened = witnesses.open_witness(witness, subject, Path(folder))
        with output.progress(f"running on {witness}", len(given)) as advance:
            layers = layers or witness in ("qkeras", "hls4ml")
            found = witnesses.compare(opened, given, layers=layers, progress=advance)
    failure = None
    if found.fault is not None:
        failure = ThresholdError(f"numpy and {witness} differ, first in '{found.fault}'")
    record = _record(found)
    output.result(
        {
            "with": witness,
            "ran": "file" if original else "export",
            "samples": len(given),
            **about,
            **record,
        },
        *_tables(record, f"{witness}, {len(given)} samples"),
        failure=failure,
    )


def _samples(
    output: Output,
    graph: Graph,
    data: Path | None,
    dataset: Any,
    folder: Path | None,
    count: int | None,
    seed: int,
) -> tuple[Any, dict[str, Any]]:
    """The int8 samples, and what is said of them."""
    from tinyedge.datasets import load_test_set
    from tinyedge.evaluation.suites import suite_of
    from tinyedge.evaluation.witnesses import random_inputs
    from tinyedge.samples.reading import input_samples
    from tinyedge.samples.scaling import ModelInput

    takes, tensor = ModelInput.of(graph), graph.input_tensor
    if data:
        samples, remarks = input_samples(data, takes)
        output.remark(*remarks)
        return samples[:count], {"seed": None, "inputs": str(data)}
    if dataset:
        with output.step(f"loading {dataset}"):
            grey = tensor.shape[-1] == 1
            test_set = load_test_set(dataset, folder, channels="grey" if grey else "rgb")
        suite = suite_of(test_set, dataset, takes, count or 100)
        samples = tensor.quantization.quantize(suite.inputs)
        return samples, {"seed": None, "inputs": suite.settings["data"]}
    return random_inputs(graph, count or 100, seed), {"seed": seed, "inputs": "random"}


def _record(found: Comparison) -> dict[str, Any]:
    import dataclasses

    return {
        "tensors": [dataclasses.asdict(tensor) for tensor in found.tensors],
        "weights": [dataclasses.asdict(layer) for layer in found.weights],
        "first_difference": next((t.name for t in found.tensors if t.differing), None),
        "fault": found.fault,
    }


def _tables(record: dict[str, Any], title: str) -> list[Any]:
    from rich.table import Table

    from tinyedge.cli.tables import percent

    table = Table(title=f"numpy and {title}", title_justify="left")
    for heading in ("tensor", "operator"):
        table.add_column(heading, overflow="fold")
    own = any(tensor["own_differing"] is not None for tensor in record["tensors"])
    headings = ["values", "differing", "largest", "same largest element"]
    for heading in headings + ["differing by itself", "largest by itself"] * own:
        table.add_column(heading, justify="right")
    for tensor in record["tensors"]:
        row = [
            tensor["name"],
            tensor["kind"],
            f"{tensor['values']:,}",
            f"{tensor['differing']:,}",
            str(tensor["largest"]),
            percent(tensor["agreement"]),
        ]
        if own:
            itself = (tensor["own_differing"], tensor["own_largest"])
            row += ["-" if value is None else f"{value:,}" for value in itself]
        style = "bold red" if tensor["name"] == record["fault"] else ""
        table.add_row(*row, style=style if tensor["differing"] else "")
    if not record["weights"]:
        return [table]
    weights = Table(title="weights that differ", title_justify="left")
    for heading in ("layer", "weights", "biases", "some of them: index, ours, theirs"):
        weights.add_column(heading, overflow="fold")
    for layer in record["weights"]:
        shown = "; ".join(
            f"{tuple(index)} {ours:.5g} {theirs:.5g}" for index, ours, theirs in layer["examples"]
        )
        weights.add_row(layer["name"], f"{layer['differing']:,}", f"{layer['biases']:,}", shown)
    return [table, weights]
