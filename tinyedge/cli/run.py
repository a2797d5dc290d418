"""``tinyedge run``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import (
    DATASETS,
    PATH,
    board_option,
    data_folder_option,
    output_options,
    tflm_options,
    toolchain_options,
)
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.console import RenderableType

    from tinyedge.boards import Board
    from tinyedge.cli.firmware import Runtime
    from tinyedge.datasets import DatasetName
    from tinyedge.evaluation.compare import Executor
    from tinyedge.evaluation.session import EmulatedDevice, Place
    from tinyedge.evaluation.suites import Suite
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.firmware.compilers import CompilerName
    from tinyedge.targets import EmulatorName

    Opened = tuple[Executor, dict[str, Any], Callable[[], dict[str, Any]]]

PLACES = ("numpy", "twin", "tflite-micro", "emulator", "board")


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
    "suite_files",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Labelled suites (.npz) to compare host and device on; may be given several times.",
)
@click.option(
    "--dataset",
    type=click.Choice(DATASETS),
    help="The test set of a data set, instead of --suite.",
)
@data_folder_option
@click.option("--samples", type=click.IntRange(1), help="The first so many of each suite.")
@click.option(
    "--pixels",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="What 0 and 255 of a data set's pixels stand for. Default: by the model's input range.",
)
@tflm_options
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
    suite_files: tuple[Path, ...],
    dataset: DatasetName | None,
    data_folder: Path | None,
    samples: int | None,
    pixels: tuple[float, float] | None,
    runtime: str,
    tflm_includes: tuple[Path, ...],
    tflm_lib: Path | None,
    tflm_arena: int | None,
) -> None:
    """Run samples through a converted model, anywhere.

    DIR is what 'tinyedge convert' wrote. Either give --inputs and --outputs, for the raw logits, or
    --suite or --dataset, for accuracies and a comparison of every logit with the numpy reference
    (exit code 8 where any differs).

    With --on emulator and --runtime tflm the same samples also run in a firmware with your own
    TFLite-Micro, and both are shown side by side; without --tflm-lib, the tflite-micro package on
    this machine stands in for it, with logits and arena.
    """
    from tinyedge.boards import load_board
    from tinyedge.boards.board import DEFAULT_BOARD
    from tinyedge.cli.firmware import Runtime
    from tinyedge.errors import UsageError
    from tinyedge.exporters.converted import load_converted

    if sum(map(bool, (suite_files, dataset, inputs))) != 1 or (
        (inputs is None) != (outputs is None)
    ):
        raise UsageError("give either --inputs and --outputs, or --suite, or --dataset")
    if port and place != "board":
        raise UsageError("--port goes with --on board")
    if pixels and not (dataset and pixels[0] < pixels[1]):
        raise UsageError("--pixels: LOW has to be below HIGH, and goes with --dataset")
    chosen = Runtime(runtime, tflm_includes, tflm_lib, tflm_arena)
    if chosen.name == "tflm" and (place != "emulator" or inputs):
        raise UsageError("--runtime tflm goes with --on emulator and --suite or --dataset")
    if chosen.name == "tflm":
        chosen.require_tflm()
    model = load_converted(folder)
    board = load_board(board_name or DEFAULT_BOARD)
    opened = _opened(model, place, board, port, emulator, compiler)
    if inputs and outputs:
        _run_inputs(output, model, inputs, outputs, opened, samples)
        return
    suites = _suites(output, model, suite_files, dataset, data_folder, samples, pixels or None)
    record, text = _run_suites(output, model, suites, place, opened)
    if chosen.name == "tflm":
        _compare_runtimes(output, model, suites, record, text, _opened_tflm(model, board, chosen))
    else:
        from tinyedge.reports.record import difference

        output.result(record, *text, failure=difference(record, place))


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

    about: dict[str, Any]
    if place in ("numpy", "twin", "tflite-micro"):
        run = {
            "numpy": executors.run_reference,
            "twin": executors.run_twin,
            "tflite-micro": executors.run_tflite_micro,
        }[place]
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
                lambda: _measured(emulated),
            )
    else:
        with attached_device(model, board, port) as device:
            about = {"on": place, "board": device.hello.board, "emulator": None, "port": port}
            yield (
                device.run,
                about,
                lambda: {"stack_peak": device.stats().stack_peak},
            )


@contextlib.contextmanager
def _opened_tflm(model: ConvertedModel, board: Board, runtime: Runtime) -> Iterator[Opened]:
    """As ``_opened``: a firmware with TFLite-Micro, or the interpreter here in its place."""
    import dataclasses

    from tinyedge.cli.firmware import build
    from tinyedge.evaluation import executors
    from tinyedge.evaluation.session import emulated_firmware
    from tinyedge.tflm.arena import measure_arena

    if runtime.library is None:
        yield (
            lambda samples, progress=None: executors.run_tflite_micro(model, samples, progress),
            {"on": "tflite-micro"},
            lambda: {"arena": dataclasses.asdict(measure_arena(model.tflite))},
        )
        return
    firmware = build(model, board, None, runtime)
    with emulated_firmware(model, firmware) as emulated:
        about = {
            "on": "emulator",
            "board": board.name,
            "emulator": emulated.device.target.name,
            "compiler": firmware.compiler,
            "library": str(runtime.library),
        }
        yield emulated.device.run, about, lambda: _measured(emulated)


def _measured(emulated: EmulatedDevice) -> dict[str, Any]:
    """Memory of a firmware that has run."""
    from tinyedge.reports.record import memory_record

    firmware, stats = emulated.firmware, emulated.device.stats()
    return {
        "memory": memory_record(firmware.footprint, firmware.board, stats.stack_peak),
        "arena": {
            "smallest": stats.arena_smallest,
            "total": stats.arena_head + stats.arena_tail,
            "head": stats.arena_head,
            "tail": stats.arena_tail,
        },
    }


def _suites(
    output: Output,
    model: ConvertedModel,
    suite_files: tuple[Path, ...],
    dataset: DatasetName | None,
    data_folder: Path | None,
    count: int | None,
    pixels: tuple[float, float] | None,
) -> list[Suite]:
    """The suites of files, or a data set's test set as one."""
    from tinyedge.datasets import load_test_set
    from tinyedge.evaluation.suites import load_suite_files, suite_of

    if suite_files:
        return [suite.first(count) for suite in load_suite_files(suite_files)]
    assert dataset
    with output.step(f"loading {dataset}"):
        grey = model.graph.input_tensor.shape[-1] == 1
        test_set = load_test_set(dataset, data_folder, channels="grey" if grey else "rgb")
    quantization = model.graph.input_tensor.quantization
    suite = suite_of(test_set, dataset, quantization, pixels, count)
    if "pixels" in suite.settings:
        low, high = suite.settings["pixels"]
        output.remark(f"pixels from 0 to 255 stand for {low:g} to {high:g}")
    return [suite]


