"""The commands as functions, for notebooks and scripts: convert, build, footprint, run, attack.

All raise the errors of ``tinyedge.errors`` that the commands end with. Without a folder, files go
into a temporary one, which lives as long as what was made in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from tinyedge.boards import DEFAULT_BOARD, Board
from tinyedge.commands.arguments import AnyPath, above_zero, board_of, one_of, optional_path, whole
from tinyedge.commands.conversion import (
    code_options,
    conversion_record,
    convert_file,
    imported_model,
)
from tinyedge.commands.notes import noted
from tinyedge.commands.run import run_suites
from tinyedge.errors import MissingDependencyError, ModelError, UsageError
from tinyedge.evaluation.compare import reconstruction_error, target_error
from tinyedge.evaluation.executors import Int8, Progress
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.suites import Suite, suite_of_arrays, suite_remarks
from tinyedge.evaluation.suites import load_suites as suites_of
from tinyedge.exporters.converted import ConvertedModel, load_converted
from tinyedge.firmware import project
from tinyedge.firmware.footprint import memory_record
from tinyedge.graph import reference
from tinyedge.importers import ImportResult, is_keras_model
from tinyedge.importers.result import Agreement
from tinyedge.names import (
    ARITHMETICS,
    BACKENDS,
    COMPILERS,
    DATASETS,
    DEVICES,
    EMULATORS,
    IO_TYPES,
    PLACES,
    Arithmetic,
    Backend,
    CompilerName,
    CoreName,
    DatasetName,
    DevicePlace,
    EmulatorName,
    IOType,
    Objective,
    OraclePlace,
    PlaceName,
)
from tinyedge.places import OpenPlace, PlaceSpec, open_place
from tinyedge.progress import NOBODY, Listener
from tinyedge.records.run import Run as RunRecord
from tinyedge.reports import notebook
from tinyedge.reports.footprint import (
    MEMORY_LABELS,
    firmware_footprint,
    footprint_markdown,
    network_line,
)
from tinyedge.reports.record import (
    difference,
    printed,
    save_run,
)
from tinyedge.reports.tables import suite_rows
from tinyedge.samples.labels import are_targets, checked_targets
from tinyedge.samples.reading import array_samples
from tinyedge.samples.scaling import ModelInput

Samples = AnyPath | Suite | Sequence[Suite] | NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]
"""A file of suites, suites, or arrays: ``x``, or ``(x, y)`` with labels or targets."""

_noted = noted({"timeout": "timeout_s", "suite": "samples", "data": "samples"})
"""Arguments of these classes have other names than the commands' options."""


def _numbers(name: str, value: Any) -> list[float]:
    """An argument that is a number, or several; raises UsageError for anything else."""
    try:
        return [float(number) for number in np.ravel(value)]
    except (TypeError, ValueError):
        raise UsageError(f"{name}={value!r}: has to be of numbers") from None


def _range(name: str, value: Any) -> tuple[float, float]:
    """An argument that is two numbers, the first below the second."""
    low, high = _two_numbers(name, value)
    if not low < high:
        raise UsageError(f"{name}={value!r}: two numbers, the first value below the second")
    return low, high


def _two_numbers(name: str, value: Any) -> tuple[float, float]:
    numbers = _numbers(name, value)
    if len(numbers) != 2:
        raise UsageError(f"{name}={value!r}: two numbers, the first value below the second")
    return numbers[0], numbers[1]


