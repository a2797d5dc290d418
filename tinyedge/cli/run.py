"""``tinyedge run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from tinyedge.cli.options import (
    PATH,
    board_option,
    data_folder_option,
    data_option,
    link_options,
    output_options,
    tflm_options,
    toolchain_options,
)
from tinyedge.cli.output import Output
from tinyedge.names import DATASETS, DEVICES, PLACES

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rich.console import RenderableType

    from tinyedge.evaluation.executors import Int8
    from tinyedge.evaluation.suites import Suite
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.names import CompilerName, DatasetName, EmulatorName, PlaceName
    from tinyedge.places import OpenPlace
    from tinyedge.records.run import Run as RunRecord


@click.command("run")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--on", "place", type=click.Choice(PLACES), required=True, help="Where to run.")
@board_option()
@link_options
@toolchain_options
@data_option(
    "data_files",
    "Samples, NHWC (.npy or .npz). Labelled ones, .npz with x and y or suites, compare host and "
    "device, and may be given several times.",
    multiple=True,
)
@click.option(
    "--logits",
    "logits_file",
    type=PATH,
    metavar="FILE",
    help="Where the raw int8 logits of all samples go (.npy).",
)
@click.option(
    "--dataset",
    type=click.Choice(DATASETS),
    help="The test set of a data set, instead of --data.",
)
@data_folder_option
@click.option("--samples", type=click.IntRange(1), help="The first so many of each suite.")
@click.option(
    "--pixels",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="What 0 and 255 of uint8 pixels stand for. Default: the byte itself where the model's own "
    "file takes uint8, else by the model's input range.",
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
    place: PlaceName,
    board_name: str | None,
    ports: tuple[str, ...],
    baud: int | None,
    timeout_s: float | None,
    journal_file: Path | None,
    resume: bool,  # noqa: FBT001 - click passes it by name
    discard: bool,  # noqa: FBT001
    compiler: CompilerName | None,
    emulator: EmulatorName | None,
    data_files: tuple[Path, ...],
    logits_file: Path | None,
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

    DIR is what 'tinyedge convert' wrote. Labelled samples, of --data or --dataset, give accuracies
    and a comparison of every logit with the numpy reference (exit code 8 where any differs).
    --logits keeps the raw logits, of samples without labels too.

    With --on emulator and --runtime tflm the same samples also run in a firmware with your own
    TFLite-Micro, and both are shown side by side; without --tflm-lib, the tflite-micro package on
    this machine stands in for it, with logits and arena.

    --profile and --trace watch each layer on the twin, an emulator, or a board that was flashed
    with --observe; without --data or --dataset they take random samples.
    """
    from tinyedge.boards import DEFAULT_BOARD, load_board
    from tinyedge.cli.observe import check_options, observe
    from tinyedge.commands.firmware import Runtime
    from tinyedge.errors import UsageError
    from tinyedge.exporters.converted import load_converted
    from tinyedge.places import Journalled, PlaceSpec, open_place, open_tflm

    link = Link(ports, baud, timeout_s, journal_file, resume, discard)
    sources = sum(map(bool, (data_files, dataset)))
    watching = profile or trace
    if watching:
        others = {
            "--runtime tflm": runtime == "tflm",
            "--logits": logits_file,
            "--resume": resume,
            "--discard": discard,
            "--journal": journal_file,
        }
        check_options(place, ports, others, sources)
    elif sources != 1:
        raise UsageError("give either --data or --dataset")
    link.check(place)
    if pixels and not pixels[0] < pixels[1]:
        raise UsageError("--pixels: LOW has to be below HIGH")
    chosen = Runtime(runtime, tflm_includes, tflm_lib, tflm_arena)
    inputs = _unlabelled(data_files)
    if chosen.name == "tflm":
        if place != "emulator" or inputs:
            raise UsageError("--runtime tflm goes with --on emulator and labelled samples")
        chosen.require_tflm()
    _check_files(None if watching else inputs, logits_file, record_file)
    model = load_converted(folder)
    board = load_board(board_name or DEFAULT_BOARD)
    spec = PlaceSpec(place, board, ports, emulator, compiler, baud=baud, timeout_s=timeout_s)
    if watching:
        given = _given(output, model, inputs, data_files, dataset, data_folder, samples, pixels)
        observe(output, model, spec, given, samples, record_file, profile=profile, trace=trace)
        return

    def opened(all_inputs: list[Int8]) -> AbstractContextManager[OpenPlace]:
        journal = (
            Journalled(all_inputs, journal_file, resume, discard) if place in DEVICES else None
        )
        return open_place(model, spec, journal, output.remark)

    if inputs and logits_file:
        _run_inputs(output, model, inputs, logits_file, opened, samples, pixels or None)
        return
    suites = _suites(output, model, data_files, dataset, data_folder, samples, pixels or None)
    from tinyedge.evaluation.compare import quantized_samples

    everything = opened([quantized_samples(model, suite) for suite in suites])
    record, text, logits = _run_suites(output, model, suites, place, everything)
    kept = {"logits": str(logits_file)} if logits_file else {}
    text += [_keep_logits(logits_file, logits)] if logits_file else []
    text += _saved(output, record, record_file)
    if chosen.name == "tflm":
        theirs = open_tflm(model, board, chosen.includes, chosen.library, chosen.arena)
        _compare_runtimes(output, model, suites, record, kept, text, theirs)
    else:
        from tinyedge.reports.record import difference, printed

        output.result(printed(record) | kept, *text, failure=difference(record, place))


