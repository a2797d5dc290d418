"""``tinyedge run``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tinyedge.cli.options import (
    DATASETS,
    PATH,
    board_option,
    data_folder_option,
    link_options,
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
    from tinyedge.evaluation.executors import Int8
    from tinyedge.evaluation.session import Place
    from tinyedge.evaluation.suites import Suite
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.link.journal import Journal
    from tinyedge.records.run import Run as RunRecord
    from tinyedge.targets import EmulatorName
    from tinyedge.toolchains.compilers import CompilerName

    Opened = tuple[Executor, dict[str, Any], Callable[[], dict[str, Any]]]

PLACES = ("numpy", "twin", "tflite-micro", "emulator", "board")
DEVICES = ("emulator", "board")


@click.command("run")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--on", "place", type=click.Choice(PLACES), required=True, help="Where to run.")
@board_option()
@link_options
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
@click.option(
    "--profile", is_flag=True, help="Say what each layer costs, as counted on the device."
)
@click.option(
    "--trace",
    is_flag=True,
    help="Compare every layer's output with the numpy reference; names the first that differs.",
)
@tflm_options
@click.option(
    "-o",
    "--output",
    "record_file",
    type=PATH,
    metavar="RUN.json",
    help="Keeps the record of the run, with all logits, for 'tinyedge report'.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    folder: Path,
    place: Place,
    board_name: str | None,
    ports: tuple[str, ...],
    baud: int | None,
    timeout_s: float | None,
    journal_file: Path | None,
    resume: bool,  # noqa: FBT001 - click passes it by name
    compiler: CompilerName | None,
    emulator: EmulatorName | None,
    inputs: Path | None,
    outputs: Path | None,
    suite_files: tuple[Path, ...],
    dataset: DatasetName | None,
    data_folder: Path | None,
    samples: int | None,
    pixels: tuple[float, float] | None,
    profile: bool,  # noqa: FBT001
    trace: bool,  # noqa: FBT001
    runtime: str,
    tflm_includes: tuple[Path, ...],
    tflm_lib: Path | None,
    tflm_arena: int | None,
    record_file: Path | None,
) -> None:
    """Run samples through a converted model, anywhere.

    DIR is what 'tinyedge convert' wrote. Either give --inputs and --outputs, for the raw logits, or
    --suite or --dataset, for accuracies and a comparison of every logit with the numpy reference
    (exit code 8 where any differs).

    With --on emulator and --runtime tflm the same samples also run in a firmware with your own
    TFLite-Micro, and both are shown side by side; without --tflm-lib, the tflite-micro package on
    this machine stands in for it, with logits and arena.

    --profile and --trace watch each layer on the twin, an emulator, or a board that was flashed
    with --observe; without --inputs, --suite or --dataset they take random samples.
    """
    from tinyedge.boards import DEFAULT_BOARD, load_board
    from tinyedge.cli.firmware import Runtime
    from tinyedge.cli.observe import Watched, check_options, observe
    from tinyedge.errors import UsageError
    from tinyedge.evaluation.session import LinkOptions
    from tinyedge.exporters.converted import load_converted

    link = Link(ports, baud, timeout_s, journal_file, resume)
    sources = sum(map(bool, (suite_files, dataset, inputs)))
    watching = profile or trace
    if watching:
        others = {
            "--runtime tflm": runtime == "tflm",
            "--outputs": outputs,
            "--resume": resume,
            "--journal": journal_file,
        }
        check_options(place, ports, others, sources)
    elif sources != 1 or (inputs is None) != (outputs is None):
        raise UsageError("give either --inputs and --outputs, or --suite, or --dataset")
    link.check(place)
    if pixels and not (dataset and pixels[0] < pixels[1]):
        raise UsageError("--pixels: LOW has to be below HIGH, and goes with --dataset")
    chosen = Runtime(runtime, tflm_includes, tflm_lib, tflm_arena)
    if chosen.name == "tflm" and (place != "emulator" or inputs):
        raise UsageError("--runtime tflm goes with --on emulator and --suite or --dataset")
    if chosen.name == "tflm":
        chosen.require_tflm()
    _check_record_file(record_file, None if watching else inputs)
    model = load_converted(folder)
    board = load_board(board_name or DEFAULT_BOARD)
    if watching:
        watched = Watched(place, board, emulator, compiler, ports, LinkOptions(timeout_s, baud))
        given = _given(output, model, inputs, suite_files, dataset, data_folder, samples, pixels)
        observe(output, model, watched, given, samples, record_file, profile=profile, trace=trace)
        return

    def opened(all_inputs: list[Int8]) -> AbstractContextManager[Opened]:
        if place not in DEVICES:
            return _opened_here(model, place)
        return _opened_devices(output, model, place, board, link, emulator, compiler, all_inputs)

    if inputs and outputs:
        _run_inputs(output, model, inputs, outputs, opened, samples)
        return
    suites = _suites(output, model, suite_files, dataset, data_folder, samples, pixels or None)
    from tinyedge.evaluation.compare import quantized_samples

    everything = opened([quantized_samples(model, suite) for suite in suites])
    record, text = _run_suites(output, model, suites, place, everything)
    text += _saved(output, record, record_file)
    if chosen.name == "tflm":
        _compare_runtimes(output, model, suites, record, text, _opened_tflm(model, board, chosen))
    else:
        from tinyedge.reports.record import difference, printed

        output.result(printed(record), *text, failure=difference(record, place))


def _check_record_file(path: Path | None, inputs: Path | None) -> None:
    from tinyedge.errors import UsageError
    from tinyedge.files import check_writable

    if path and inputs:
        raise UsageError("-o goes with --suite or --dataset; raw logits go to --outputs")
    if path:
        check_writable(path)


def _saved(output: Output, record: RunRecord, path: Path | None) -> list[str]:
    """Saves the record where that was asked for; says so."""
    from tinyedge.reports.record import save_run

    if path is None:
        return []
    save_run(path, record, output.command)
    return [f"written to {path}; 'tinyedge report {path}' reads it"]


class Link(NamedTuple):
    """What was said of the link."""

    ports: tuple[str, ...]
    baud: int | None
    timeout_s: float | None
    journal: Path | None
    resume: bool

    def check(self, place: str) -> None:
        """Raises UsageError where this does not go with the place of ``--on``."""
        from tinyedge.errors import UsageError

        if (self.ports or self.baud) and place != "board":
            raise UsageError("--port and --baud go with --on board")
        if len(set(self.ports)) < len(self.ports):
            raise UsageError("--port: the same port is named twice")
        if (self.resume or self.journal or self.timeout_s) and place not in DEVICES:
            raise UsageError("--resume, --journal and --timeout go with --on emulator or board")


@contextlib.contextmanager
def _opened_here(model: ConvertedModel, place: str) -> Iterator[Opened]:
    """An executor on this machine, what a report says of it, and how to complete that."""
    from tinyedge.evaluation import executors

    run = executors.HERE[place]
    yield lambda samples, progress=None: run(model, samples, progress), {"on": place}, dict


@contextlib.contextmanager
def _opened_devices(
    output: Output,
    model: ConvertedModel,
    place: Place,
    board: Board,
    link: Link,
    emulator: EmulatorName | None,
    compiler: CompilerName | None,
    inputs: list[Int8],
) -> Iterator[Opened]:
    """As ``_opened_here``: an emulator or boards, with the run's journal."""
    from tinyedge.errors import LinkError
    from tinyedge.evaluation.devices import Fleet
    from tinyedge.evaluation.session import LinkOptions, attached_devices, emulated_device
    from tinyedge.reports.record import attached_record, emulated_record, measured_record

    total = sum(len(samples) for samples in inputs)
    with _journal(model, place, board, link, inputs) as journal:
        if link.resume:
            output.remark(f"{len(journal.entries)} of {total} samples are in {journal.path}")
        options = LinkOptions(link.timeout_s, link.baud, journal.session)
        try:
            if place == "emulator":
                with emulated_device(model, board, emulator, compiler, link=options) as emulated:
                    fleet = Fleet([emulated.device], journal)
                    yield (
                        fleet,
                        emulated_record(emulated),
                        lambda: measured_record(emulated) | {"link": fleet.record()},
                    )
            else:
                with attached_devices(model, board, link.ports, options) as devices:
                    fleet = Fleet(devices, journal)
                    yield (
                        fleet,
                        attached_record(devices),
                        lambda: {"stack_peak": fleet.stack_peak(), "link": fleet.record()},
                    )
            for port, failure in fleet.failed.items():
                output.remark(f"{port} failed, others took its samples over: {failure}")
        except KeyboardInterrupt:
            output.remark(f"{len(journal.entries)} of {total} samples are in {journal.path}")
            output.remark("--resume goes on with them")
            raise
        except LinkError as error:
            if journal.entries:
                error.hint = f"{error.hint}; " if error.hint else ""
                error.hint += (
                    f"go on with --resume: {len(journal.entries)} of {total} samples are in "
                    f"{journal.path}"
                )
            raise
    if not link.journal:
        journal.remove()


