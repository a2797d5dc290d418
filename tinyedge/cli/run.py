"""``tinyedge run``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import PATH, board_option, output_options, toolchain_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tinyedge.boards import Board
    from tinyedge.evaluation.compare import Executor
    from tinyedge.evaluation.session import Place
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.firmware.compilers import CompilerName
    from tinyedge.targets import EmulatorName

    Opened = tuple[Executor, dict[str, Any], Callable[[], dict[str, Any]]]

PLACES = ("numpy", "twin", "emulator", "board")


@click.command("run")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--on", "place", type=click.Choice(PLACES), required=True, help="Where to run.")
@board_option()
@click.option("-p", "--port", help="Serial port of the board (with --on board).")
@toolchain_options
@click.option(
    "--inputs",
    type=PATH,
    metavar="FILE",
    help="Samples, NHWC: int8, or floats that are quantized on the way (.npy or .npz).",
)
@click.option("--outputs", type=PATH, metavar="FILE", help="Where raw int8 logits go (.npy).")
@click.option(
    "--suite",
    "suite_file",
    type=PATH,
    metavar="FILE",
    help="Labelled suites (.npz) to compare host and device on.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    folder: Path,
    place: Place,
    board_name: str | None,
    port: str | None,
    compiler: CompilerName | None,
    emulator: EmulatorName | None,
    inputs: Path | None,
    outputs: Path | None,
    suite_file: Path | None,
) -> None:
    """Run samples through a converted model, anywhere.

    DIR is what 'tinyedge convert' wrote. Either give --inputs and --outputs, for the raw logits, or
    --suite, for accuracies and a comparison of every logit with the numpy reference (exit code 8
    where any differs).
    """
    from tinyedge.boards import load_board
    from tinyedge.boards.board import DEFAULT_BOARD
    from tinyedge.errors import UsageError
    from tinyedge.exporters.converted import load_converted

    if (suite_file is None) == (inputs is None) or (inputs is None) != (outputs is None):
        raise UsageError("give either --inputs and --outputs, or --suite")
    if port and place != "board":
        raise UsageError("--port goes with --on board")
    model = load_converted(folder)
    board = load_board(board_name or DEFAULT_BOARD)
    opened = _opened(model, place, board, port, emulator, compiler)
    if inputs and outputs:
        _run_inputs(output, model, inputs, outputs, opened)
    elif suite_file:
        _run_suites(output, model, suite_file, place, opened)


@contextlib.contextmanager
def _opened(
    model: ConvertedModel,
    place: Place,
    board: Board,
    port: str | None,
    emulator: EmulatorName | None,
    compiler: CompilerName | None,
) -> Iterator[Opened]:
    """The executor, what a report says of where it runs, and how to complete that at the end."""
    from tinyedge.evaluation import executors
    from tinyedge.evaluation.session import attached_device, emulated_device
    from tinyedge.reports.record import memory_record

    about: dict[str, Any]
    if place in ("numpy", "twin"):
        run = executors.run_reference if place == "numpy" else executors.run_twin
        yield lambda samples, progress=None: run(model, samples, progress), {"on": place}, dict
    elif place == "emulator":
        with emulated_device(model, board, emulator, compiler) as emulated:
            about = {
                "on": place,
                "board": board.name,
                "emulator": emulated.device.target.name,
                "compiler": emulated.firmware.compiler,
            }
            yield (
                emulated.device.run,
                about,
                lambda: {
                    "memory": memory_record(
                        emulated.firmware.footprint, board, emulated.device.stats().stack_peak
                    )
                },
            )
    else:
        with attached_device(model, board, port) as device:
            about = {"on": place, "board": device.hello.board, "emulator": None, "port": port}
            yield (
                device.run,
                about,
                lambda: {"stack_peak": device.stats().stack_peak},
            )


def _run_inputs(
    output: Output,
    model: ConvertedModel,
    inputs: Path,
    outputs: Path,
    opened: AbstractContextManager[Opened],
) -> None:
    import io

    import numpy as np

    from tinyedge.evaluation.suites import read_inputs
    from tinyedge.files import check_writable, write_atomically

    check_writable(outputs)
    tensor = model.graph.input_tensor
    samples = read_inputs(inputs, tensor.shape, tensor.quantization)
    with (
        opened as (execute, about, _),
        output.progress(f"running on {about['on']}", len(samples)) as advance,
    ):
        run = execute(samples, advance)
    buffer = io.BytesIO()
    np.save(buffer, run.logits, allow_pickle=False)
    write_atomically(outputs, buffer.getvalue())
    cost = {
        "instructions": None if run.instructions is None else float(run.instructions.mean()),
        "seconds": None if run.seconds is None else float(run.seconds.mean()),
    }
    record = {**about, "samples": len(samples), "outputs": str(outputs), **cost}
    shape = "x".join(map(str, run.logits.shape))
    output.result(record, f"{len(samples)} samples, int8 logits {shape} written to {outputs}")


def _run_suites(
    output: Output,
    model: ConvertedModel,
    suite_file: Path,
    place: Place,
    opened: AbstractContextManager[Opened],
) -> None:
    from tinyedge.cli.tables import memory_bars, suite_table
    from tinyedge.evaluation.compare import evaluate_suite
    from tinyedge.evaluation.suites import load_suites
    from tinyedge.reports.record import difference, evaluation_record

    suites = load_suites(suite_file)
    results = []
    with opened as (execute, about, finish):
        for suite in suites:
            with output.progress(suite.name, len(suite.labels)) as advance:
                results.append(evaluate_suite(model, suite, execute, advance))
        record = evaluation_record(model, results, about | finish())
    bars = [memory_bars(record["memory"])] if "memory" in record else []
    output.result(
        record,
        suite_table(record["suites"], place),
        *bars,
        failure=difference(record, place),
    )
