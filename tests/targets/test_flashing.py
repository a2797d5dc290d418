"""Each flashing tool gets the right command, and its output is understood.

The tools are scripts that record their arguments and say what the real ones say; at the end stand
the real ones, as far as they get without a board.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tinyedge.boards import Board, load_board
from tinyedge.errors import (
    BoardError,
    DeviceError,
    TinyEdgeError,
    ToolchainError,
    UsageError,
)
from tinyedge.names import FlashToolName
from tinyedge.targets import attached
from tinyedge.targets.flashing import TOOLS, bossac, drive, flash, plan, tool
from tinyedge.targets.flashing.images import intel_hex, uf2
from tinyedge.templates import data_folder

IMAGE = bytes(range(256)) * 5 + b"end"
SECTIONS: dict[FlashToolName, str] = {
    "arduino-cli": 'fqbn = "arduino:avr:mega:cpu=atmega2560"',
    "avrdude": 'programmer = "arduino"\npart = "m328p"\nbaud = 115200',
    "bossac": "offset = 0x2000",
    "dfu": 'id = "0483:df11"',
    "drive": 'label = "NODE_TEST"',
    "openocd": 'config = "board/st_nucleo_f4.cfg"',
    "pyocd": 'target = "stm32l475xg"',
    "stlink": "",
}
PORT: dict[str, str] = {"port": "/dev/ttyACM7"}
OPTIONS: dict[FlashToolName, dict[str, str]] = {
    "arduino-cli": PORT,
    "avrdude": PORT,
    "bossac": PORT,
}


def board_with(folder: Path, *tools: FlashToolName, **changed: str) -> Board:
    """A board that is flashed by these tools."""
    text = (data_folder("boards") / "nucleo-f446re.toml").read_text()
    text = text[: text.index("[flash_tool")]
    sections = SECTIONS | {name.replace("_", "-"): content for name, content in changed.items()}
    text += "\n".join(f"[flash_tool.{name}]\n{sections[name]}" for name in tools)
    path = folder / "nucleo-f446re.toml"
    path.write_text(text)
    return load_board(str(path))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = folder / "firmware.bin"
    path.write_bytes(IMAGE)
    return path


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts scripts into the place of programs; gives the file that their arguments go to."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "calls"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(program: str, script: str) -> Path:
        path = folder / program
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0 $*" >> {log}\n{script}\n')
        path.chmod(0o755)
        return log

    return put


SUCCESSES: dict[FlashToolName, tuple[str, str, list[str]]] = {
    "avrdude": (
        "avrdude",
        "echo 'avrdude: 1283 bytes of flash verified' >&2",
        ["avrdude -p m328p -c arduino -P /dev/ttyACM7 -b 115200 -D -U 'flash:w:{image}:r'"],
    ),
    "bossac": (
        "bossac",
        "echo 'Verify successful'",
        ["bossac -p ttyACM7 -U -e -w -v -o 0x2000 -R '{image}'"],
    ),
    "openocd": (
        "openocd",
        "echo '** Verified OK **' >&2",
        ["openocd -f board/st_nucleo_f4.cfg -c 'program {{{image}}} 0x08000000 verify reset exit'"],
    ),
    "pyocd": (
        "pyocd",
        "[ $1 = load ] || echo 'All 1283 bytes match.'",
        [
            "pyocd load --no-wait -t stm32l475xg --no-reset -a 0x08000000 '{image}'",
            "pyocd commander --no-wait -t stm32l475xg -c 'compare 0x08000000 \"{image}\"' -c reset",
        ],
    ),
    "stlink": (
        "st-flash",
        "echo 'INFO common.c: Flash written and verified! jolly good!'",
        ["st-flash --reset write '{image}' 0x08000000"],
    ),
    "arduino-cli": (
        "arduino-cli",
        '[ -f "${3%.bin}.hex" ]',
        [
            (
                "arduino-cli upload --input-file '{image}' -b arduino:avr:mega:cpu=atmega2560 "
                "-p /dev/ttyACM7 --verify"
            )
        ],
    ),
}


@pytest.mark.parametrize("name", SUCCESSES)
def test_the_commands_are_as_planned_and_verify(
    name: FlashToolName, tmp_path: Path, image: Path, tools: Callable[[str, str], Path]
) -> None:
    program, script, expected = SUCCESSES[name]
    log = tools(program, script)
    planned = plan(board_with(tmp_path, name), image, **OPTIONS.get(name, {}))
    assert [shlex.join(command) for command in planned.commands] == [
        shlex.join(shlex.split(command.format(image=image))) for command in expected
    ]
    assert not log.exists()
    assert flash(planned) == planned.commands
    assert planned.verifies is (name != "arduino-cli")
    called = [line.partition(" ")[2] for line in log.read_text().splitlines()]
    assert called == [" ".join(command[1:]) for command in planned.commands]


FAILURES: list[tuple[FlashToolName, str, int, type[TinyEdgeError], str]] = [
    ("avrdude", "cannot open port /dev/x: Permission denied", 1, DeviceError, "dialout"),
    ("avrdude", "stk500_getsync() attempt 9 of 10: not in sync: resp=0x00", 1, DeviceError, "-p"),
    ("avrdude", "Expected signature for ATmega328P is 1E 95 0F", 1, DeviceError, "named (-b)"),
    ("avrdude", "verification mismatch", 1, DeviceError, "again"),
    ("avrdude", "cannot find programmer id arduin", 1, ToolchainError, "7.0"),
    ("avrdude", "something new", 1, ToolchainError, "doctor"),
    ("bossac", "No device found on ttyACM7", 1, DeviceError, "twice"),
    ("bossac", "Verify failed\nPage errors: 1", 2, DeviceError, "again"),
    ("bossac", "Device unsupported", 1, DeviceError, "bossac knows"),
    ("openocd", "Error: open failed", 1, DeviceError, "debug probe"),
    ("openocd", "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", 1, DeviceError, "udev"),
    ("openocd", "Warn : UNEXPECTED idcode: 0x2ba01477", 1, DeviceError, "named (-b)"),
    ("openocd", "** Verify Failed **", 1, DeviceError, "again"),
    ("openocd", "Error: Can't find board/st_nucleo_f4.cfg", 1, ToolchainError, "0.11"),
    ("pyocd", "0000409 E No target device available [load_cmd]", 1, DeviceError, "debug probe"),
    ("pyocd", "C Target type stm32x not recognized. Use", 1, ToolchainError, "pack install"),
    ("pyocd", "Mismatched byte at 0x08000010 (offset 0x10)", 0, DeviceError, "again"),
    ("stlink", "WARN usb.c: Couldn't find any ST-Link devices", 255, DeviceError, "debug probe"),
    ("stlink", "ERROR common.c: unknown chip id! 0x1", 255, DeviceError, "named (-b)"),
    ("stlink", "Verification of flash failed at offset: 4", 255, DeviceError, "again"),
    ("stlink", "Could not open USB device 0x0483:0x374b, access error.", 255, DeviceError, "udev"),
    ("stlink", "all well, but nothing about the flash", 0, DeviceError, "again"),
    ("dfu", "No DFU capable USB device available", 74, DeviceError, "boot ROM"),
    ("dfu", "More than one DFU capable USB device found!", 64, DeviceError, "--probe"),
    ("dfu", "Cannot open DFU device 0483:df11 (LIBUSB_ERROR_ACCESS)", 74, DeviceError, "udev"),
    ("arduino-cli", "Error resolving FQBN: platform not installed", 1, ToolchainError, "core inst"),
    ("arduino-cli", "avrdude: stk500_recv(): programmer is not responding", 1, DeviceError, "-p"),
]


@pytest.mark.parametrize(("name", "said", "status", "error", "hint"), FAILURES)
def test_what_a_tool_says_becomes_an_error_with_a_hint(
    name: FlashToolName,
    said: str,
    status: int,
    error: type[TinyEdgeError],
    hint: str,
    tmp_path: Path,
    image: Path,
    tools: Callable[[str, str], Path],
) -> None:
    program = TOOLS[name].program
    tools(program, f"cat >&2 <<'END'\nsome header\n{said}\nsome footer\nEND\nexit {status}")
    with pytest.raises(error) as caught:
        flash(plan(board_with(tmp_path, name), image, **OPTIONS.get(name, {})))
    assert type(caught.value) is error
    assert hint in caught.value.hint
    assert str(caught.value).startswith(program)
    assert "\n" not in str(caught.value)


def test_dfu_reads_back_and_compares(
    tmp_path: Path, image: Path, tools: Callable[[str, str], Path]
) -> None:
    planned = plan(board_with(tmp_path, "dfu"), image, probe="3574")
    back = image.with_suffix(".readback")
    back.write_bytes(b"of an earlier time")
    write = f'if [ $9 = -D ]; then cp "${{10}}" {tmp_path}/board'
    tools("dfu-util", f'{write}; else [ ! -e "${{10}}" ] && cp {tmp_path}/board "${{10}}"; fi')
    flash(planned)
    assert planned.commands[0][:5] == ["dfu-util", "-d", "0483:df11", "-S", "3574"]
    assert planned.commands[2][-3] == f"0x08000000:{len(IMAGE)}:leave"
    assert (tmp_path / "board").read_bytes() == IMAGE
    assert not back.exists()
    tools("dfu-util", f'{write}; else head -c 1000 "{image}" > "${{10}}"; fi')
    with pytest.raises(DeviceError, match="EOF on"):
        flash(planned)
    tools("dfu-util", f'{write}; else tr e x < "{image}" > "${{10}}"; fi')
    with pytest.raises(DeviceError, match="differ: ") as caught:
        flash(planned)
    assert "protected" in caught.value.hint


def test_plain_dfu_is_not_told_an_address_and_cannot_be_compared(
    tmp_path: Path, image: Path, tools: Callable[[str, str], Path]
) -> None:
    section = 'id = "2341:0369"\ndfuse = false'
    planned = plan(board_with(tmp_path, "dfu", dfu=section), image)
    device = ["dfu-util", "-d", "2341:0369", "-a", "0"]
    assert planned.commands == [[*device, "-R", "-D", str(image)]]
    assert not planned.verifies
    tools("dfu-util", "exit 0")
    flash(planned)


def test_a_tool_that_does_not_end(
    tmp_path: Path,
    image: Path,
    tools: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools("st-flash", "exec sleep 100")
    monkeypatch.setattr(tool, "TIMEOUT_S", 0.2)
    with pytest.raises(DeviceError, match=r"did not end within 0\.2 s"):
        flash(plan(board_with(tmp_path, "stlink"), image))


def test_the_first_tool_that_is_installed_is_chosen(
    tmp_path: Path,
    image: Path,
    tools: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools("st-flash", "echo 'Flash written and verified'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    board = board_with(tmp_path, "openocd", "stlink", "drive")
    assert plan(board, image).tool.name == "stlink"
    with pytest.raises(ToolchainError, match="openocd is not installed") as caught:
        flash(plan(board, image, "openocd"))
    assert caught.value.hint == "apt-get install openocd"
    with pytest.raises(UsageError, match="--tool pyocd") as wrong:
        plan(board, image, "pyocd")
    assert wrong.value.hint == "it is for: openocd, stlink, drive"
    assert plan(board_with(tmp_path, "avrdude"), image, port="x").tool.name == "avrdude"
    with pytest.raises(BoardError, match="no flash_tool"):
        plan(load_board("mps2-an385"), image)


def test_a_port_is_not_guessed(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = board_with(tmp_path, "avrdude")
    ports = [
        attached.SerialPort("/dev/ttyACM0", "STM32 STLink", "0483:374b", "066B", (board.name,)),
        attached.SerialPort("/dev/ttyS0", "", None, None, ()),
    ]
    monkeypatch.setattr(attached, "serial_ports", lambda: ports)
    with pytest.raises(DeviceError, match="serial port") as caught:
        plan(board, image)
    said = "/dev/ttyACM0 (STM32 STLink, serial number 066B, may be nucleo-f446re), /dev/ttyS0"
    assert caught.value.hint == f"-p PORT; this machine has: {said}"
    with pytest.raises(UsageError, match="takes no --probe"):
        plan(board, image, port="/dev/ttyACM0", probe="066B")
    with pytest.raises(UsageError, match="takes no --port"):
        plan(board_with(tmp_path, "stlink"), image, port="/dev/ttyACM0")


def add_usb(folder: Path, name: str, **attributes: str) -> None:
    device = folder / name
    device.mkdir(parents=True)
    for key, value in attributes.items():
        (device / key).write_text(f"{value}\n")


@pytest.mark.parametrize("name", ["openocd", "pyocd", "stlink"])
def test_one_of_several_probes_has_to_be_named(
    name: FlashToolName, tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb = tmp_path / "usb"
    add_usb(usb, "1-1", idVendor="0483", idProduct="374b", product="STLINK-V3", serial="066B")
    add_usb(usb, "1-2", idVendor="2e8a", idProduct="000c", product="Debugprobe (CMSIS-DAP)")
    add_usb(usb, "1-3", idVendor="2341", idProduct="0043", product="Uno", serial="7")
    add_usb(usb, "1-4", idVendor="1366", idProduct="0105", product="J-Link", serial="000260")
    add_usb(usb, "usb1", product="a hub")
    found = attached.probes(usb)
    assert [probe.serial for probe in found] == ["066B", "", "000260"]
    monkeypatch.setattr("tinyedge.targets.flashing.probes", lambda: found)
    board = board_with(tmp_path, name)
    with pytest.raises(DeviceError, match="3 debug probes") as caught:
        plan(board, image)
    assert "066B (STLINK-V3, 0483:374b), ? (Debug" in caught.value.hint
    with pytest.raises(DeviceError, match="no debug probe 1234"):
        plan(board, image, probe="1234")
    assert "066B" in shlex.join(plan(board, image, probe="066B").commands[0])
    found = found[:1]
    assert "066B" not in shlex.join(plan(board, image).commands[0])


class Drives:
    """Drives as ``lsblk`` lists them, and the boards behind them."""

    def __init__(self, folder: Path, tools: Callable[[str, str], Path]) -> None:
        self._file = folder / "lsblk.json"
        self.mounted = folder / "media"
        self.mounted.mkdir()
        (self.mounted / "MBED.HTM").touch()
        tools("lsblk", f"cat {self._file}")
        self.attach()

    def entry(self, **changed: Any) -> dict[str, Any]:
        entry = {"path": "/dev/sdx", "label": "NODE_TEST", "serial": "066B"}
        return entry | {"mountpoints": [str(self.mounted)]} | changed

    def attach(self, *entries: dict[str, Any]) -> None:
        root = {"path": "/dev/vda", "label": None, "serial": None, "mountpoints": ["/"]}
        partition = self.entry(label="OTHER", path="/dev/sdy1", serial=None, mountpoints=[None])
        disk = {**root, "path": "/dev/sdy", "serial": "9", "children": [partition]}
        content = {"blockdevices": [root, disk, *(entries or [self.entry()])]}
        self._file.write_text(json.dumps(content))


@pytest.fixture
def fake_drives(tmp_path: Path, tools: Callable[[str, str], Path]) -> Drives:
    return Drives(tmp_path, tools)


def test_drives_are_found_with_their_serial_numbers(fake_drives: Drives) -> None:
    other, node = attached.drives()
    assert (other.label, other.serial, other.mount_point) == ("OTHER", "9", None)
    assert (node.label, node.mount_point) == ("NODE_TEST", fake_drives.mounted)
    assert node.takes_firmware == "ST-Link or DAPLink"
    assert other.takes_firmware == ""


def test_a_probe_s_drive_comes_back_without_the_file(
    tmp_path: Path, image: Path, fake_drives: Drives, tools: Callable[[str, str], Path]
) -> None:
    board = board_with(tmp_path, "drive")
    planned = plan(board, image)
    where = str(fake_drives.mounted)
    assert planned.commands == [["cp", str(image), where], ["sync", "-f", where]]
    # The probe takes the file once all of it is there, and its drive comes back.
    tools("sync", f'mv "$2/firmware.bin" {tmp_path}/board; exit 1')
    flash(planned)
    assert (tmp_path / "board").read_bytes() == IMAGE
    assert not planned.verifies
    tools("sync", 'rm "$2/firmware.bin"; echo "Flash is  locked" > "$2/FAIL.TXT"')
    with pytest.raises(DeviceError, match="NODE_TEST: the board was not written: Flash is locked"):
        flash(planned)


def test_a_drive_that_nothing_comes_of(
    tmp_path: Path,
    image: Path,
    fake_drives: Drives,
    tools: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drive, "SETTLING_S", 0.5)
    planned = plan(board_with(tmp_path, "drive"), image)
    with pytest.raises(DeviceError, match="has not taken the file within"):
        flash(planned)
    tools("sync", f"echo '{{\"blockdevices\": []}}' > {tmp_path}/lsblk.json")
    with pytest.raises(DeviceError, match="has not come back within"):
        flash(planned)
    tools("sync", "exit 0")
    tools("cp", "echo \"cp: error writing 'x': No space left on device\" >&2; exit 1")
    fake_drives.attach()
    with pytest.raises(DeviceError, match="No space left"):
        flash(planned)


def test_a_uf2_drive_goes(
    tmp_path: Path, image: Path, fake_drives: Drives, tools: Callable[[str, str], Path]
) -> None:
    section = 'label = "RPI-RP2"\nformat = "uf2"\nuf2_family = 0xe48bff56'
    fake_drives.attach(fake_drives.entry(label="RPI-RP2"))
    planned = plan(board_with(tmp_path, "drive", drive=section), image)
    tools("sync", f"echo '{{\"blockdevices\": []}}' > {tmp_path}/lsblk.json")
    flash(planned)
    written = (fake_drives.mounted / "firmware.uf2").read_bytes()
    assert written == uf2(IMAGE, 0x08000000, 0xE48BFF56)


def test_one_drive_has_to_be_there_and_mounted(
    tmp_path: Path, image: Path, fake_drives: Drives
) -> None:
    board = board_with(tmp_path, "drive")
    fake_drives.attach(fake_drives.entry(), fake_drives.entry(serial="077C", path="/dev/sdz"))
    with pytest.raises(DeviceError, match="2 drives") as caught:
        plan(board, image)
    assert "066B (/dev/sdx), 077C (/dev/sdz)" in caught.value.hint
    assert plan(board, image, probe="077C").commands
    with pytest.raises(DeviceError, match="no drive 'NODE_TEST' of serial number 1"):
        plan(board, image, probe="1")
    fake_drives.attach(fake_drives.entry(mountpoints=[None]))
    with pytest.raises(DeviceError, match="is not mounted") as unmounted:
        plan(board, image)
    assert unmounted.value.hint == "udisksctl mount -b /dev/sdx"


def test_a_board_that_restarts_into_its_boot_loader_may_get_another_port(
    tmp_path: Path,
    image: Path,
    tools: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = iter(
        [
            {"/dev/ttyACM7": "1-2", "/dev/ttyACM0": "1-1"},
            {"/dev/ttyACM0": "1-1"},
            {"/dev/ttyACM0": "1-1", "/dev/ttyACM8": "1-2"},
        ]
    )
    opened: list[tuple[str, int]] = []

    class Serial:
        dtr = True

        def __init__(self, port: str, baud: int) -> None:
            opened.append((port, baud))

        def close(self) -> None:
            opened.append(("closed", int(self.dtr)))

    monkeypatch.setattr("serial.Serial", Serial)
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(bossac, "_sockets", lambda: next(places))
    log = tools("bossac", "echo 'Verify successful'")
    flash(plan(board_with(tmp_path, "bossac", bossac="touch_1200 = true"), image, **PORT))
    assert opened == [("/dev/ttyACM7", 1200), ("closed", 0)]
    assert "-p ttyACM8 -U" in log.read_text()


def test_a_port_that_is_not_there_cannot_be_touched(tmp_path: Path, image: Path) -> None:
    board = board_with(
        tmp_path, "bossac", bossac="touch_1200 = true\nverify = false\nboot_from_flash = true"
    )
    planned = plan(board, image, port="/dev/ttyNone")
    assert planned.commands[0][1:8] == ["-p", "ttyNone", "-U", "-e", "-w", "-b", "-R"]
    assert not planned.verifies
    require([name for name in ("bossac",) if shutil.which(name)], "bossac")
    with pytest.raises(DeviceError, match="/dev/ttyNone: cannot be opened"):
        flash(planned)


def test_intel_hex_is_what_objcopy_reads(tmp_path: Path) -> None:
    objcopy = "arm-none-eabi-objcopy"
    require([name for name in (objcopy,) if shutil.which(name)], objcopy)
    data = IMAGE * 60  # over an end of 64 KB
    (tmp_path / "a.hex").write_text(intel_hex(data, 0x0800F000))
    files = [str(tmp_path / name) for name in ("a.hex", "a.bin")]
    subprocess.run([objcopy, "-I", "ihex", "-O", "binary", *files], check=True)
    assert (tmp_path / "a.bin").read_bytes() == data
    section = subprocess.run(
        ["arm-none-eabi-objdump", "-h", tmp_path / "a.hex"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "0800f000" in section


def test_uf2_blocks() -> None:
    blocks = uf2(IMAGE, 0x10000000, 0xE48BFF56)
    assert len(blocks) == 6 * 512
    last = blocks[-512:]
    assert last[:32].hex() == ("5546320a57515d9e002000000005001000010000050000000600000056ff8be4")
    assert last[32:36] == b"end\xff"
    assert last[-4:].hex() == "306fb10a"
    assert uf2(b"x", 0, None)[8:12] == bytes(4)


REAL: dict[FlashToolName, str] = {
    "avrdude": "cannot open port /dev/ttyACM7",
    "bossac": "No device found on",
    "dfu": "No DFU capable USB device",
    "openocd": "open failed",
    "pyocd": "No connected debug probe",
    "stlink": "Couldn't find any ST-Link",
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_tool_without_a_board(name: FlashToolName, tmp_path: Path, image: Path) -> None:
    if attached.probes():
        pytest.skip("a board is attached, which this would write")
    require([known.program for known in TOOLS.values() if known.installed()], TOOLS[name].program)
    with pytest.raises(DeviceError, match=REAL[name]) as caught:
        flash(plan(board_with(tmp_path, name), image, **OPTIONS.get(name, {})))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["openocd", "pyocd", "stlink"])
def test_the_real_tool_takes_a_probe_s_number(
    name: FlashToolName, tmp_path: Path, image: Path
) -> None:
    if attached.probes():
        pytest.skip("a board is attached")
    require([known.program for known in TOOLS.values() if known.installed()], TOOLS[name].program)
    with pytest.raises(DeviceError, match=r"open failed|No connected|Couldn't find"):
        flash(plan(board_with(tmp_path, name), image, probe="066BFF303435554157105848"))
