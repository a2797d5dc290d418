"""Whether a board, attached or emulated, does all that tinyedge asks of one."""

from __future__ import annotations

import contextlib
import datetime as dt
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import fspath
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

import tinyedge
from tinyedge.boards import Board
from tinyedge.boards.bench_file import BenchBoard, read_bench
from tinyedge.commands.arguments import AnyPath, board_of, check_outputs, one_of, optional_path
from tinyedge.commands.notes import noted
from tinyedge.errors import DeviceError, ThresholdError, TinyEdgeError, UsageError
from tinyedge.evaluation import observation
from tinyedge.evaluation.devices import Device
from tinyedge.evaluation.executors import Int8
from tinyedge.evaluation.session import attached_devices, emulated_firmware
from tinyedge.evaluation.witnesses import random_inputs
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.files import json_text, write_atomically
from tinyedge.firmware.observation import observed_layers
from tinyedge.firmware.project import Firmware, build_firmware
from tinyedge.graph import reference
from tinyedge.link.proxy import DamagedLine, Faults
from tinyedge.models.selftest import selftest_network
from tinyedge.names import (
    COMPILERS,
    DEVICES,
    EMULATORS,
    FLASH_TOOLS,
    CompilerName,
    DevicePlace,
    EmulatorName,
    FlashToolName,
)
from tinyedge.progress import NOBODY, Listener
from tinyedge.reports.selftest import failure_of, selftest_markdown
from tinyedge.targets import flashing, require_emulator
from tinyedge.targets.attached import describe_ports

RATES = (115_200, 230_400, 460_800, 921_600)
"""Baud rates that are tried, of those that the part makes."""
FAULT_RATE = 1e-3
"""Faults a byte in the step ``faults``, in each direction."""
_SAMPLES = 8
_PINGS = 20
_FAULTY_SAMPLES = 40


@dataclass(frozen=True)
class _Bench:
    """Where the test takes place.

    Attributes:
        board: as it is described.
        model: that it runs.
        on: ``emulator`` or ``board``.
        port, tool, probe: of an attached board.
        emulator, compiler: as they were asked for.
        folder: for builds.
    """

    board: Board
    model: ConvertedModel
    on: DevicePlace
    port: str | None
    tool: FlashToolName | None
    probe: str | None
    emulator: EmulatorName | None
    compiler: CompilerName | None
    folder: Path

    def build(self, board: Board) -> Firmware:
        """The firmware whose layers can be watched."""
        folder = self.folder / str(board.uart.baud)
        return build_firmware(self.model, board, self.compiler, folder, observe=True)

    @contextlib.contextmanager
    def device(self, firmware: Firmware) -> Iterator[Device]:
        """Flashes the firmware, or starts the emulator, and opens the link."""
        if self.on == "emulator":
            with emulated_firmware(self.model, firmware, self.emulator) as emulated:
                yield emulated.device
            return
        assert self.port
        through = _flash_port(firmware.board, self.tool, self.port)
        planned = flashing.plan(firmware.board, firmware.image, self.tool, through, self.probe)
        flashing.flash(planned)
        with attached_devices(self.model, firmware.board, [self.port]) as [device]:
            yield device


def _flash_port(board: Board, tool: FlashToolName | None, port: str) -> str | None:
    """The port, where the tool that flashes takes it; the link does in any case."""
    return port if flashing.takes_port(board, tool) else None


class _Steps:
    """The steps that were tried, and their outcomes."""

    def __init__(self, listener: Listener) -> None:
        self.done: list[dict[str, Any]] = []
        self._listener = listener

    def run(self, name: str, step: Callable[[], str | None]) -> bool:
        """Takes a step, which gives what is wrong, or raises it."""
        began = time.monotonic()
        with self._listener.step(name):
            try:
                wrong = step()
            except TinyEdgeError as error:
                wrong = str(error)
        took = round(time.monotonic() - began, 3)
        self.done.append({"step": name, "passed": wrong is None, "seconds": took, "wrong": wrong})
        return wrong is None