def _run_inputs(
    output: Output,
    model: ConvertedModel,
    inputs: Path,
    outputs: Path,
    opened: AbstractContextManager[Opened],
    count: int | None,
) -> None:
    import io

    import numpy as np

    from tinyedge.evaluation.suites import read_inputs
    from tinyedge.files import check_writable, write_atomically

    check_writable(outputs)
    tensor = model.graph.input_tensor
    samples = read_inputs(inputs, tensor.shape, tensor.quantization)[:count]
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
    suites: list[Suite],
    place: str,
    opened: AbstractContextManager[Opened],
) -> tuple[dict[str, Any], list[RenderableType]]:
    """The record of a run, and how it is shown."""
    from tinyedge.cli.tables import memory_bars, suite_table
    from tinyedge.evaluation.compare import evaluate_suite
    from tinyedge.reports.record import evaluation_record

    results = []
    with opened as (execute, about, finish):
        for suite in suites:
            with output.progress(suite.name, len(suite.labels)) as advance:
                results.append(evaluate_suite(model, suite, execute, advance))
        record = evaluation_record(model, results, about | finish())
    bars = [memory_bars(record["memory"])] if "memory" in record else []
    return record, [suite_table(record["suites"], place), *bars]


def _compare_runtimes(
    output: Output,
    model: ConvertedModel,
    suites: list[Suite],
    ours: dict[str, Any],
    text: list[RenderableType],
    opened: AbstractContextManager[Opened],
) -> None:
    """Runs the suites on TFLite-Micro too, and prints both."""
    from tinyedge.cli.tables import side_by_side_table
    from tinyedge.reports.record import difference, side_by_side

    theirs, more = _run_suites(output, model, suites, "tflm", opened)
    rows = [side_by_side("tinyedge", ours), side_by_side("tflm", theirs)]
    output.result(
        {**ours, "tflm": theirs, "side_by_side": rows},
        *text,
        *more,
        side_by_side_table(rows),
        failure=difference(ours, "emulator") or difference(theirs, "tflm"),
    )