@_noted
def convert(
    model: Any,
    calibration: NDArray[Any] | AnyPath | None = None,
    *,
    input_range: tuple[float, float] | None = None,
    core: CoreName | None = None,
    board: AnyPath | None = None,
    optimize: Objective = "speed",
    keep_constant_channels: bool = False,
    folder: AnyPath | None = None,
    listener: Listener = NOBODY,
    command: str = "",
) -> Model:
    """Converts a model to the integer graph, packed C and a ``.tflite`` file.

    Args:
        model: a ``tf_keras.Model`` (with QKeras' layers or Keras' own), or a path: what ``tinyedge
            convert`` takes.
        calibration: real inputs (n, *input shape), floats, or uint8 images, which are taken as the
            model itself takes pixels; or the path of such. For activations without a quantizer of
            their own.
        input_range: smallest and largest input value; that of ``calibration`` by default, else
            (0, 255) where the model scales pixels itself, else (0, 1).
        core: whose instructions the kernels are chosen by; ``board``'s by default, else
            ``cortex-m4``.
        board: name or ``.toml`` file of the board that it is for, in place of ``core``.
        optimize: for ``speed``, with no larger an arena than TFLite-Micro's where weights have 8
            bits; ``fastest``, whatever scratch that takes; for the ``size`` of the flash image; or
            for the least ``ram``.
        keep_constant_channels: of a ``.tflite`` file, keeps channels that never change; by default
            they are taken out, which changes no result.
        folder: to write into, as ``--output``; a temporary one by default.
        listener: told how far it is, and what ``Model.notes`` and ``Model.agreement`` hold.
        command: what the files say that they were made by; this function and the model's name by
            default.

    Raises:
        ModelError: the model cannot be read, or holds something that is not supported.
        DataError: ``calibration`` does not fit.
        UsageError: ``calibration`` or ``input_range`` for a model that has its own integers; an
            unknown ``core`` or ``optimize``, or both ``core`` and ``board``.
        BoardError: the board is unknown.
    """
    options = code_options(core, board, optimize)
    calibration = _samples_or_path(calibration)
    with _model_file(model) as path:
        kept = _Folder(folder)
        converted, agreement = convert_file(
            path,
            calibration,
            None if input_range is None else _two_numbers("input_range", input_range),
            options,
            kept.path,
            listener,
            keep_constant_channels=keep_constant_channels,
            command=command or f"tinyedge.convert {path.name}",
        )
    return Model(converted, kept, agreement)