@noted()
def selftest(
    *,
    board: AnyPath | None = None,
    bench: AnyPath | None = None,
    on: DevicePlace | None = None,
    port: str | None = None,
    emulator: EmulatorName | None = None,
    compiler: CompilerName | None = None,
    tool: FlashToolName | None = None,
    probe: str | None = None,
    rates: Sequence[int] = RATES,
    output: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Flashes a small network, and tries kernels, link, recovery from faults, and timing.

    Args:
        board: its name, or the path of a ``.toml`` file.
        bench: a file that lists the boards of a lab in the place of one board: ``docs/boards.md``.
            All are tried, one after the other, whatever becomes of those before.
        on: ``board``, which is flashed, by default; or ``emulator``.
        port: serial port of the attached board.
        emulator: the first that is installed and has the board by default.
        compiler: ``gcc`` where installed by default, else ``zig``.
        tool: that flashes; the first of the board's description that is installed by default.
        probe: serial number of the debug probe or drive, of several.
        rates: baud rates to try beside the board's own; those that the part does not make are left
            out.
        output: file of the report: Markdown where it ends in ``.md``, else JSON.
        listener: told how far it is.

    Returns:
        ``passed``; ``board``, ``mcu``, ``core``, ``clock_hz``, ``on``, ``emulator``, ``compiler``,
        ``versions``, ``date`` (UTC); ``steps`` with ``step``, ``passed``, ``seconds`` and what is
        ``wrong``; ``round_trip_ms``; ``kernels``, a layer each; ``timing``; ``faults``; ``rates``.
        With ``bench``: ``passed``, and ``boards``, such a record each, where it has ``error`` and
        neither steps nor what follows from them if the test could not begin.

    Raises:
        BoardError: the board is unknown.
        DeviceError: no port was named.
        DoesNotFitError: the board's flash or RAM is too small for the network.
        ThresholdError: a step failed, or a board of the bench; ``record`` is the result.
        ToolchainError: a compiler, an emulator or a tool is missing.
        UsageError: arguments that do not go together.
    """
    one_of("on", on, DEVICES)
    one_of("emulator", emulator, EMULATORS)
    one_of("compiler", compiler, COMPILERS)
    one_of("tool", tool, FLASH_TOOLS)
    report = optional_path(output)
    check_outputs({"--output": report})
    if bench is not None:
        chosen: dict[str, object] = {
            "--board": board,
            "--port": port,
            "--tool": tool,
            "--probe": probe,
            "--emulator": emulator,
            "--compiler": compiler,
            "--on": on,
        }
        if given := [name for name, value in chosen.items() if value is not None]:
            raise UsageError(f"{given[0]} does not go with --bench: the file says it")
        listed = read_bench(Path(fspath(bench)))
        return _judged(_bench_record(listed, tuple(rates), report, listener))
    if board is None:
        raise UsageError("a board is missing", hint="-b BOARD, or --bench FILE for several")
    of_board = BenchBoard.model_construct(
        board=str(board),
        on=on or "board",
        port=port,
        tool=tool,
        probe=probe,
        emulator=emulator,
        compiler=compiler,
    )
    record = _board_record(of_board, board_of(board), tuple(rates), listener)
    _write(record, report)
    return _judged(record)


def _board_record(
    given: BenchBoard, target: Board, rates: tuple[int, ...], listener: Listener
) -> dict[str, Any]:
    """Tries one board; gives its record."""
    port, tool, probe, emulator = given.port, given.tool, given.probe, given.emulator
    if given.on == "emulator":
        if port or tool or probe:
            raise UsageError("--port, --tool and --probe go with an attached board")
        emulator = require_emulator(target, emulator)
    else:
        if emulator:
            raise UsageError("--emulator goes with --on emulator")
        if not port:
            ports = describe_ports(target)
            raise DeviceError(
                "the board's serial port has to be named",
                hint=f"-p PORT, or --on emulator; this machine has: {ports}",
            )
        flashing.choose_tool(target, tool, _flash_port(target, tool, port), probe)
    with tempfile.TemporaryDirectory(prefix="tinyedge-selftest-") as folder:
        small = target.core == "avr"
        model = write_converted(
            selftest_network(small=small),
            Path(folder) / "model",
            "tinyedge selftest",
            options=CodeOptions(target.core, "size" if small else "speed"),
        )
        builds = Path(folder) / "builds"
        bench = _Bench(target, model, given.on, port, tool, probe, emulator, given.compiler, builds)
        with listener.step(f"compiling for {target.name}"):
            firmware = bench.build(target)
        return _tested(bench, firmware, rates, listener)


def _bench_record(
    listed: Sequence[tuple[BenchBoard, Board]],
    rates: tuple[int, ...],
    report: Path | None,
    listener: Listener,
) -> dict[str, Any]:
    """Tries the boards of a bench one after the other, and writes the report.

    An interruption leaves a report of the boards before it.
    """
    records: list[dict[str, Any]] = []
    try:
        for given, target in listed:
            try:
                with listener.step(target.name):
                    records.append(_board_record(given, target, rates, listener))
            except (TinyEdgeError, OSError) as error:
                records.append(
                    {"passed": False, "board": target.name, "on": given.on, "error": str(error)}
                )
    finally:
        complete = len(records) == len(listed)
        record = {"passed": complete and all(each["passed"] for each in records), "boards": records}
        if records:
            _write(record, report)
    return record


def _write(record: dict[str, Any], report: Path | None) -> None:
    """Writes the report, where it has a file."""
    if report:
        markdown = report.suffix.lower() == ".md"
        write_atomically(report, selftest_markdown(record) if markdown else json_text(record, 2))


def _judged(record: dict[str, Any]) -> dict[str, Any]:
    """Gives a record back; raises ThresholdError for one of a failure."""
    if record["passed"]:
        return record
    if "boards" in record:
        records = record["boards"]
        failed = [each for each in records if not each["passed"]]
        told = f"{len(failed)} of {len(records)} boards failed; {failure_of(failed[0])}"
    else:
        told = failure_of(record)
    raise ThresholdError(told, hint="attach the report to an issue (-o FILE.md)").of(record)


def _tested(
    bench: _Bench, firmware: Firmware, rates: tuple[int, ...], listener: Listener
) -> dict[str, Any]:
    steps, found = _Steps(listener), dict[str, Any]()

    with contextlib.ExitStack() as opened:
        devices: list[Device] = []

        def begin() -> None:
            devices.append(opened.enter_context(bench.device(firmware)))

        steps.run("flash" if bench.on == "board" else "start", begin)
        for device in devices:
            steps.run("ping", partial(_ping, device, found))
            steps.run("kernels", partial(_kernels, device, found))
            steps.run("faults", partial(_faults, device, found))
    found["rates"] = []
    for rate in rates:
        changed = _at_rate(bench.board, rate)
        if changed and rate != bench.board.uart.baud:
            passed = steps.run(f"{rate} baud", partial(_answers, bench, changed))
            found["rates"].append({"baud": rate, "passed": passed})
    if bench.on == "board" and found["rates"]:  # the board is left with its own rate
        steps.run(f"{bench.board.uart.baud} baud", partial(_answers, bench, bench.board))
    return {
        "passed": all(step["passed"] for step in steps.done),
        "board": bench.board.name,
        "mcu": bench.board.mcu,
        "core": bench.board.core,
        "clock_hz": bench.board.clock.sysclk_hz,
        "baud": bench.board.uart.baud,
        "on": bench.on,
        "emulator": bench.emulator,
        "compiler": firmware.compiler,
        "versions": {
            "tinyedge": tinyedge.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "model": bench.model.graph.hash,
        "firmware": firmware.hash,
        "steps": steps.done,
        "round_trip_ms": found.get("ping"),
        "kernels": found.get("kernels", []),
        "timing": found.get("timing"),
        "faults": found.get("faults"),
        "rates": found["rates"],
    }


def _samples(model: ConvertedModel, count: int) -> Int8:
    return random_inputs(model.graph, count, seed=0)


def _ping(device: Device, found: dict[str, Any]) -> None:
    times = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        device.stats()
        times.append(1e3 * (time.perf_counter() - began))
    found["ping"] = {
        "least": round(min(times), 3),
        "median": round(statistics.median(times), 3),
        "most": round(max(times), 3),
    }


def _kernels(device: Device, found: dict[str, Any]) -> str | None:
    """Each layer's output against the reference's, and what it costs."""
    model = device.model
    layers, samples = observed_layers(model), _samples(model, _SAMPLES)
    ticks, crcs = observation.watch(
        observation.DeviceObserver(device, layers), samples, lambda _: None
    )
    differs = observation.differing_outputs(model.graph, layers, samples, crcs)
    counter = observation.Counter.of(device)
    counts = None if counter is None else counter.counts(ticks).mean(axis=0)
    found["kernels"] = [
        {
            "layer": layer.name,
            "operator": layer.operator,
            "kernel": layer.kernel,
            "differing_samples": int(differs[:, at].sum()),
            "count": None if counts is None else float(counts[at]),
        }
        for at, layer in enumerate(layers)
    ]
    if counter and counts is not None:
        found["timing"] = {
            "unit": counter.unit,
            "inference": float(counts.sum()),
            "ms": 1e3 * float(counts.sum()) / counter.hz if counter.hz else None,
        }
    wrong = [row["layer"] for row in found["kernels"] if row["differing_samples"]]
    return f"outputs differ from the reference: {', '.join(wrong)}" if wrong else None


def _faults(device: Device, found: dict[str, Any]) -> str | None:
    """Every answer over a line that damages what it carries, in both directions."""
    samples = _samples(device.model, _FAULTY_SAMPLES)
    to_device, to_host = Faults(FAULT_RATE, seed=0), Faults(FAULT_RATE, seed=1)
    told = device.client.statistics
    before = told.retransmissions
    device.client.through(lambda line: DamagedLine(line, to_device, to_host))
    try:
        logits = device.run(samples).logits
    finally:
        to_device.rate = to_host.rate = 0.0
    injected = sum(to_device.injected.values()) + sum(to_host.injected.values())
    found["faults"] = {
        "rate": FAULT_RATE,
        "samples": len(samples),
        "injected": injected,
        "sent_again": told.retransmissions - before,
    }
    expected = reference.run(device.model.graph, samples)
    wrong = int((logits != expected).reshape(len(samples), -1).any(axis=1).sum())
    return f"{wrong} of {len(samples)} answers are wrong" if wrong else None


def _at_rate(board: Board, rate: int) -> Board | None:
    """The board with a link at another baud rate; None where the part does not make it."""
    content = board.model_dump(by_alias=True, exclude_none=True)
    content["uart"]["baud"] = rate
    try:
        return type(board).model_validate(content)
    except ValidationError:
        return None


def _answers(bench: _Bench, board: Board) -> str | None:
    """Builds for a baud rate, and asks some samples there."""
    samples = _samples(bench.model, _SAMPLES)
    with bench.device(bench.build(board)) as device:
        logits = device.run(samples).logits
    same = np.array_equal(logits, reference.run(bench.model.graph, samples))
    return None if same else "answers differ from the reference"
