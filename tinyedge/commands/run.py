"""Running samples through a converted model, anywhere."""

from __future__ import annotations

import contextlib
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.boards import DEFAULT_BOARD
from tinyedge.cluster.address import ClusterAddress
from tinyedge.commands.arguments import (
    AnyPath,
    Paths,
    above_zero,
    board_of,
    check_lab,
    check_outputs,
    one_of,
    optional_path,
    paths,
    whole,
)
from tinyedge.commands.clusters import cluster_address, opened_cluster
from tinyedge.commands.firmware import Runtime
from tinyedge.commands.notes import noted
from tinyedge.commands.observe import check_options, layer_difference, observe
from tinyedge.datasets import load_test_set
from tinyedge.errors import ThresholdError, UsageError
from tinyedge.evaluation.compare import (
    SuiteResult,
    evaluate_suite,
    quantized_samples,
    reconstruction_error,
    target_error,
)
from tinyedge.evaluation.executors import Int8
from tinyedge.evaluation.suites import (
    Suite,
    holds_labels,
    load_suite_files,
    suite_of,
    suite_remarks,
)
from tinyedge.exporters.converted import ConvertedModel, load_converted
from tinyedge.files import write_atomically
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.names import (
    COMPILERS,
    DATASETS,
    DEVICES,
    EMULATORS,
    PLACES,
    CompilerName,
    DatasetName,
    EmulatorName,
    PlaceName,
    RuntimeName,
)
from tinyedge.naming import member_names
from tinyedge.places import Journalled, OpenPlace, PlaceSpec, open_place, open_tflm
from tinyedge.progress import NOBODY, Listener
from tinyedge.records.run import Run as RunRecord
from tinyedge.reports.record import (
    difference,
    evaluation_record,
    printed,
    save_run,
    side_by_side,
)
from tinyedge.samples.reading import ArrayFile, input_samples, input_targets
from tinyedge.samples.scaling import ModelInput

Float32 = NDArray[np.float32]
Range = tuple[float, float]