def _journal(
    model: ConvertedModel, place: str, board: Board, link: Link, inputs: list[Int8]
) -> Journal:
    import hashlib
    import json

    from tinyedge.link.journal import Journal

    digest = hashlib.sha256()
    for samples in inputs:
        digest.update(samples.tobytes())
    identity = {
        "model": model.graph.hash,
        "on": place,
        "board": board.name,
        "samples": sum(len(samples) for samples in inputs),
        "inputs": digest.hexdigest(),
    }
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    path = link.journal or model.folder / "journals" / f"{key}.jsonl"
    return Journal(path, identity, resume=link.resume)


@contextlib.contextmanager
def _opened_tflm(model: ConvertedModel, board: Board, runtime: Runtime) -> Iterator[Opened]:
    """As ``_opened_here``: a firmware with TFLite-Micro, or the interpreter here in its place."""
    import dataclasses

    from tinyedge.cli.firmware import build
    from tinyedge.evaluation import executors
    from tinyedge.evaluation.session import emulated_firmware
    from tinyedge.reports.record import measured_record
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
        yield emulated.device.run, about, lambda: measured_record(emulated)


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


def _given(
    output: Output,
    model: ConvertedModel,
    inputs: Path | None,
    suite_files: tuple[Path, ...],
    dataset: DatasetName | None,
    data_folder: Path | None,
    count: int | None,
    pixels: tuple[float, float] | None,
) -> Int8 | None:
    """All samples that were named, as a device receives them; None where none were."""
    import numpy as np

    from tinyedge.evaluation.compare import quantized_samples
    from tinyedge.evaluation.suites import read_inputs

    tensor = model.graph.input_tensor
    if inputs:
        return read_inputs(inputs, tensor.shape, tensor.quantization)[:count]
    if not (suite_files or dataset):
        return None
    suites = _suites(output, model, suite_files, dataset, data_folder, count, pixels or None)
    return np.concatenate([quantized_samples(model, suite) for suite in suites])