def _unlabelled(data_files: tuple[Path, ...]) -> Path | None:
    """The file of samples without labels, if there is one; then it is the only one.

    Raises:
        DataError: a file is missing or damaged.
        UsageError: there are others beside it.
    """
    from tinyedge.errors import UsageError
    from tinyedge.evaluation.suites import holds_labels

    for path in data_files:
        if not holds_labels(path):
            if len(data_files) > 1:
                raise UsageError(
                    f"{path} holds no labels y; several --data are for labelled samples",
                    hint="run samples without labels by themselves",
                )
            return path
    return None


def _check_files(inputs: Path | None, logits_file: Path | None, record_file: Path | None) -> None:
    """Refuses files to write that cannot be written, or that samples do not go with.

    Args:
        inputs: samples without labels.
        logits_file: of ``--logits``.
        record_file: of ``-o``.

    Raises:
        UsageError: says what to give instead.
    """
    from tinyedge.errors import UsageError
    from tinyedge.files import check_writable

    if inputs and record_file:
        raise UsageError(
            f"-o keeps a run on labelled samples, and {inputs} holds no labels y; raw logits go to "
            "--logits"
        )
    if inputs and not logits_file:
        raise UsageError(
            f"{inputs} holds no labels y: there is only --logits FILE to write",
            hint="name it for the raw logits, or add labels y for accuracies and a comparison",
        )
    for path in (record_file, logits_file):
        if path:
            check_writable(path)


def _keep_logits(path: Path, logits: Int8) -> str:
    """Writes raw logits; says so."""
    import io

    import numpy as np

    from tinyedge.files import write_atomically

    buffer = io.BytesIO()
    np.save(buffer, logits, allow_pickle=False)
    write_atomically(path, buffer.getvalue())
    shape = "x".join(map(str, logits.shape))
    return f"{len(logits)} samples, int8 logits {shape} written to {path}"


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
    discard: bool

    def check(self, place: str) -> None:
        """Raises UsageError where this does not go with the place of ``--on``."""
        from tinyedge.errors import UsageError

        if (self.ports or self.baud) and place != "board":
            raise UsageError("--port and --baud go with --on board")
        if len(set(self.ports)) < len(self.ports):
            raise UsageError("--port: the same port is named twice")
        of_devices = (self.resume, self.discard, self.journal, self.timeout_s)
        if any(of_devices) and place not in DEVICES:
            raise UsageError(
                "--resume, --discard, --journal and --timeout go with --on emulator or board"
            )
        if self.resume and self.discard:
            raise UsageError("--resume and --discard exclude each other")


def _suites(
    output: Output,
    model: ConvertedModel,
    data_files: tuple[Path, ...],
    dataset: DatasetName | None,
    data_folder: Path | None,
    count: int | None,
    pixels: tuple[float, float] | None,
) -> list[Suite]:
    """The suites of files, or a data set's test set as one."""
    from tinyedge.datasets import load_test_set
    from tinyedge.evaluation.suites import load_suite_files, suite_of, suite_remarks
    from tinyedge.samples.scaling import ModelInput

    takes = ModelInput.of(model.graph, pixels)
    if data_files:
        suites = [suite.first(count) for suite in load_suite_files(data_files, takes)]
        output.remark(*suite_remarks(suites, takes))
        return suites
    assert dataset
    with output.step(f"loading {dataset}"):
        grey = model.graph.input_tensor.shape[-1] == 1
        test_set = load_test_set(dataset, data_folder, channels="grey" if grey else "rgb")
    suite = suite_of(test_set, dataset, takes, count)
    output.remark(*suite_remarks([suite], takes))
    return [suite]