@noted()
def run(
    folder: AnyPath,
    *,
    on: PlaceName,
    board: AnyPath | None = None,
    port: str | Sequence[str] = (),
    baud: int | None = None,
    timeout: float | None = None,
    journal: AnyPath | None = None,
    resume: bool = False,
    discard: bool = False,
    compiler: CompilerName | None = None,
    emulator: EmulatorName | None = None,
    data: Paths = (),
    logits: AnyPath | None = None,
    dataset: DatasetName | None = None,
    data_folder: AnyPath | None = None,
    samples: int | None = None,
    pixels: Range | None = None,
    profile: bool = False,
    trace: bool = False,
    runtime: RuntimeName = "tinyedge",
    tflm_include: Paths = (),
    tflm_lib: AnyPath | None = None,
    tflm_arena: int | None = None,
    output: AnyPath | None = None,
    flash: bool = False,
    labgrid: str | None = None,
    cluster: str | None = None,
    chunks: AnyPath | None = None,
    listener: Listener = NOBODY,
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Runs samples through a converted model.

    Args:
        folder: what ``convert`` wrote.
        on: ``numpy``, ``twin`` or ``tflite-micro`` on this machine, ``emulator`` or ``board``.
        board: name or ``.toml`` file of what is emulated or attached.
        port: serial port of the board, or ports of several, which share the samples.
        baud: bits per second; the board's by default.
        timeout: the longest, in seconds, that a device may be silent.
        journal: file that answers of a device are written to as they come, and kept; by default one
            in ``folder``, until the run has ended.
        resume: go on with what the journal holds.
        discard: throw away what the journal holds.
        compiler: of the firmware that is emulated; ``gcc`` where installed by default, else
            ``zig``.
        emulator: by name; the first that is installed and knows the board by default.
        data: files of samples; several if they have labels.
        logits: file for the raw int8 logits of all samples (``.npy``; ``.npz`` for an array an
            output, by its name); of what ARG_MAX gives int32.
        dataset: whose test set is run in place of ``data``.
        data_folder: where its files lie; ``$TINYEDGE_DATA`` by default.
        samples: the first so many of each suite.
        pixels: what 0 and 255 of uint8 pixels stand for; by default the byte itself where the
            model's own file takes uint8, else by the model's input range.
        profile: say what each layer costs, as counted on the device.
        trace: compare every layer's output with the numpy reference.
        runtime: with ``tflm`` the samples run in a firmware with TFLite-Micro too.
        tflm_include: trees of TFLite-Micro, one or several.
        tflm_lib: ``libtensorflow-microlite.a``; without it, the package on this machine stands in.
        tflm_arena: TFLite-Micro's arena in bytes; all RAM by default.
        output: file for the record with all logits, which reports are made from.
        flash: flash attached boards first that hold another firmware.
        labgrid: place of labgrid's in which the board is: it is acquired, reset, flashed if it
            holds another firmware, and released in the end; instead of ``port``.
        cluster: ``local:N`` or ``tcp://HOST:PORT``, whose workers compute (``docs/cluster.md``);
            this process by default.
        chunks: folder of finished chunks of a cluster's work; one of the user's cache by default.
        listener: told how far it is.
        command: the command line, for that file.

    Returns:
        What ``docs/cli.md`` says of ``run --json``, without ``version`` and ``status``.

    Raises:
        BoardError, ModelError: the board is unknown, or the folder none that ``convert`` wrote.
        DataError: samples are missing, damaged, or do not fit the model.
        DeviceError, LinkError: a port is missing or busy, or the device does not answer.
        DoesNotFitError: the board's flash or RAM is too small.
        ThresholdError: a logit, or with ``trace`` a layer, differs; ``record`` is the result.
        FileError: a file cannot be written, or the journal holds answers already.
        ToolchainError: a compiler, an emulator or TFLite-Micro is missing.
        UsageError: arguments that do not go together.
    """
    _check_names(on, compiler, emulator, dataset)
    address = cluster_address(
        cluster,
        optional_path(chunks),
        {
            "--resume": resume,
            "--discard": discard,
            "--journal": journal,
            "--profile": profile,
            "--trace": trace,
            "--runtime tflm": runtime == "tflm",
            "--port": port,
            "--labgrid": labgrid,
            "--baud": baud,
        },
    )
    whole("baud", baud, 1)
    check_lab(on, port, labgrid, flash=flash)
    ports = (port,) if isinstance(port, str) else tuple(port)
    given = _Given(paths(data), dataset, optional_path(data_folder), samples, pixels)
    watching = profile or trace
    if watching:
        others = {
            "--runtime tflm": runtime == "tflm",
            "--flash": flash,
            "--labgrid": labgrid,
            "--logits": logits,
            "--resume": resume,
            "--discard": discard,
            "--journal": journal,
        }
        check_options(on, ports, others, given.sources)
    elif given.sources != 1:
        raise UsageError("give either --data or --dataset")
    _check_link(on, ports, baud, timeout, (resume, discard, journal))
    given.check()
    chosen = Runtime.of(runtime, tflm_include, tflm_lib, tflm_arena)
    inputs = _unlabelled(given.files)
    if chosen.name == "tflm":
        if on != "emulator" or inputs:
            raise UsageError("--runtime tflm goes with --on emulator and labelled samples")
        chosen.require_tflm()
    logits_file, record_file = optional_path(logits), optional_path(output)
    written = {
        "--output": record_file,
        "--logits": logits_file,
        "--journal": optional_path(journal),
    }
    read = [("DIR", Path(folder)), *(("--data", file) for file in given.files)]
    _check_files(None if watching else inputs, written, read)
    model = load_converted(Path(folder))
    target = board_of(board or DEFAULT_BOARD)
    spec = PlaceSpec(
        *(on, target, ports, emulator, compiler),
        baud=baud,
        timeout_s=timeout,
        flash=flash or labgrid is not None,
        labgrid=labgrid,
    )
    if watching:
        watched = given.all_inputs(model, inputs, listener)
        record = observe(
            model, spec, watched, samples, profile=profile, trace=trace, listener=listener
        )
        if record_file:
            save_run(record_file, record, list(command))
        return _or_raised(record, layer_difference(record))

    kept_by = (optional_path(journal), resume, discard)
    on_cluster = address and _on_cluster(address, optional_path(chunks), model, spec, listener)
    opened = partial(_opened, on_cluster or None, model, spec, kept_by, listener)
    if inputs:
        return _run_inputs(model, given, inputs, logits_file, opened, listener)
    suites = given.suites(model, listener)
    everything = opened([quantized_samples(model, suite) for suite in suites])
    ours, results = run_suites(model, suites, everything, listener)
    kept = {"logits": str(logits_file)} if logits_file else {}
    if logits_file:
        given_out = _joined([result.raw for result in results], model.graph)
        _keep_logits(logits_file, given_out, model.graph)
    if record_file:
        save_run(record_file, ours, list(command))
    if chosen.name != "tflm":
        return _or_raised(printed(ours) | kept, difference(ours, on))
    other = open_tflm(model, target, chosen.includes, chosen.library, chosen.arena)
    theirs, _ = run_suites(model, suites, other, listener)
    rows = [side_by_side("tinyedge", ours), side_by_side("tflm", theirs)]
    return _or_raised(
        {**printed(ours), **kept, "tflm": printed(theirs), "side_by_side": rows},
        difference(ours, on) or difference(theirs, "tflm"),
    )


def _or_raised(record: dict[str, Any], fault: ThresholdError | None) -> dict[str, Any]:
    """Gives the record; raises the fault with it, if there is one."""
    if fault:
        raise fault.of(record)
    return record


def _opened(
    on_cluster: AbstractContextManager[OpenPlace] | None,
    model: ConvertedModel,
    spec: PlaceSpec,
    kept_by: tuple[Path | None, bool, bool],
    listener: Listener,
    all_inputs: list[Int8],
) -> AbstractContextManager[OpenPlace]:
    """The place for all inputs of a run: on a cluster, or in this process with a journal."""
    if on_cluster:
        return on_cluster
    journalled = Journalled(all_inputs, *kept_by) if spec.on in DEVICES else None
    return open_place(model, spec, journalled, listener.remark)


@contextlib.contextmanager
def _on_cluster(
    address: ClusterAddress,
    chunks: Path | None,
    model: ConvertedModel,
    spec: PlaceSpec,
    listener: Listener,
) -> Iterator[OpenPlace]:
    """A place on a cluster's workers."""
    with opened_cluster(address, chunks, listener) as engine:
        from tinyedge.cluster.running import open_cluster_place

        with open_cluster_place(engine, model, spec, listener) as place:
            yield place


def run_suites(
    model: ConvertedModel,
    suites: Sequence[Suite],
    opened: AbstractContextManager[OpenPlace],
    listener: Listener,
) -> tuple[RunRecord, list[SuiteResult]]:
    """Runs suites where a place is opened: the record, and what became of each."""
    results = []
    with opened as (execute, about, finish, host):
        for suite in suites:
            with listener.progress(suite.name, len(suite.labels)) as advance:
                results.append(evaluate_suite(model, suite, execute, advance, host))
        record = evaluation_record(model, results, about | finish())
    return record, results


@dataclass(frozen=True)
class _Given:
    """The samples that were named.

    Attributes:
        files: of ``--data``.
        dataset: or a data set.
        folder: of the data set's files.
        count: the first so many of each suite.
        pixels: what 0 and 255 of pixels stand for.
    """

    files: tuple[Path, ...]
    dataset: DatasetName | None
    folder: Path | None
    count: int | None
    pixels: Range | None

    def check(self) -> None:
        """Raises UsageError for no samples, and for pixels of a range that is none."""
        whole("samples", self.count, 1)
        if self.pixels is not None and not -math.inf < self.pixels[0] < self.pixels[1] < math.inf:
            raise UsageError("--pixels: LOW has to be below HIGH, and both finite")

    @property
    def sources(self) -> int:
        """How many of ``--data`` and ``--dataset`` there are."""
        return bool(self.files) + bool(self.dataset)

    def suites(self, model: ConvertedModel, listener: Listener) -> list[Suite]:
        """The suites of files, or a data set's test set as one."""
        takes = ModelInput.of(model.graph, self.pixels)
        if self.files:
            suites = [suite.first(self.count) for suite in load_suite_files(self.files, takes)]
        else:
            assert self.dataset
            with listener.step(f"loading {self.dataset}"):
                grey = model.graph.input_tensor.shape[-1] == 1
                test_set = load_test_set(
                    self.dataset, self.folder, channels="grey" if grey else "rgb"
                )
            suites = [suite_of(test_set, self.dataset, takes, self.count)]
        listener.remark(*suite_remarks(suites, takes))
        return suites

    def inputs(
        self, model: ConvertedModel, path: Path, listener: Listener
    ) -> tuple[Int8, Float32 | None]:
        """Samples without labels, as a device receives them, and their targets, if there are."""
        inputs, remarks = input_samples(path, ModelInput.of(model.graph, self.pixels))
        targets = input_targets(path, len(inputs), model.graph.output_tensor.size)
        listener.remark(*remarks)
        return inputs[: self.count], None if targets is None else targets[: self.count]

    def all_inputs(
        self, model: ConvertedModel, unlabelled: Path | None, listener: Listener
    ) -> Int8 | None:
        """All samples, of sequences the first frame; None where none were named."""
        if unlabelled:
            return _first_frames(model, self.inputs(model, unlabelled, listener)[0])
        if not self.sources:
            return None
        suites = self.suites(model, listener)
        samples = [quantized_samples(model, suite) for suite in suites]
        return np.concatenate([_first_frames(model, each) for each in samples])


def _first_frames(model: ConvertedModel, samples: Int8) -> Int8:
    """The first frames of sequences; other samples as they are."""
    return reference.as_sequences(model.graph, samples)[:, 0]


def _check_names(*given: str | None) -> None:
    """Raises UsageError for an unknown place, compiler, emulator or data set."""
    allowed = {"on": PLACES, "compiler": COMPILERS, "emulator": EMULATORS, "dataset": DATASETS}
    for (name, names), value in zip(allowed.items(), given, strict=True):
        one_of(name, value, names)


def _check_link(
    on: PlaceName,
    ports: tuple[str, ...],
    baud: int | None,
    timeout: float | None,
    of_journal: tuple[bool, bool, AnyPath | None],
) -> None:
    """Raises UsageError for what was said of a link that does not go with the place."""
    above_zero(timeout=timeout)
    if (ports or baud) and on != "board":
        raise UsageError("--port and --baud go with --on board")
    if len(set(ports)) < len(ports):
        raise UsageError("--port: the same port is named twice")
    resume, discard, journal = of_journal
    if (resume or discard or journal or timeout) and on not in DEVICES:
        raise UsageError(
            "--resume, --discard, --journal and --timeout go with --on emulator or board"
        )
    if resume and discard:
        raise UsageError("--resume and --discard exclude each other")


def _unlabelled(data_files: tuple[Path, ...]) -> Path | None:
    """The file of samples without labels, if there is one; then it is the only one.

    Raises:
        DataError: a file is missing or damaged.
        UsageError: there are others beside it.
    """
    for path in data_files:
        if not holds_labels(path):
            if len(data_files) > 1:
                raise UsageError(
                    f"{path} holds no labels y; several --data are for labelled samples",
                    hint="run samples without labels by themselves",
                )
            return path
    return None


def _check_files(
    inputs: Path | None, written: dict[str, Path | None], read: list[tuple[str, Path]]
) -> None:
    """Refuses files to write that cannot be written, or that samples do not go with.

    Args:
        inputs: samples without labels.
        written: files to write, by their option.
        read: files and folders to read, each behind its option.

    Raises:
        UsageError: says what to give instead.
    """
    if inputs and written["--output"]:
        raise UsageError(
            f"-o keeps a run on labelled samples, and {inputs} holds no labels; raw logits go to "
            "--logits"
        )
    if inputs and not written["--logits"] and "y" not in (file := ArrayFile(inputs)):
        raise UsageError(
            f"{inputs} holds {', '.join(file.headers)}, and no labels y to compare with",
            hint="labels in y give accuracies and a comparison; --logits FILE keeps the raw logits",
        )
    check_outputs(written, read)


def _joined(logits: Sequence[Int8], graph: Graph) -> Int8:
    """The logits of all suites; of sequences of several lengths frame by frame."""
    if len({each.shape[1:] for each in logits}) > 1:
        shape = graph.output_tensor.shape
        return np.concatenate([each.reshape(-1, *shape) for each in logits])
    return np.concatenate(logits)


def _keep_logits(path: Path, logits: Int8, graph: Graph) -> None:
    """Writes raw logits; as a ``.npz`` file, one array an output."""
    buffer = io.BytesIO()
    if path.suffix == ".npz":
        parts = reference.split_results(graph, logits)
        names = member_names(tensor.name for tensor in graph.results)
        words = [tensor.name in graph.int32_results for tensor in graph.results]
        with zipfile.ZipFile(buffer, "w") as archive:  # numpy's savez does not take every name
            for name, part, wide in zip(names, parts, words, strict=True):
                values = reference.as_int32(part) if wide else part
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)
    else:
        wide = graph.output in graph.int32_results
        values = reference.as_int32(logits) if wide else logits
        np.save(buffer, values, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def _run_inputs(
    model: ConvertedModel,
    given: _Given,
    inputs: Path,
    logits_file: Path | None,
    opened: Callable[[list[Int8]], AbstractContextManager[OpenPlace]],
    listener: Listener,
) -> dict[str, Any]:
    samples, targets = given.inputs(model, inputs, listener)
    with (
        opened([samples]) as (execute, about, finish, _),
        listener.progress(f"running on {about['on']}", len(samples)) as advance,
    ):
        run = execute(samples, advance)
        cost = finish()
    if logits_file:
        _keep_logits(logits_file, run.logits, model.graph)
    cost |= {
        "instructions": None if run.instructions is None else float(run.instructions.mean()),
        "seconds": None if run.seconds is None else float(run.seconds.mean()),
    }
    file = str(logits_file) if logits_file else None
    kept = dict.fromkeys(("logits", "outputs"), file)  # the latter was its name before
    record = {**about, "samples": len(samples), **kept, **cost}
    if targets is not None:
        record["targets"] = asdict(target_error(model, run.logits, targets))
    if error := reconstruction_error(model, samples, run.logits):
        record["reconstruction"] = asdict(error)
    return record
