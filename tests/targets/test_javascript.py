"""rp2040js and avr8js: boards' unchanged images, in emulators that npm brings."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tests.link.native import dense_model, random_samples
from tinyedge.boards import load_board
from tinyedge.errors import ToolchainError
from tinyedge.evaluation.executors import Run
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.names import EmulatorName
from tinyedge.targets import available_emulators, javascript, open_emulator, require_emulator
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

# Seeds whose graphs hold convolutions, depthwise convolutions and dense layers.
RP2040 = [("raspberry-pi-pico", 278), ("arduino-nano-rp2040", 155)]
AVR = [("arduino-mega2560", 24), ("arduino-mega2560", 3)]
FLOOD = 64 * 2**20
PLACES: dict[str, EmulatorName] = {
    "raspberry-pi-pico": "rp2040js",
    "arduino-nano-rp2040": "rp2040js",
    "arduino-uno": "avr8js",
    "arduino-mega2560": "avr8js",
}


def run_in(
    emulator: EmulatorName, model: ConvertedModel, samples: np.ndarray, name: str
) -> tuple[Run, int]:
    """The logits of a board in an emulator, and the frequency that it says it runs at."""
    board = load_board(name)
    require(available_compilers(board.core), "gcc")
    require(available_emulators(board), emulator)
    with emulated_device(model, board, emulator, "gcc") as emulated:
        run = emulated.device.run(samples)
        stats = emulated.device.stats()
        hz = emulated.device.hello.tick_hz
    assert 0 < stats.stack_peak < board.minimum_stack
    return run, hz


@pytest.mark.parametrize(("name", "seed"), RP2040)
def test_an_rp2040_is_bit_exact_at_its_own_clock(name: str, seed: int, tmp_path: Path) -> None:
    built = RandomGraph(seed)
    model, samples = write_converted(built.graph, tmp_path, "test"), built.inputs(4)
    run, hz = run_in("rp2040js", model, samples, name)
    assert np.array_equal(run.logits, reference.run(built.graph, samples))
    assert hz == load_board(name).clock.sysclk_hz  # in Unicorn no clock starts
    assert run.seconds is None
    assert run.instructions is None


@pytest.mark.parametrize(("name", "seed"), AVR)
def test_an_avr_is_bit_exact(name: str, seed: int, tmp_path: Path) -> None:
    built = RandomGraph(seed)
    options = CodeOptions("avr", "size")
    model, samples = (
        write_converted(built.graph, tmp_path, "test", options=options),
        built.inputs(4),
    )
    run, _ = run_in("avr8js", model, samples, name)
    assert np.array_equal(run.logits, reference.run(built.graph, samples))


def test_two_emulators_count_the_same_cycles_of_an_avr(tmp_path: Path) -> None:
    graph = dense_model(tmp_path / "dense", 64).graph
    model = write_converted(graph, tmp_path / "avr", "test", options=CodeOptions("avr", "size"))
    samples = np.repeat(random_samples(model, 1), 5, axis=0)
    counted = []
    for emulator in ("avr8js", "simavr"):
        run, hz = run_in(emulator, model, samples, "arduino-uno")
        assert run.seconds is not None
        counted.append(np.median(run.seconds) * hz)
    assert counted[0] == pytest.approx(counted[1], abs=120)  # an interrupt of a timer


def test_a_host_that_sends_without_end_has_to_wait(tmp_path: Path) -> None:
    """Bytes that the firmware has not read yet do not pile up in the emulator."""
    board = load_board("arduino-uno")
    require(available_compilers(board.core), "gcc")
    require(available_emulators(board), "avr8js")
    options = CodeOptions("avr", "size")
    graph = dense_model(tmp_path / "dense", 64).graph
    model = write_converted(graph, tmp_path / "avr", "test", options=options)
    firmware = build_firmware(model, board, "gcc")
    sent = 0
    with open_emulator(board, firmware.elf, "avr8js") as target:
        address = urlsplit(target.port)
        with socket.create_connection((address.hostname, address.port)) as host:
            host.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                while sent < FLOOD:
                    sent += host.send(bytes(65536))
    assert sent < FLOOD  # the system's own buffers take some of it


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(
    "content", [b"not an ELF", b"\x7fELF" + bytes(60)], ids=["text", "another machine"]
)
def test_a_program_that_is_not_one_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    board = load_board(name)
    require(available_emulators(board), PLACES[name])
    program = tmp_path / "firmware.elf"
    program.write_bytes(content)
    with (
        pytest.raises(ToolchainError, match="did not start: not an A"),
        open_emulator(board, program, PLACES[name]),
    ):
        pass


def test_one_that_is_missing_tells_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ToolchainError, match="no emulator 'rp2040js' for board") as caught:
        require_emulator(load_board("raspberry-pi-pico"), "rp2040js")
    assert "-m tinyedge.targets.javascript" in caught.value.hint
    monkeypatch.setattr(javascript, "_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "pip install" in javascript.javascript_hint()
    with pytest.raises(ToolchainError, match="npm is not installed"):
        javascript.install()
    assert not list(tmp_path.rglob("*"))


def test_the_lock_file_names_digests_and_no_addresses() -> None:
    folder = data_folder("firmware_templates") / "javascript"
    lock = json.loads((folder / "package-lock.json").read_text())
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    locked = {name: part for name, part in lock["packages"].items() if name}
    assert {f"node_modules/{name}": version for name, version in wanted.items()} == {
        name: part["version"] for name, part in locked.items()
    }
    for part in locked.values():
        assert part["integrity"].startswith("sha512-")
        assert part["license"] == "MIT"
        assert "resolved" not in part
