"""``tinyedge check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from tinyedge.evaluation.witnesses import Witness

WITNESSES = ("twin", "tflite-micro", "litert-reference", "litert-optimized")


@click.command("check")
@click.argument("model", type=PATH)
@click.option(
    "--with",
    "witness",
    type=click.Choice(WITNESSES),
    default="tflite-micro",
    show_default=True,
    help="The other implementation: the C code on this machine, TFLite-Micro's interpreter, or "
    "LiteRT (TensorFlow Lite) with its reference or its optimized kernels.",
)
@click.option("--samples", type=click.IntRange(1), help="Default: 100, or all of --inputs.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--inputs",
    type=PATH,
    metavar="FILE",
    help="Samples (.npy or .npz), instead of random ones.",
)
@click.option("--layers", is_flag=True, help="Compare the output of every layer.")
@output_options
@click.pass_obj
def command(
    output: Output,
    model: Path,
    witness: Witness,
    samples: int | None,
    seed: int,
    inputs: Path | None,
    layers: bool,  # noqa: FBT001
) -> None:
    """Compare the numpy reference of MODEL with another implementation, byte by byte.

    MODEL is anything that 'tinyedge convert' takes or writes. A .tflite file whose ends are int8 is
    given to TFLite-Micro as it is; with --layers, and for other models, it is our export. The twin
    and TFLite-Micro have to agree on every byte (exit code 8 where they do not); LiteRT's kernels
    round otherwise now and then, and the share is reported.
    """
    import tempfile

    from tinyedge.errors import ThresholdError, UsageError
    from tinyedge.evaluation import witnesses
    from tinyedge.evaluation.suites import read_inputs
    from tinyedge.importers import import_model, is_tflite_model

    if layers and witness == "twin":
        raise UsageError("--layers: the twin shows only its output; name another --with")
    with output.step(f"reading {model.name}"):
        graph = import_model(model).graph
    tensor = graph.input_tensor
    if inputs:
        given = read_inputs(inputs, tensor.shape, tensor.quantization)[:samples]
    else:
        given = witnesses.random_inputs(graph, samples or 100, seed)
    original = None
    if witness == "tflite-micro" and is_tflite_model(model):
        from tinyedge.tflm.interpreter import Interpreter

        content = model.read_bytes()
        original = content if Interpreter(content).input_type == "int8" else None
    with (
        tempfile.TemporaryDirectory() as folder,
        output.progress(f"running on {witness}", len(given)) as advance,
    ):
        tensors = witnesses.compare(
            graph,
            witness,
            given,
            layers=layers,
            folder=Path(folder),
            original=original,
            progress=advance,
        )
    record, failing = _record(tensors), next((t.name for t in tensors if t.differing), None)
    failure = None
    if failing is not None and witness in witnesses.EXACT:
        failure = ThresholdError(f"numpy and {witness} differ, first in '{failing}'")
    output.result(
        {
            "with": witness,
            "ran": "file" if original and not layers else "export",
            "samples": len(given),
            "seed": None if inputs else seed,
            "inputs": str(inputs) if inputs else "random",
            "tensors": record,
            "first_difference": failing,
        },
        _table(record, f"{witness}, {len(given)} samples"),
        failure=failure,
    )


def _record(tensors: list[Any]) -> list[dict[str, Any]]:
    import dataclasses

    return [dataclasses.asdict(tensor) for tensor in tensors]


def _table(tensors: list[dict[str, Any]], title: str) -> Any:
    from rich.table import Table

    from tinyedge.cli.tables import percent

    table = Table(title=f"numpy and {title}", title_justify="left")
    for heading in ("tensor", "operator"):
        table.add_column(heading, overflow="fold")
    for heading in ("values", "differing", "largest", "same largest element"):
        table.add_column(heading, justify="right")
    for tensor in tensors:
        table.add_row(
            tensor["name"],
            tensor["kind"],
            f"{tensor['values']:,}",
            f"{tensor['differing']:,}",
            str(tensor["largest"]),
            percent(tensor["agreement"]),
            style="bold red" if tensor["differing"] else "",
        )
    return table
