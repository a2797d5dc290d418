"""The same graph on the numpy reference and on emulated boards, with every compiler."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tests.draws import some_of
from tests.exporters.options import OPTIONS
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.evaluation.devices import Device
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.names import COMPILERS, CompilerName, EmulatorName
from tinyedge.targets import available_emulators, counting_stand_in
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

BOARD = load_board("netduinoplus2")
EMULATORS: tuple[EmulatorName, ...] = ("qemu", "unicorn")


@contextmanager
def device(
    model: ConvertedModel, emulator: EmulatorName, compiler: CompilerName
) -> Iterator[Device]:
    require(available_compilers(), compiler)
    require(available_emulators(BOARD), emulator)
    with emulated_device(model, BOARD, emulator, compiler) as emulated:
        yield emulated.device


@pytest.mark.parametrize(("compiler", "seed"), some_of(COMPILERS, range(24)))
def test_random_graphs_are_bit_exact(seed: int, compiler: CompilerName, tmp_path: Path) -> None:
    built = RandomGraph(seed)
    options = OPTIONS[seed % len(OPTIONS)]
    model = write_converted(built.graph, tmp_path, "test", options=options)
    samples = built.inputs(8)
    expected = reference.run(built.graph, samples)
    for emulator in EMULATORS:
        with device(model, emulator, compiler) as opened:
            assert np.array_equal(opened.run(samples).logits, expected), emulator


@pytest.mark.slow  # tests/cli/test_cli.py runs it on one of them
@pytest.mark.parametrize("compiler", COMPILERS)
def test_demo_is_bit_exact_on_every_sample(
    demo_model: ConvertedModel, demo_samples: np.ndarray, compiler: CompilerName
) -> None:
    """Both emulators at once, one on each core."""
    require(available_compilers(), compiler)
    expected = reference.run(demo_model.graph, demo_samples)
    build_firmware(demo_model, BOARD, compiler)  # once, not in both threads

    def run(emulator: EmulatorName) -> np.ndarray:
        with device(demo_model, emulator, compiler) as opened:
            return opened.run(demo_samples).logits

    with ThreadPoolExecutor() as pool:
        for emulator, logits in zip(EMULATORS, pool.map(run, EMULATORS), strict=True):
            assert np.array_equal(logits, expected), emulator


def test_instructions_are_counted_and_repeatable(
    demo_model: ConvertedModel, demo_samples: np.ndarray
) -> None:
    compiler = available_compilers()[0]
    counts = []
    for _ in range(2):
        with device(demo_model, "qemu", compiler) as opened:
            run = opened.run(demo_samples[:3])
            assert run.instructions is not None
            counts.append(run.instructions)
    # A tick is 0.74 instructions: rounding, and where in a tick an inference begins. A wrap of the
    # counter, which may fall into an inference or not, takes 5 instructions, of zig 8.
    assert np.abs(counts[0] - counts[1]).max() <= 2 + 8
    macs = demo_model.manifest["macs"]
    assert 0.5 * macs < counts[0].min() < 30 * macs


@pytest.mark.parametrize("emulator", EMULATORS)
def test_stack_is_painted_and_measured(
    demo_model: ConvertedModel, demo_samples: np.ndarray, emulator: EmulatorName
) -> None:
    with device(demo_model, emulator, available_compilers()[0]) as opened:
        before = opened.stats().stack_peak
        opened.run(demo_samples[:1])
        after = opened.stats()
    assert 0 < before < after.stack_peak < 2048
    assert after.stack_size > 100_000
    assert after.inferences == 1


# pyserial leaves a socket to the garbage collector when the other end has closed it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_program_that_is_not_one_is_refused(tmp_path: Path) -> None:
    from tinyedge.errors import TinyEdgeError
    from tinyedge.link.client import Client
    from tinyedge.targets import open_emulator

    program = tmp_path / "firmware.elf"
    program.write_bytes(b"not an ELF")
    for emulator in available_emulators(BOARD):
        with (
            pytest.raises(TinyEdgeError),
            open_emulator(BOARD, program, emulator) as target,
            Client(target.port, BOARD.uart.baud) as client,
        ):
            client.hello()


def test_emulators_are_found_as_installed() -> None:
    found = available_emulators(BOARD)
    assert ("qemu" in found) == bool(shutil.which("qemu-system-arm"))


@pytest.mark.parametrize(
    ("name", "emulator", "other"),
    [
        ("nucleo-f446re", "unicorn", "mps2-an386"),
        ("raspberry-pi-pico", "rp2040js", "mps2-an385-m0"),
        ("netduinoplus2", "qemu", None),
        ("arduino-uno", "avr8js", None),
    ],
)
def test_another_board_counts_only_for_one_whose_emulator_does_not(
    name: str, emulator: EmulatorName, other: str | None
) -> None:
    require(available_emulators(BOARD), "qemu")
    found = counting_stand_in(load_board(name), emulator)
    assert (found and found.name) == other