def _given(
    output: Output,
    model: ConvertedModel,
    inputs: Path | None,
    data_files: tuple[Path, ...],
    dataset: DatasetName | None,
    data_folder: Path | None,
    count: int | None,
    pixels: tuple[float, float] | None,
) -> Int8 | None:
    """All samples that were named, as a device receives them; None where none were."""
    import numpy as np

    from tinyedge.evaluation.compare import quantized_samples
    from tinyedge.samples.reading import input_samples
    from tinyedge.samples.scaling import ModelInput

    if inputs:
        samples, remarks = input_samples(inputs, ModelInput.of(model.graph, pixels or None))
        output.remark(*remarks)
        return samples[:count]
    if not (data_files or dataset):
        return None
    suites = _suites(output, model, data_files, dataset, data_folder, count, pixels or None)
    return np.concatenate([quantized_samples(model, suite) for suite in suites])


def _run_inputs(
    output: Output,
    model: ConvertedModel,
    inputs: Path,
    logits_file: Path,
    opened: Callable[[list[Int8]], AbstractContextManager[OpenPlace]],
    count: int | None,
    pixels: tuple[float, float] | None,
) -> None:
    from dataclasses import asdict

    from tinyedge.evaluation.compare import reconstruction_error
    from tinyedge.samples.reading import input_samples
    from tinyedge.samples.scaling import ModelInput

    samples, remarks = input_samples(inputs, ModelInput.of(model.graph, pixels))
    output.remark(*remarks)
    samples = samples[:count]
    with (
        opened([samples]) as (execute, about, finish),
        output.progress(f"running on {about['on']}", len(samples)) as advance,
    ):
        run = execute(samples, advance)
        cost = finish()
    said = _keep_logits(logits_file, run.logits)
    cost |= {
        "instructions": None if run.instructions is None else float(run.instructions.mean()),
        "seconds": None if run.seconds is None else float(run.seconds.mean()),
    }
    kept = dict.fromkeys(("logits", "outputs"), str(logits_file))  # the latter was its name before
    record = {**about, "samples": len(samples), **kept, **cost}
    text = [said]
    if error := reconstruction_error(model, samples, run.logits):
        record["reconstruction"] = asdict(error)
        text.append(f"outputs against inputs: RMSE {error.rmse:.4g}, MAE {error.mae:.4g}")
    output.result(record, *text)


def _run_suites(
    output: Output,
    model: ConvertedModel,
    suites: list[Suite],
    place: str,
    opened: AbstractContextManager[OpenPlace],
) -> tuple[RunRecord, list[RenderableType], Int8]:
    """The record of a run, how it is shown, and the logits of all suites."""
    import numpy as np
    from rich.text import Text

    from tinyedge.cli.tables import memory_bars, suite_table
    from tinyedge.evaluation.compare import evaluate_suite
    from tinyedge.places import place_line
    from tinyedge.reports.record import evaluation_record, printed

    results = []
    with opened as (execute, about, finish):
        for suite in suites:
            with output.progress(suite.name, len(suite.labels)) as advance:
                results.append(evaluate_suite(model, suite, execute, advance))
        record = evaluation_record(model, results, about | finish())
    line, shown = place_line(about), printed(record)
    bars = [memory_bars(shown["memory"])] if "memory" in shown else []
    text: list[RenderableType] = [
        *([Text(line)] if line else []),
        suite_table(shown["suites"], place),
        *bars,
    ]
    return record, text, np.concatenate([result.run.logits for result in results])


def _compare_runtimes(
    output: Output,
    model: ConvertedModel,
    suites: list[Suite],
    ours: RunRecord,
    kept: dict[str, str],
    text: list[RenderableType],
    opened: AbstractContextManager[OpenPlace],
) -> None:
    """Runs the suites on TFLite-Micro too, and prints both."""
    from tinyedge.cli.tables import side_by_side_table
    from tinyedge.reports.record import difference, printed, side_by_side

    theirs, more, _ = _run_suites(output, model, suites, "tflm", opened)
    rows = [side_by_side("tinyedge", ours), side_by_side("tflm", theirs)]
    output.result(
        {**printed(ours), **kept, "tflm": printed(theirs), "side_by_side": rows},
        *text,
        *more,
        side_by_side_table(rows),
        failure=difference(ours, "emulator") or difference(theirs, "tflm"),
    )
