"""Descriptions with faults: each is named, and what is allowed with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import failure, run_json
from tinyedge.templates import data_folder

NANO = "arduino-nano-33-ble"
PICO = "arduino-nano-rp2040"
UNO = "arduino-uno-r4-minima"

# A change of a good description, and the fault's key, value and what is allowed.
CHANGES: list[tuple[str, str, str, str, str, str]] = [
    ("netduinoplus2", "[clock]", "[klock]", "klock", "unknown key", "did you mean 'clock'?"),
    ("netduinoplus2", "irq = 71", "irg = 71", "uart.irg", "unknown key", "did you mean 'irq'?"),
    ("netduinoplus2", "pll_q = 7", "zz = 7", "clock.zz", "unknown key", "known: sysclk_hz, pll_m"),
    (
        "netduinoplus2",
        '"stm32f4"',
        '"msp430"',
        "family",
        "'msp430'",
        "'avr' or 'mps2' or 'nrf51' or 'nrf52' or ",
    ),
    ("netduinoplus2", '"stm32f4"', "[1]", "family", "[1]", "'mps2' or 'nrf51' or 'nrf52' or "),
    ("netduinoplus2", 'family = "stm32f4"\n', "", "family", "missing", "'mps2' or 'nrf51'"),
    ("netduinoplus2", "schema = 1", "schema = 2", "schema", "2", "1"),
    ("netduinoplus2", "schema = 1\n", "", "schema", "missing", "1"),
    ("netduinoplus2", "1048576", '"1 MB"', "memory.flash.size", "'1 MB'", "an integer above 0"),
    ("netduinoplus2", "1048576", "-1", "memory.flash.size", "-1", "above 0 to 1073741824"),
    ("netduinoplus2", "131072", "0", "memory.ram.size", "0", "above 0"),
    ("netduinoplus2", "131072", "196608", "memory.ram.size", "196608", "up to 131072 on this part"),
    ("netduinoplus2", "131072", "131070", "memory.ram.size", "131070", "multiple of 8"),
    ("netduinoplus2", "0x20000000", "0x08000000", "memory.ram.origin", "134217728", "apart from"),
    ("netduinoplus2", "0x20000000", "0x30000000", "memory.ram.origin", "805306368", "0x20000000"),
    ("netduinoplus2", "0x20000000", "0xfffffff0", "memory.ram.size", "131072", "up to 16"),
    ("netduinoplus2", "0x08000000", "0x08000200", "memory.flash.origin", "134218240", "of 1024"),
    (
        "netduinoplus2",
        "0x08000000",
        "-8",
        "memory.flash.origin",
        "-8",
        "from 0 to below 4294967296",
    ),
    ("netduinoplus2", '"cortex-m4"\n\ns', '"cortex-m7"\n\ns', "core", "'cortex-m7'", "'cortex-m4'"),
    ("netduinoplus2", '"STM32F405RG"', '"STM32F105RG"', "mcu", "'STM32F105RG'", "STM32F401, "),
    ("netduinoplus2", '"STM32F405RG"', '"STM32F405RZ"', "mcu", "'STM32F405RZ'", "B, C, D, E, G"),
    ("netduinoplus2", '"STM32F405RG"', "405", "mcu", "405", "a text"),
    ("netduinoplus2", "pll_n = 336", "pll_n = 300", "clock.sysclk_hz", "168000000", "150000000"),
    ("netduinoplus2", "pll_n = 336", "pll_n = 999", "clock.pll_n", "999", "from 50 to 432"),
    ("netduinoplus2", "pll_m = 25", "pll_m = 5", "clock.pll_m", "5", "950000 to 2100000 Hz"),
    ("netduinoplus2", "pll_p = 2", "pll_p = 3", "clock.pll_p", "3", "2 or 4 or 6 or 8"),
    ("netduinoplus2", "states = 5", "states = 4", "clock.flash_wait_states", "4", "from 5 to 7"),
    (
        "netduinoplus2",
        "apb1_divider = 4",
        "apb1_divider = 2",
        "clock.apb1_divider",
        "2",
        "42000000",
    ),
    (
        "netduinoplus2",
        "apb2_divider = 2",
        "apb2_divider = 1",
        "clock.apb2_divider",
        "1",
        "84000000",
    ),
    ("netduinoplus2", "[clock]", "[clock]\nover_drive = true", "clock.over_drive", "True", "false"),
    ("netduinoplus2", "_hz = 25000000", '_hz = "25"', "clock.hse_hz", "'25'", "an integer from"),
    ("netduinoplus2", '"PC6"', '"C6"', "uart.tx", "'C6'", "a text like ^P"),
    ("netduinoplus2", '"PC6"', '"PA9"', "uart.tx", "'PA9'", "PC6 for USART6"),
    ("netduinoplus2", '"USART6"', '"LPUART1"', "uart.peripheral", "'LPUART1'", "a text like ^US"),
    ("netduinoplus2", '"PC7"', '"PC8"', "uart.rx", "'PC8'", "PC7 for USART6"),
    (
        "netduinoplus2",
        "function = 8",
        "function = 7",
        "uart.alternate_function",
        "7",
        "8 for USART6",
    ),
    ("netduinoplus2", "irq = 71", "irq = 240", "uart.irq", "240", "from 0 to 239"),
    ("netduinoplus2", "baud = 460800", "baud = 300", "uart.baud", "300", "from 9600 to 4000000"),
    ("netduinoplus2", "baud = 460800", "baud = 3900000", "uart.baud", "3900000", "within 2 %"),
    ("netduinoplus2", "baud = 460800", "baud = 46e4", "uart.baud", "460000.0", "an integer"),
    ("netduinoplus2", '"0483:df11"', '"483"', "flash_tool.dfu.id", "'483'", "a text like"),
    (
        "netduinoplus2",
        "[flash_tool.dfu]\nid",
        "[flash_tool]\ndfu",
        "flash_tool.dfu",
        "'0483:df11'",
        "id",
    ),
    ("netduinoplus2", "serial = 5", "serial = 8", "emulator.qemu.serial", "8", "from 0 to 7"),
    ("nucleo-f446re", "over_drive = true", "", "clock.sysclk_hz", "180000000", "up to 168000000"),
    ("nucleo-f446re", "M32F446RE", "M32F446RC", "memory.flash.size", "524288", "up to 262144 on"),
    ("nucleo-f401re", "84000000", "168000000", "clock.sysclk_hz", "168000000", "84000000"),
    ("nucleo-f401re", '"USART2"', '"USART3"', "uart.peripheral", "'USART3'", "USART1 or USART2"),
    ("nucleo-f401re", '"0483:374b"', '"ST-Link"', "usb", "'ST-Link'", "a text like"),
    ("nucleo-f401re", "board/", "../", "flash_tool.openocd.config", "'../st_nucleo", "a text like"),
    ("nucleo-f767zi", "over_drive = true", "", "clock.sysclk_hz", "216000000", "up to 180000000"),
    ("nucleo-f767zi", "states = 7", "states = 6", "clock.flash_wait_states", "6", "from 7 to 7"),
    ("nucleo-f767zi", '"cortex-m7"', '"cortex-m4"', "core", "'cortex-m4'", "'cortex-m7'"),
    ("nucleo-h743zi2", "over_drive = true", "", "clock.sysclk_hz", "480000000", "up to 400000000"),
    ("nucleo-h743zi2", '"ldo"', '"smps"', "clock.supply", "'smps'", "ldo"),
    ("nucleo-h743zi2", '"ldo"', '"battery"', "clock.supply", "'battery'", "'smps-1v8-ldo'"),
    ("nucleo-h743zi2", "0x24000000", "0x30000000", "memory.ram.origin", "805306368", "0x24000000"),
    (
        "nucleo-h743zi2",
        "ahb_divider = 2",
        "ahb_divider = 1",
        "clock.ahb_divider",
        "1",
        "240000000 Hz",
    ),
    ("stm32h735g-dk", "pll_n = 104", "pll_n = 110", "clock.sysclk_hz", "520000000", "550000000"),
    ("stm32h735g-dk", 'supply = "smps"', "", "clock.supply", "missing", "'ldo'"),
    ("portenta-h7", "apb1_divider = 2", "apb1_divider = 1", "clock.apb1_divider", "1", "100000000"),
    ("portenta-h7", '"PH1"', '"H1"', "clock.hse_enable", "'H1'", "a text like ^P"),
    ("portenta-h7", "size = 786432", "size = 2097152", "memory.flash.size", "2097152", "1835008"),
    (
        "portenta-h7",
        'supply = "smps-1v8-ldo"\nsysclk_hz = 400000000\npll_m = 5\npll_n = 160',
        'supply = "smps"\nover_drive = true\nsysclk_hz = 480000000\npll_m = 5\npll_n = 192',
        "clock.supply",
        "'smps'",
        "with over_drive",
    ),
    (
        "nucleo-f401re",
        '"NODE_F401RE"',
        '"/media"',
        "flash_tool.drive.label",
        "'/media'",
        "a text like",
    ),
    (
        "nucleo-f401re",
        "[flash_tool.stlink]",
        "[flash_tool.st-link]",
        "flash_tool.st-link",
        "unknown key",
        "did you mean 'stlink'?",
    ),
    (
        "nucleo-f401re",
        '"stm32f401retx"',
        '"--help me"',
        "flash_tool.pyocd.target",
        "'--help me'",
        "a text like",
    ),
    ("nucleo-l476rg", "pll_n = 10", "pll_n = 7", "clock.pll_n", "7", "from 8 to 86"),
    ("mps2-an386", 'cortex-m4"', 'cortex-m5"', "core", "'cortex-m5'", "or 'cortex-m55'"),
    ("mps2-an386", "[clock]", "[clock]\npll_m = 25", "clock.pll_m", "unknown key", "sysclk_hz"),
    ("mps2-an386", "clock_hz = 25000000\n", "", "uart.clock_hz", "missing", "an integer above 0"),
    ("mps2-an386", "baud = 460800", "baud = 3000000", "uart.baud", "3000000", "from 16 to"),
    ("mps2-an386", "0x40004000", "0x140004000", "uart.base", "5368725504", "below 4294967296"),
    ("mps2-an386", "shift = 6", "shift = 60", "emulator.qemu.icount_shift", "60", "from 0 to 10"),
    ("microbit", '"cortex-m0"', '"cortex-m4"', "core", "'cortex-m4'", "'cortex-m0'"),
    ("microbit", "sysclk_hz = 16", "sysclk_hz = 64", "clock.sysclk_hz", "64000000", "16000000"),
    ("microbit", "0x40002000", "0x40004000", "uart.base", "1073758208", "1073750016"),
    ("microbit", '"P0.24"', '"P0.32"', "uart.tx", "'P0.32'", "a text like"),
    ("microbit", '"P0.25"', '"P0.24"', "uart.rx", "'P0.24'", "another pin than tx"),
    ("arduino-uno", 'core = "avr"', 'core = "cortex-m0"', "core", "'cortex-m0'", "'avr'"),
    (
        "arduino-uno",
        '"ATmega328P"',
        '"ATmega32U4"',
        "mcu",
        "'ATmega32U4'",
        "ATmega328P or ATmega2560",
    ),
    ("arduino-uno", "32256", "65536", "memory.flash.size", "65536", "up to 32768 on this part"),
    ("arduino-uno", "origin = 0x000000", "origin = 512", "memory.flash.origin", "512", "0"),
    ("arduino-uno", "0x800100", "0x0100", "memory.ram.origin", "256", "(0x800100) on this part"),
    ("arduino-uno", "2048", "2560", "memory.ram.size", "2560", "up to 2048 on this part"),
    ("arduino-uno", "16000000", "24000000", "clock.sysclk_hz", "24000000", "up to 20000000"),
    (
        "arduino-uno",
        "[uart]\nbaud = 115200",
        "[uart]\nbaud = 230400",
        "uart.baud",
        "230400",
        "2.2 %",
    ),
    (
        "arduino-uno",
        "[uart]\nbaud",
        "[uart]\nirq = 18\nbaud",
        "uart.irq",
        "unknown key",
        "known: baud",
    ),
    ("arduino-uno", '"standard"', '"../x"', "arduino.variant", "'../x'", "a text like"),
    ("arduino-uno", '"AVR_UNO"', '"avr uno"', "arduino.board", "'avr uno'", "a text like"),
    (
        "arduino-uno",
        "[arduino]",
        "[arduina]",
        "arduino",
        "missing",
        "a section with variant, board",
    ),
    (
        "arduino-uno",
        'mcu = "atmega328p"',
        'mcu = "avr5"',
        "emulator.simavr.mcu",
        "'avr5'",
        "atmega328p",
    ),
    (
        "arduino-uno",
        'programmer = "arduino"\n',
        "",
        "flash_tool.avrdude.programmer",
        "missing",
        "a text",
    ),
    ("arduino-mega2560", "16000000", "20000000", "clock.sysclk_hz", "20000000", "up to 16000000"),
    ("arduino-mega2560", "253952", "524288", "memory.flash.size", "524288", "up to 262144 on"),
    (
        "microbit",
        "[emulator.qemu]",
        '[emulator.simavr]\nmcu = "x"\n\n[emulator.qemu]',
        "emulator.simavr.mcu",
        "'x'",
        "family avr",
    ),
    (
        "microbit",
        "[emulator.qemu]",
        "[emulator.rp2040js]\n\n[emulator.qemu]",
        "family",
        "'nrf51'",
        "'rp2040' with emulator.rp2040js",
    ),
    (
        "raspberry-pi-pico",
        "[emulator.rp2040js]",
        "[emulator.avr8js]",
        "family",
        "'rp2040'",
        "'avr' with emulator.avr8js",
    ),
    ("microbit", "baud = 115200", "baud = 460800", "uart.baud", "460800", "within 2 %"),
    (NANO, "1000000", "921600", "uart.baud", "921600", "16000000 Hz by a whole number"),
    (NANO, '"P1.10"', '"P1.16"', "uart.rx", "'P1.16'", "a text like"),
    (NANO, '"P1.10"', '"P1.3"', "uart.rx", "'P1.3'", "another pin than tx"),
    (NANO, "irq = 2", "irq = 3", "uart.irq", "3", "2"),
    (NANO, "= 983040", "= 1048576", "memory.flash.size", "1048576", "up to 983040 on this part"),
    (NANO, "262144", "262152", "memory.ram.size", "262152", "up to 262144 on this part"),
    (NANO, '"nRF52840"', '"nRF52832"', "mcu", "'nRF52832'", "'nRF52840'"),
    (NANO, "= 64000000", "= 16000000", "clock.sysclk_hz", "16000000", "64000000"),
    ("arduino-due", '"PA9"', '"PA8"', "uart.tx", "'PA8'", "'PA9'"),
    ("arduino-due", "pll_mul = 14", "pll_mul = 13", "clock.sysclk_hz", "84000000", "78000000"),
    ("arduino-due", "84000000", "85000000", "clock.sysclk_hz", "85000000", "to 84000000"),
    ("arduino-due", "pll_div = 1", "pll_div = 2", "clock.pll_div", "2", "8000000 to 16000000 Hz"),
    ("arduino-due", "states = 4", "states = 3", "clock.flash_wait_states", "3", "from 4 to 15"),
    ("arduino-due", "= 250000", "= 460800", "uart.baud", "460800", "5250000 Hz by a whole"),
    ("arduino-due", "= 250000", "= 4000000", "uart.baud", "4000000", "5250000 Hz by a whole"),
    ("arduino-due", "0x20070000", "0x20000000", "memory.ram.origin", "536870912", "0x20070000 on"),
    (
        "arduino-due",
        "touch_1200 = true",
        'touch_1200 = "yes"',
        "flash_tool.bossac.touch_1200",
        "'yes'",
        "true or false",
    ),
    (PICO, '"GPIO0"', '"GPIO4"', "uart.tx", "'GPIO4'", "GPIO0 or GPIO12 or GPIO16 or GPIO28 for"),
    (PICO, '"GPIO1"', '"GPIO0"', "uart.rx", "'GPIO0'", "GPIO1 or GPIO13 or GPIO17 or GPIO29 for"),
    (PICO, "0x40034000", "0x40038000", "uart.irq", "20", "21 for UART1"),
    (PICO, "0x40034000", "0x40030000", "uart.base", "1073938432", "1073954816 or 1073971200"),
    (PICO, "fbdiv = 125", "fbdiv = 60", "clock.pll_fbdiv", "60", "750000000 to 1600000000 Hz"),
    (PICO, "postdiv2 = 2", "postdiv2 = 3", "clock.sysclk_hz", "125000000", "83333333"),
    (PICO, "0x10000000", "0x10000400", "memory.flash.origin", "268436480", "268435456, where the"),
    (PICO, "270336", "278528", "memory.ram.size", "278528", "up to 270336 on this part"),
    (PICO, '"RPI-RP2"', '"Raspberry Pi"', "flash_tool.drive.label", "'Raspberry", "a text like"),
    (PICO, '"uf2"', '"elf"', "flash_tool.drive.format", "'elf'", "'bin' or 'hex' or 'uf2'"),
    (UNO, '"P302"', '"P109"', "uart.tx", "'P109'", "'P302' for SCI2"),
    (UNO, '"SCI2"', '"SCI9"', "uart.rx", "'P301'", "'P110' for SCI9"),
    (UNO, '"SCI2"', '"SCI3"', "uart.peripheral", "'SCI3'", "'SCI2' or 'SCI9'"),
    (UNO, "0x40070040", "0x40070060", "uart.base", "1074200672", "1074200640 for SCI2"),
    (UNO, "irq = 0", "irq = 31", "uart.irq", "31", "from 0 to 30"),
    (
        UNO,
        "baud = 460800",
        "baud = 9600",
        "uart.baud",
        "9600",
        "6000000 Hz by a whole number up to",
    ),
    (UNO, "baud = 460800", "baud = 2500000", "uart.baud", "2500000", "within 2 %"),
    (UNO, "= 245760", "= 262144", "memory.flash.size", "262144", "up to 245760 on this part"),
    (UNO, "= 48000000", "= 24000000", "clock.sysclk_hz", "24000000", "48000000"),
    (UNO, "dfuse = false", "dfuse = 0", "flash_tool.dfu.dfuse", "0", "true or false"),
    (NANO, "offset = 0", "offset = -1", "flash_tool.bossac.offset", "-1", "an integer from 0"),
]


@pytest.mark.parametrize(("name", "old", "new", "key", "value", "allowed"), CHANGES)
def test_faults_are_named(
    name: str,
    old: str,
    new: str,
    key: str,
    value: str,
    allowed: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = (data_folder("boards") / f"{name}.toml").read_text()
    assert old in good
    path = tmp_path / f"{name}.toml"
    path.write_text(good.replace(old, new))
    message = failure(capsys, 3, "boards", "validate", path)["message"]
    assert message.startswith(f"{path}: ")
    faults = message.removeprefix(f"{path}: ").split("; ")
    is_value = f"{key}: {value}" if value == "unknown key" else f"{key} is {value}"
    assert any(fault.startswith(is_value) and allowed in fault for fault in faults), message


GOOD = (data_folder("boards") / "netduinoplus2.toml").read_text()

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "name is missing, allowed: a text"),
    "garbage": (bytes(range(128, 256)) * 9, "cannot be read as TOML: 'utf-8' codec"),
    "zeros": (bytes(1000), "cannot be read as TOML"),
    "not TOML": (GOOD.replace("[uart]", "[uart").encode(), "cannot be read as TOML: Expected ']'"),
    "key twice": (GOOD.replace("apb = 2", "apb = 2\napb = 2").encode(), "overwrite a value"),
    "nested": (b"a = " + b"[" * 50_000, "nested too deeply"),
    "huge number": (b"schema = " + b"9" * 5000, "cannot be read as TOML"),
    "long text": (GOOD.replace("PC6", "P" * 1000).encode(), "uart.tx is 'PPP"),
    "longer text": (GOOD.replace("PC6", "P" * 100_000).encode(), "characters, allowed: up to 4096"),
    "no uart": (
        (GOOD[: GOOD.index("[uart]")] + GOOD[GOOD.index("[flash_tool") :]).encode(),
        "uart is missing, allowed: a section with baud, base, irq",
    ),
    "uart of another kind": (
        (GOOD[: GOOD.index("[clock]")] + "uart = 5\n").encode(),
        "memory.regions.ccm.uart: unknown key",
    ),
    "another name": (
        GOOD.replace('"netduinoplus2"\nt', '"netduino"\nt').encode(),
        "name is 'netduino', allowed: 'netduinoplus2', as its file is called",
    ),
    "upper case": (
        GOOD.replace('"netduinoplus2"\nt', '"NetduinoPlus2"\nt').encode(),
        "name is 'NetduinoPlus2', allowed: a text like",
    ),
    "no sources": (
        (GOOD[: GOOD.index("sources")] + "sources = []\n" + GOOD[GOOD.index("[memory") :]).encode(),
        "sources is [], allowed: a list of at least 1",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_no_description(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, said = FILES[kind]
    path = tmp_path / "netduinoplus2.toml"
    path.write_bytes(content)
    message = failure(capsys, 3, "boards", "validate", path)["message"]
    assert message.startswith(f"{path}: ")
    assert said in message
    assert len(message) < 2000


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.toml").mkdir()
    for name in ("folder.toml", "none.toml"):
        message = failure(capsys, 3, "boards", "validate", tmp_path / name)["message"]
        assert message.startswith(f"{tmp_path / name}: cannot be read")


def test_all_faults_of_all_files_are_reported_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "netduinoplus2.toml", tmp_path / "other.toml"
    first.write_text(GOOD.replace("apb = 2", "apb = 3").replace("pll_q = 7", "pll_q = 99"))
    second.write_text(GOOD.replace("irq", "irk"))
    message = failure(capsys, 3, "boards", "validate", first, "microbit", second)["message"]
    for fault in ("uart.apb is 3", "clock.pll_q is 99", "name is 'netduinoplus2'", "uart.irk: unk"):
        assert fault in message
    # Several keys are compared together as soon as each is possible.
    first.write_text(GOOD.replace('"PC6"', '"PA9"').replace("states = 5", "states = 2"))
    message = failure(capsys, 3, "boards", "validate", first)["message"]
    assert "uart.tx is 'PA9'" in message
    assert "clock.flash_wait_states is 2" in message


def test_an_emulator_that_the_family_does_not_run_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mps2-an386.toml"
    good = (data_folder("boards") / "mps2-an386.toml").read_text()
    path.write_text(good + '[emulator.unicorn]\ncpu = "cortex-m4"\n')
    message = failure(capsys, 3, "boards", "validate", path)["message"]
    assert "emulator.unicorn.cpu is 'cortex-m4'" in message
    path.write_text(good)
    assert run_json(capsys, "boards", "validate", path)["valid"] == ["mps2-an386"]