@_noted
def convert_to_hls4ml(
    model: Any,
    calibration: NDArray[Any] | AnyPath | None = None,
    *,
    folder: AnyPath,
    input_range: tuple[float, float] | None = None,
    backend: Backend = "vitis",
    io: IOType = "parallel",
    arithmetic: Arithmetic = "exact",
    reuse_factor: int = 1,
    part: str | None = None,
    clock_period: float = 5.0,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Writes an hls4ml project for an FPGA: ``tinyedge convert --to hls4ml``.

    Args:
        model: a ``tf_keras.Model`` with QKeras' layers, or the path of such.
        calibration: see ``convert``.
        folder: to write into, as ``--output``.
        input_range: see ``convert``.
        backend: whose tools the project is for: ``vitis`` or ``vivado``.
        io: ``parallel``: whole tensors; ``stream``: one pixel after the other.
        arithmetic: scale sums ``exact``, as the microcontroller does, or ``plain``.
        reuse_factor: how often a multiplier works in one result of a layer, 1 or more.
        part: FPGA part number; hls4ml's own by default.
        clock_period: of the FPGA, in nanoseconds.
        listener: told how far it is.

    Returns:
        ``folder``, and ``project`` as ``docs/hls4ml.md`` has it.

    Raises:
        ModelError: the model cannot be read, or hls4ml cannot do a layer.
        DataError: ``calibration`` does not fit.
        UsageError: the model is no QKeras model, or an argument none of those named.
        MissingDependencyError: hls4ml is not installed.
    """
    one_of("backend", backend, BACKENDS)
    one_of("io", io, IO_TYPES)
    one_of("arithmetic", arithmetic, ARITHMETICS)
    whole("reuse_factor", reuse_factor, 1)
    above_zero(clock_period=clock_period)
    with _imported(model, calibration, input_range, listener) as (path, imported):
        if not is_keras_model(path):
            raise UsageError("--to hls4ml takes a QKeras model (.h5, .keras, SavedModel)")
        from tinyedge.exporters.hls4ml.project import write_project

        with listener.step("writing the hls4ml project"):
            project = write_project(
                path,
                imported,
                Path(folder),
                backend=backend,
                io_type=io,
                arithmetic=arithmetic,
                reuse_factor=reuse_factor,
                part=part,
                clock_period=clock_period,
            )
    listener.remark(*(f"note: {note}" for note in project.notes))
    return {"folder": str(folder), "project": project.record}


@contextlib.contextmanager
def _imported(
    model: Any,
    calibration: NDArray[Any] | AnyPath | None,
    input_range: tuple[float, float] | None,
    listener: Listener,
) -> Iterator[tuple[Path, ImportResult]]:
    """The file of a model, and what was imported from it."""
    if input_range is not None:
        input_range = _two_numbers("input_range", input_range)
    with _model_file(model) as path:
        with listener.step(f"reading {path.name}"):
            imported = imported_model(path, _samples_or_path(calibration), input_range)
        yield path, imported


def _samples_or_path(given: Any) -> NDArray[Any] | AnyPath | None:
    """Samples at hand as an array; a path, or nothing, as it is."""
    if given is None or isinstance(given, str | PathLike):
        return given
    return np.asarray(given)


@_noted
def load(folder: AnyPath) -> Model:
    """Loads a folder that ``convert``, here or as a command, wrote.

    Raises:
        ModelError: it is none, or damaged.
    """
    return Model(load_converted(Path(folder)), _Folder(folder))


@_noted
def load_suites(path: AnyPath) -> list[Suite]:
    """Reads a file of suites, or of samples ``x`` with labels ``y``.

    Raises:
        DataError: it is missing, damaged or holds none.
    """
    return suites_of(Path(path))


class Crafted(list[Suite]):
    """Suites that ``attack`` has crafted: the clean one, and those of the attacks.

    Attributes:
        record: what ``tinyedge attack --json`` prints, without ``version`` and ``status``; None
            without ``output``, as only what is saved is judged.
    """

    record: dict[str, Any] | None = None

    def _repr_html_(self) -> str:
        return notebook.html([notebook.crafted_table(self)])

    def _repr_markdown_(self) -> str:
        return notebook.markdown([notebook.crafted_table(self)])


@_noted
def attack(
    model: Any,
    samples: Samples | None = None,
    attacks: str | Sequence[str] | None = None,
    *,
    epsilon: float | str | Sequence[float | str] | None = None,
    clip: tuple[float, float] | None = None,
    output: AnyPath | None = None,
    count: int | None = None,
    dataset: DatasetName | None = None,
    data_folder: AnyPath | None = None,
    surrogate: AnyPath | None = None,
    start: str | None = None,
    temperature: float | None = None,
    on: OraclePlace | None = None,
    board: AnyPath | None = None,
    port: str | None = None,
    baud: int | None = None,
    timeout: float | None = None,
    emulator: EmulatorName | None = None,
    compiler: CompilerName | None = None,
    query_budget: int | None = None,
    float_model: AnyPath | None = None,
    journal: AnyPath | None = None,
    resume: bool = False,
    discard: bool = False,
    flash: bool = False,
    labgrid: str | None = None,
    cluster: str | None = None,
    chunks: AnyPath | None = None,
    listener: Listener = NOBODY,
    **settings: Any,
) -> Crafted:
    """Crafts adversarial samples on a float model, or on a converted one.

    A converted model is attacked by its answers; on this machine (``numpy``, ``twin``) ``fgsm``,
    ``pgd``, ``apgd`` and ``autoattack`` go by the gradients of its integers, in whole int8 steps.

    Args:
        model: a ``tf_keras.Model``; the path of a Keras model or of a training's run; or the folder
            of a converted model, with ``on``.
        samples: labelled, as ``--data``; of several suites the first. By default what a run was
            tested on, or the images of the demonstration.
        attacks: their names: ``fgsm``, ``pgd``, ``square``, … (``docs/attacks.md``); ``fgsm`` and
            ``pgd`` by default, ``square`` on a converted model.
        epsilon: largest change of any input value, in units of the float input, as ``0.1`` or
            ``"8/255"``; 8/255 of the range ``clip`` by default. With several, L-infinity attacks
            are crafted at each. Gradients of integers take it rounded down to int8 steps.
        clip: range that samples stay in; by default that of a run or a converted model, else
            (0, 1).
        output: file for the suites (``.npz``), which then are judged.
        count: attack so many, as ``--samples``; all by default.
        dataset: whose test set is attacked in place of ``samples``.
        data_folder: where its files lie; ``$TINYEDGE_DATA`` by default.
        surrogate: model or run that transfer attacks are crafted on.
        start: ``FILE[:NAME]`` of the suite that ``refine`` starts from.
        temperature: that attacks divide the logits by; a run's by default, else 1.
        on: where a converted model runs: ``numpy``, ``twin``, ``emulator`` or ``board``.
        board: of devices; this and those down to ``float_model`` are for a converted model.
        port: of the board.
        baud: bits per second.
        timeout: the longest, in seconds, that the device may be silent.
        emulator: by name.
        compiler: of the firmware that is emulated.
        query_budget: queries that an attack has for each sample, and at each epsilon.
        float_model: model or run whose logits the suites get.
        journal: keeps what is found until all is written; ``output`` with ``.journal`` appended by
            default, none without either.
        resume: go on with the journal of an interrupted attack.
        discard: throw away what the journal holds.
        flash: flash the board first if it holds another firmware.
        labgrid: place of labgrid's in which the board is, instead of ``port``; it is flashed if it
            holds another firmware.
        cluster: ``local:N`` or ``tcp://HOST:PORT``, whose workers craft
            (``docs/cluster.md``); this process by default.
        chunks: folder of finished chunks of a cluster's work; one of the user's cache by default.
        listener: told how far it is; without one, what it would hear of becomes warnings.
        **settings: others of ``tinyedge.attacks.AttackSettings``: ``iterations``, ``seed``, …

    Returns:
        The clean suite, and one an attack, with the float model's logits; of several epsilons one
        at each, named ``ATTACK@EPSILON``.

    Raises:
        UsageError: an attack is unknown, an epsilon not positive, there twice or below one int8
            step, samples have no labels, or arguments do not go together.
        ModelError, DataError: the model cannot be read, or takes other samples.
        DeviceError, LinkError: a device is missing, or does not answer.
        FileError: a file cannot be written, or the journal holds something already.
        MissingDependencyError: ART or TensorFlow is not installed.
    """
    from tinyedge.commands.attack import Subject, craft
    from tinyedge.commands.attack_oracle import OracleOptions

    _attack_settings(settings)
    one_of("dataset", dataset, DATASETS)
    whole("count", count, 1)
    above_zero(temperature=temperature)
    if clip is not None:
        low, high = _two_numbers("clip", clip)
        clip = low, high
    options = OracleOptions(
        on,
        board,
        port,
        baud,
        timeout,
        emulator,
        compiler,
        query_budget,
        optional_path(journal),
        resume,
        discard,
        optional_path(float_model),
        cluster,
        optional_path(chunks),
        flash,
        labgrid,
    )
    data: Path | Suite | None = None
    if isinstance(samples, str | PathLike):
        data = Path(samples)
    elif samples is not None:
        data = _suites(samples)[0]
    with _model_file(model) as path:
        suites, record = craft(
            Subject(
                path,
                data,
                dataset,
                optional_path(data_folder),
                count,
                optional_path(surrogate),
                start,
            ),
            attacks if attacks is None or isinstance(attacks, str) else ",".join(attacks),
            None if epsilon is None else _epsilons(epsilon),
            clip,
            temperature,
            options,
            optional_path(output),
            _Warning() if listener is NOBODY else listener,
            settings,
        )
    crafted = Crafted(suites)
    crafted.record = record
    return crafted


def _epsilons(given: float | str | Sequence[float | str]) -> tuple[float, ...]:
    """Numbers, and texts of numbers and fractions, from the smallest to the largest."""
    from tinyedge.attacks.settings import checked_epsilons
    from tinyedge.naming import epsilon_number

    try:
        parts = (
            given.split(",") if isinstance(given, str) else list(np.ravel(np.array(given, object)))
        )
        numbers = [epsilon_number(part) if isinstance(part, str) else float(part) for part in parts]
    except (TypeError, ValueError, ZeroDivisionError):
        raise UsageError(f"epsilon={given!r}: has to be of numbers, or of fractions") from None
    return checked_epsilons(numbers)


class _Warning:
    """Warns of remarks, and hears nothing else."""

    def remark(self, *messages: str) -> None:
        for message in messages:
            warnings.warn(message, stacklevel=5)

    step = staticmethod(NOBODY.step)
    progress = staticmethod(NOBODY.progress)


def _attack_settings(given: dict[str, Any]) -> None:
    """Raises UsageError for a setting that attacks do not have."""
    from tinyedge.attacks import AttackSettings

    taken = ("epsilon", "epsilons", "clip", "temperature")
    known = [each.name for each in dataclasses.fields(AttackSettings) if each.name not in taken]
    for name in given:
        if name not in known:
            raise UsageError(f"{name}: no setting of attacks; they are {', '.join(known)}")


@dataclass(frozen=True, eq=False)
class Model:
    """A converted model; ``convert`` and ``load`` give it.

    Attributes:
        converted: the folder and what it holds: graph, manifest, files.
        agreement: with the Keras model on calibration data, where ``convert`` had some.
    """

    converted: ConvertedModel
    _kept: _Folder = field(repr=False)
    agreement: Agreement | None = None

    @property
    def record(self) -> dict[str, Any]:
        """The record printed by ``tinyedge convert --json``, without ``version`` and ``status``."""
        return conversion_record(self.converted, self.agreement)

    @property
    def folder(self) -> Path:
        """Where ``model.c``, ``model.h``, ``model.tflite`` and the rest lie."""
        return self.converted.folder

    @property
    def notes(self) -> list[str]:
        """Remarks on the import that are worth knowing."""
        return list(self.converted.manifest["notes"])

    @_noted
    def build(
        self,
        board: AnyPath = DEFAULT_BOARD,
        *,
        compiler: CompilerName | None = None,
        folder: AnyPath | None = None,
    ) -> Firmware:
        """Compiles the firmware for a board.

        Args:
            board: its name, or the path of a ``.toml`` file.
            compiler: ``gcc`` where installed, else ``zig``.
            folder: to write into; one in the model's by default.

        Raises:
            BoardError: the board is unknown.
            DoesNotFitError: its flash or RAM is too small.
            ToolchainError: there is no compiler, or it fails.
        """
        one_of("compiler", compiler, COMPILERS)
        target = Path(folder) if folder else None
        built = project.build_firmware(self.converted, board_of(board), compiler, target)
        return Firmware(self, built)

    @_noted
    def footprint(
        self, board: AnyPath = DEFAULT_BOARD, *, compiler: CompilerName | None = None
    ) -> Footprint:
        """Builds for a board, and lists what uses its flash and RAM; raises as ``build``."""
        return self.build(board, compiler=compiler).footprint

    @_noted
    def run(
        self,
        samples: Samples,
        on: PlaceName = "numpy",
        *,
        board: AnyPath = DEFAULT_BOARD,
        compiler: CompilerName | None = None,
        port: str | Sequence[str] = (),
        emulator: EmulatorName | None = None,
        baud: int | None = None,
        timeout_s: float | None = None,
        pixels: tuple[float, float] | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Runs samples, and compares every logit with the integer graph's.

        Args:
            samples: see ``Firmware.run``.
            on: ``numpy``, ``twin`` or ``tflite-micro`` for this machine; ``emulator`` or ``board``
                for ``build(board, compiler=compiler).run(...)``, with its options.
            board: for devices.
            compiler: see ``build``; this and all below are for devices.
            port: see ``Firmware.run``, also for those below.
            emulator: by name.
            baud: bits per second.
            timeout_s: in seconds.
            pixels: see ``Firmware.run``; for every place.
            progress: called with the number of samples that are done since the last call.

        Raises:
            UsageError: the place, the compiler or the emulator is unknown, or does not go with the
                rest.
            DataError: the samples do not fit the model.
            ToolchainError: the twin's compiler or TFLite-Micro is missing.
        """
        one_of("on", on, PLACES)
        if on == "emulator" or on == "board":  # noqa: PLR1714 - narrows the type
            _check_device(on, port, emulator, baud, timeout_s)  # before anything is built
            built = self.build(board, compiler=compiler)
            return built.run(
                samples,
                on,
                port=port,
                emulator=emulator,
                baud=baud,
                timeout_s=timeout_s,
                pixels=pixels,
                progress=progress,
            )
        options = {
            "compiler": compiler,
            "port": port,
            "emulator": emulator,
            "baud": baud,
            "timeout_s": timeout_s,
        }
        if named := [name for name, value in options.items() if value]:
            raise UsageError(f"{', '.join(named)}: goes with on='emulator' or 'board'")
        with open_place(self.converted, PlaceSpec(on)) as place:
            return _run(self.converted, samples, place, progress, pixels)

    def __repr__(self) -> str:
        manifest = self.converted.manifest
        return (
            f"Model({manifest['name']}: {manifest['parameters']:,} parameters, "
            f"{manifest['weight_bytes']:,} bytes of packed weights, {manifest['macs']:,} MACs)"
        )

    def _repr_markdown_(self) -> str:
        return notebook.markdown([notebook.layer_table(self.converted.manifest["layers"])])

    def _repr_html_(self) -> str:
        return notebook.html([notebook.layer_table(self.converted.manifest["layers"])])


@dataclass(frozen=True, eq=False)
class Firmware:
    """A firmware for a board; ``Model.build`` gives it.

    Attributes:
        model: that it computes.
        built: its files, compiler and board.
    """

    model: Model
    built: project.Firmware

    @property
    def board(self) -> Board:
        """The board that the firmware is for."""
        return self.built.board

    @property
    def elf(self) -> Path:
        """The program."""
        return self.built.elf

    @property
    def memory(self) -> dict[str, Any]:
        """Bytes of flash and RAM, as ``tinyedge build --json`` has them; no stack before a run."""
        return memory_record(self.built.footprint, self.board, None)

    @property
    def flash(self) -> int:
        """Bytes of flash."""
        return int(self.memory["flash"]["total"])

    @property
    def ram(self) -> int:
        """Bytes of RAM, the stack not counted."""
        return int(self.memory["ram"]["total"])

    @cached_property
    def footprint(self) -> Footprint:
        """The use of flash and RAM, by layer and symbol."""
        return Footprint(firmware_footprint(self.model.converted, self.built))

    @_noted
    def run(
        self,
        samples: Samples,
        on: DevicePlace = "emulator",
        *,
        port: str | Sequence[str] = (),
        emulator: EmulatorName | None = None,
        baud: int | None = None,
        timeout_s: float | None = None,
        pixels: tuple[float, float] | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Runs samples on the device, and compares every logit with the integer graph's.

        Args:
            samples: a file of suites (``.npz``), suites, ``(x, y)`` with labels, or ``x``: int8
                (n, *input shape), or floats or uint8 images, which are quantized on the way.
            on: ``emulator``, or ``board``, which holds this firmware already (``tinyedge flash``).
            port: of the board, or ports of several.
            emulator: by default the first that is installed and has the board.
            baud: bits per second; the board's by default.
            timeout_s: the longest, in seconds, that the device may be silent.
            pixels: what 0 and 255 of uint8 images stand for; by default the byte is the input
                itself where the model's own file takes uint8, else by the model's input range.
            progress: called with the number of samples that are done since the last call.

        Raises:
            DataError: the samples do not fit the model.
            ToolchainError: there is no emulator.
            DeviceError: the port is not named, missing or busy.
            LinkError: the device does not answer, or holds another model.
        """
        _check_device(on, port, emulator, baud, timeout_s)
        spec = PlaceSpec(
            on,
            self.board,
            (port,) if isinstance(port, str) else tuple(port),
            emulator,
            firmware=self.built,
            baud=baud,
            timeout_s=timeout_s,
        )
        with open_place(self.model.converted, spec) as place:
            return _run(self.model.converted, samples, place, progress, pixels)

    def __repr__(self) -> str:
        return (
            f"Firmware({self.board.name}, {self.built.compiler}: {self.flash:,} bytes of flash, "
            f"{self.ram:,} bytes of RAM)"
        )

    def _repr_markdown_(self) -> str:
        return notebook.markdown([notebook.memory_table(self.memory)])

    def _repr_html_(self) -> str:
        memory = self.memory
        return notebook.html([notebook.memory_bars(memory), notebook.memory_table(memory)])


@dataclass(frozen=True)
class Footprint:
    """The use of a board's flash and RAM.

    Attributes:
        record: what ``tinyedge footprint --json`` prints, without ``status``.
    """

    record: dict[str, Any] = field(repr=False)

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Bytes of flash by layer: ``name``, ``kernel``, ``weights``, ``biases``, …, ``flash``."""
        return list(self.record["layers"])

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{self.record[memory]['total']:,} bytes of {label}"
            for memory, label in MEMORY_LABELS.items()
        )
        return f"Footprint({self.record['board'] or 'of no board'}: {sizes})"

    def _repr_markdown_(self) -> str:
        return footprint_markdown(self.record)

    def _repr_html_(self) -> str:
        line = escape(network_line(self.record))
        return notebook.html([f"<p>{line}</p>", *notebook.footprint_tables(self.record)])


@dataclass(frozen=True, eq=False)
class SuiteResult:
    """The outcome of one suite on a device.

    Attributes:
        name: of the suite.
        logits: int8 (n, *output shape) of the device.
        labels: int64 (n,), or None where there were none.
        accuracy: share of samples whose verdict is the label, see ``evaluation.metrics.verdicts``:
            the class of the largest logit; of a model of one output 1 where its real value is above
            0, or above 0.5 behind a logistic, else 0. None without labels.
        interval: its 95 % score interval; None without labels.
        mismatches: logits in which device and integer graph differ.
    """

    name: str
    logits: Int8
    labels: NDArray[np.int64] | None
    accuracy: float | None
    interval: tuple[float, float] | None
    mismatches: int

    def __repr__(self) -> str:
        shown = "" if self.accuracy is None else f"accuracy {100 * self.accuracy:.2f} %, "
        differing = f"{self.mismatches} logits differ"
        return f"SuiteResult({self.name}: {len(self.logits):,} samples, {shown}{differing})"


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of a run; ``Firmware.run`` and ``Model.run`` give it.

    Attributes:
        record: what ``tinyedge run --json`` prints, without ``status``.
        suites: by name.
    """

    record: dict[str, Any]
    suites: dict[str, SuiteResult]
    _whole: RunRecord | None = field(default=None, repr=False)

    @_noted
    def save(self, path: AnyPath) -> None:
        """Writes what ``tinyedge run -o`` writes, of which ``tinyedge report`` makes reports.

        Raises:
            UsageError: the run was one without labels.
        """
        if self._whole is None:
            raise UsageError("a report takes labelled samples: run (x, y), or suites")
        save_run(Path(path), self._whole, [])

    @_noted
    def __getitem__(self, name: str) -> SuiteResult:
        if not isinstance(name, str) or name not in self.suites:
            raise UsageError(f"no suite {name!r}: one of {', '.join(self.suites)}")
        return self.suites[name]

    @_noted
    def to_dataframe(self) -> Any:
        """The figures as a ``pandas.DataFrame``, a row a suite.

        Columns: ``suite``, ``attack``, ``norm``, ``epsilon`` (units of the float input),
        ``samples``; ``accuracy_float``, ``accuracy_host``, ``accuracy_device`` and the ends ``low``
        and ``high`` of the device's 95 % interval, in [0, 1]; ``differing_samples``,
        ``differing_logits``; ``instructions`` and ``seconds`` of an inference, on average. Missing
        where they are not known, as accuracies without labels.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError(
                f"a data frame needs pandas ({error})",
                hint=f"{sys.executable} -m pip install pandas",
            ) from error
        return pd.DataFrame(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        if self._whole is not None:
            return suite_rows(self._whole)
        return [
            {
                "suite": suite.name,
                "samples": len(suite.logits),
                "differing_logits": suite.mismatches,
            }
            for suite in self.suites.values()
        ]

    @property
    def logits(self) -> Int8:
        """Logits of all samples, int8 (n, *output shape), in the order they were given."""
        return np.concatenate([suite.logits for suite in self.suites.values()])

    @property
    @_noted
    def accuracy(self) -> float | None:
        """The accuracy of the only suite; raises UsageError where there are several."""
        return self._only.accuracy

    @property
    @_noted
    def interval(self) -> tuple[float, float] | None:
        """The 95 % score interval of ``accuracy``."""
        return self._only.interval

    @property
    def mismatches(self) -> int:
        """Logits, of all suites, in which device and integer graph differ."""
        return sum(suite.mismatches for suite in self.suites.values())

    @_noted
    def require_equal(self) -> Result:
        """Gives itself; raises ThresholdError where any logit differs, as the command fails."""
        if self._whole and (fault := difference(self._whole, self.record["on"])):
            raise fault
        return self

    @property
    def _only(self) -> SuiteResult:
        if len(self.suites) != 1:
            raise UsageError(f"which suite? result[NAME], of {', '.join(self.suites)}")
        return next(iter(self.suites.values()))

    def __repr__(self) -> str:
        shown = ", ".join(
            suite.name + ("" if suite.accuracy is None else f" {100 * suite.accuracy:.2f} %")
            for suite in self.suites.values()
        )
        return f"Result(on {self.record['on']}: {shown}; {self.mismatches} logits differ)"

    def _tables(self) -> list[notebook.Table]:
        if "suites" not in self.record:
            return []
        tables = [notebook.suite_table(self.record["suites"], self.record["on"])]
        if "memory" in self.record:
            tables.append(notebook.memory_table(self.record["memory"]))
        return tables

    def _repr_markdown_(self) -> str:
        return notebook.markdown(self._tables()) or repr(self)

    def _repr_html_(self) -> str | None:
        bars = [notebook.memory_bars(self.record["memory"])] if "memory" in self.record else []
        return notebook.html([*self._tables(), *bars]) or None


def _check_device(
    on: str,
    port: str | Sequence[str],
    emulator: EmulatorName | None,
    baud: int | None,
    timeout_s: float | None,
) -> None:
    """Raises UsageError for arguments of a device that are unknown or do not go together."""
    one_of("on", on, DEVICES)
    one_of("emulator", emulator, EMULATORS)
    if (port or baud) and on != "board":
        raise UsageError("port and baud go with on='board'")
    for name, value in (("baud", baud), ("timeout_s", timeout_s)):
        if value is not None and not min(_numbers(name, value), default=0) > 0:
            raise UsageError(f"{name}={value!r}: a number above 0")


class _Folder:
    """A folder to write into; a temporary one is removed when nobody uses it any more."""

    def __init__(self, folder: AnyPath | None) -> None:
        if folder is not None:
            self.path = Path(folder)
            return
        self.path = Path(tempfile.mkdtemp(prefix="tinyedge-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@contextlib.contextmanager
def _model_file(model: Any) -> Iterator[Path]:
    """The file of a model; one that is at hand is saved for as long as it is needed."""
    if isinstance(model, str | PathLike):
        yield Path(model)
        return
    if isinstance(model, Model):
        raise ModelError("a converted model is no float model", hint="give the Keras model")
    from tinyedge.keras.save import save_keras_model

    with tempfile.TemporaryDirectory(prefix="tinyedge-") as folder:
        yield save_keras_model(model, Path(folder))


def _suites(samples: Samples) -> list[Suite]:
    """Labelled samples as suites."""
    if isinstance(samples, str | PathLike):
        return suites_of(Path(samples))
    if isinstance(samples, Suite):
        return [samples]
    if isinstance(samples, tuple) and len(samples) == 2 and not isinstance(samples[0], Suite):
        x, y = samples
        return [suite_of_arrays(np.asarray(x), np.asarray(y))]
    suites = list(samples) if isinstance(samples, Iterable) else []
    if not suites or not all(isinstance(suite, Suite) for suite in suites):
        raise UsageError("samples have to be a file of suites, suites, or arrays (x, y)")
    return suites


def _run(
    model: ConvertedModel,
    samples: Samples,
    opened: OpenPlace,
    progress: Progress | None,
    pixels: tuple[float, float] | None,
) -> Result:
    """Runs samples where a place is open, and compares."""
    takes = ModelInput.of(model.graph, None if pixels is None else _range("pixels", pixels))
    if isinstance(samples, np.ndarray):
        return _run_array(model, samples, None, opened, progress, takes)
    if _with_targets(samples):
        x, y = samples
        return _run_array(model, np.asarray(x), np.asarray(y), opened, progress, takes)
    suites = _suites(samples)
    if len({suite.name for suite in suites}) < len(suites):
        raise UsageError("two suites have the same name")
    suites = [suite.fitted(takes) for suite in suites]
    for remark in suite_remarks(suites, takes):
        warnings.warn(remark, stacklevel=4)
    record, results = run_suites(
        model, suites, contextlib.nullcontext(opened), _Counting(progress or (lambda _: None))
    )
    return Result(
        printed(record),
        {
            suite.name: SuiteResult(
                suite.name,
                result.run.logits,
                suite.labels,
                found.accuracy.device,
                wilson_interval(found.accuracy.device, found.samples),
                found.mismatched_logits,
            )
            for suite, result, found in zip(suites, results, record.suites, strict=True)
        },
        record,
    )


@dataclass(frozen=True)
class _Counting:
    """A listener that passes on how many samples are done."""

    advance: Progress

    remark = staticmethod(NOBODY.remark)
    step = staticmethod(NOBODY.step)

    @contextlib.contextmanager
    def progress(self, label: str, total: int) -> Iterator[Progress]:  # noqa: ARG002
        yield self.advance


def _with_targets(samples: Samples) -> TypeGuard[tuple[NDArray[Any], NDArray[Any]]]:
    """Whether samples come with targets of a regression."""
    return (
        isinstance(samples, tuple)
        and len(samples) == 2
        and not isinstance(samples[0], Suite)
        and are_targets(np.asarray(samples[1]))
    )


def _run_array(
    model: ConvertedModel,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    opened: OpenPlace,
    progress: Progress | None,
    takes: ModelInput,
) -> Result:
    """The same of samples without labels, or with targets."""
    execute, about, finish, _ = opened
    inputs, remarks = array_samples(x, takes)
    outputs = model.graph.output_tensor.size
    targets = None if y is None else checked_targets("samples", y, len(inputs), outputs)
    for remark in remarks:
        warnings.warn(remark, stacklevel=5)
    run = execute(inputs, progress)
    differing = int((run.logits != reference.run(model.graph, inputs)).sum())
    record = {**about, "samples": len(inputs), "mismatched_logits": differing, **finish()}
    if error := reconstruction_error(model, inputs, run.logits):
        record["reconstruction"] = dataclasses.asdict(error)
    if targets is not None:
        record["targets"] = dataclasses.asdict(target_error(model, run.logits, targets))
    return Result(
        record, {"samples": SuiteResult("samples", run.logits, None, None, None, differing)}
    )
