"""The boot ROMs of an RP2040 and an RP2350 find in front of flash what they look for."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from tests.conftest import require
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.project import Firmware, build_firmware
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

BOARD = load_board("arduino-nano-rp2040")
SIZE = 256
COPY = 0x20041F00  # where the boot ROM puts it
SSI = 0x18000000
SSIENR, BAUDR, CTRLR0, CTRLR1, SPI_CTRLR0 = 0x08, 0x14, 0x00, 0x04, 0xF4

pytestmark = pytest.mark.needs_tool


def crc32(data: bytes) -> int:
    """The boot ROM's, which reflects nothing: of ``b"123456789"`` it is 0x0376e6e7."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def test_crc32() -> None:
    assert crc32(b"123456789") == 0x0376E6E7


@pytest.fixture(params=COMPILERS)
def firmware(request: pytest.FixtureRequest, tmp_path: Path) -> Firmware:
    compiler: CompilerName = request.param
    require(available_compilers(), compiler)
    model = write_converted(RandomGraph(0).graph, tmp_path / "m", "test")
    return build_firmware(model, BOARD, compiler)


def test_the_boot_rom_takes_it_for_good(firmware: Firmware) -> None:
    stage = firmware.image.read_bytes()[:SIZE]
    assert crc32(stage[:-4]) == int.from_bytes(stage[-4:], "little")


def test_it_sets_up_flash_and_starts_the_firmware(firmware: Firmware) -> None:
    require(available_emulators(BOARD), "unicorn")
    from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc, arm_const

    machine: Any = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M0)
    image = firmware.image.read_bytes()
    machine.mem_map(BOARD.flash.origin, BOARD.flash.size)
    machine.mem_write(BOARD.flash.origin, image)
    machine.mem_map(BOARD.ram.origin, BOARD.ram.size)
    machine.mem_write(COPY, image[:SIZE])
    machine.mem_map(0xE000E000, 0x1000)
    written: list[tuple[int, int]] = []

    def write(_machine: object, offset: int, _size: int, value: int, _data: object) -> None:
        written.append((offset, value))

    machine.mmio_map(SSI, 0x1000, lambda *_: 0, None, write, None)
    with firmware.elf.open("rb") as file:
        entry = ELFFile(file)["e_entry"]
    machine.emu_start(COPY | 1, entry & ~1, timeout=1_000_000)

    assert machine.reg_read(arm_const.UC_ARM_REG_PC) == entry & ~1
    assert machine.reg_read(arm_const.UC_ARM_REG_MSP) == BOARD.ram.end
    vectors = int.from_bytes(machine.mem_read(0xE000ED08, 4), "little")
    assert vectors == BOARD.flash.origin + SIZE
    assert written[0] == (SSIENR, 0)
    assert written[-1] == (SSIENR, 1)
    settings = dict(written[1:-1])
    assert set(settings) == {BAUDR, CTRLR0, CTRLR1, SPI_CTRLR0}
    assert settings[BAUDR] % 2 == 0
    assert BOARD.clock.sysclk_hz / settings[BAUDR] <= 33_000_000
    assert settings[CTRLR0] == 31 << 16 | 3 << 8  # 32 bits a frame; one line; EEPROM read
    assert settings[CTRLR1] == 0
    command, address, rest = 0x03 << 24, 24 // 4 << 2, 8 // 4 << 8
    assert settings[SPI_CTRLR0] == command | address | rest


@pytest.mark.parametrize("compiler", COMPILERS)
def test_an_rp2350_finds_its_image_definition(compiler: CompilerName, tmp_path: Path) -> None:
    """As ``boot/picobin.h`` of Raspberry Pi's SDK has it, in the first 4 KB."""
    require(available_compilers(), compiler)
    model = write_converted(RandomGraph(0).graph, tmp_path / "m", "test")
    board = load_board("raspberry-pi-pico-2")
    firmware = build_firmware(model, board, compiler)
    image = firmware.image.read_bytes()[:4096]
    stack, reset = struct.unpack_from("<II", image)  # without another item, vectors are in front
    with firmware.elf.open("rb") as file:
        assert (stack, reset) == (board.ram.end, ELFFile(file)["e_entry"])
    words = [word for (word,) in struct.iter_unpack("<I", image)]
    assert words.count(0xFFFFDED3) == 1
    _, kind, last, next_block, end = words[words.index(0xFFFFDED3) :][:5]
    item, size, flags = kind & 0xFF, kind >> 8 & 0xFF, kind >> 16
    assert (item, size) == (0x42, 1)
    assert flags == 1 | 2 << 4 | 0 << 8 | 1 << 12  # executable, secure, Arm, RP2350
    assert (last & 0xFF, last >> 8 & 0xFFFF, last >> 24) == (0xFF, size, 0)
    assert (next_block, end) == (0, 0xAB123579)