def _run_inputs(
    output: Output,
    model: ConvertedModel,
    inputs: Path,
    outputs: Path,
    opened: Callable[[list[Int8]], AbstractContextManager[Opened]],
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
        opened([samples]) as (execute, about, finish),
        output.progress(f"running on {about['on']}", len(samples)) as advance,
    ):
        run = execute(samples, advance)
        cost = finish()
    buffer = io.BytesIO()
    np.save(buffer, run.logits, allow_pickle=False)
    write_atomically(outputs, buffer.getvalue())
    cost |= {
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
) -> tuple[RunRecord, list[RenderableType]]:
    """The record of a run, and how it is shown."""
    from tinyedge.cli.tables import memory_bars, suite_table
    from tinyedge.evaluation.compare import evaluate_suite
    from tinyedge.reports.record import evaluation_record, printed

    results = []
    with opened as (execute, about, finish):
        for suite in suites:
            with output.progress(suite.name, len(suite.labels)) as advance:
                results.append(evaluate_suite(model, suite, execute, advance))
        record = evaluation_record(model, results, about | finish())
    shown = printed(record)
    bars = [memory_bars(shown["memory"])] if "memory" in shown else []
    return record, [suite_table(shown["suites"], place), *bars]


def _compare_runtimes(
    output: Output,
    model: ConvertedModel,
    suites: list[Suite],
    ours: RunRecord,
    text: list[RenderableType],
    opened: AbstractContextManager[Opened],
) -> None:
    """Runs the suites on TFLite-Micro too, and prints both."""
    from tinyedge.cli.tables import side_by_side_table
    from tinyedge.reports.record import difference, printed, side_by_side

    theirs, more = _run_suites(output, model, suites, "tflm", opened)
    rows = [side_by_side("tinyedge", ours), side_by_side("tflm", theirs)]
    output.result(
        {**printed(ours), "tflm": printed(theirs), "side_by_side": rows},
        *text,
        *more,
        side_by_side_table(rows),
        failure=difference(ours, "emulator") or difference(theirs, "tflm"),
    )
