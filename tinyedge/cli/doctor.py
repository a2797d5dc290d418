"""``tinyedge doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output
from tinyedge.distribution import install_hint, other_distribution

if TYPE_CHECKING:
    from tinyedge.boards import Board

PACKAGES = {
    "tensorflow": "importing and attacking Keras models",
    "tf_keras": "importing and attacking Keras models",
    "qkeras": "importing and attacking Keras models",
    "art": "attacks",
    "ziglang": "a C compiler that pip brings",
    "unicorn": "an emulator that pip brings",
    "tflite_micro": "TFLite-Micro's interpreter, to compare with",
    "ai_edge_litert": "LiteRT, to compare with",
    "hls4ml": "FPGA projects, and another implementation to compare with",
    "vl_convert": "charts of reports",
    "junitparser": "reports as JUnit's XML",
    "PIL": "data sets of JPEG images, pictures in reports",
}
_EXTRAS = {
    "tensorflow": "qkeras",
    "tf_keras": "qkeras",
    "qkeras": "qkeras",
    "art": "attack",
    "ziglang": "zig",
    "unicorn": "emulator",
    "tflite_micro": "tflite",
    "ai_edge_litert": "tflite",
    "hls4ml": "hls4ml",
    "vl_convert": "report",
    "junitparser": "report",
    "PIL": "data",
}


class Check(NamedTuple):
    """Something that is there or not.

    Attributes:
        kind: ``package``, ``program``, ``group`` or ``udev``.
        name: of it.
        purpose: what it is for.
        found: whether it is there.
        remedy: the command that gets it.
    """

    kind: str
    name: str
    purpose: str
    found: bool
    remedy: str


@click.command("doctor")
@click.option(
    "--udev-rules",
    is_flag=True,
    help="Print rules that let users open the boards, as a file for /etc/udev/rules.d.",
)
@output_options
@click.pass_obj
def command(output: Output, *, udev_rules: bool) -> None:
    """Say what is installed, what is missing, and how to get it."""
    from rich.table import Table
    from rich.text import Text

    from tinyedge.targets import permissions
    from tinyedge.targets.attached import serial_ports

    if udev_rules:
        rules = permissions.udev_rules(_boards())
        output.result({"file": str(permissions.RULES_FILE), "rules": rules}, Text(rules.rstrip()))
        return
    checks = [*_packages(), *_programs(), *_flashing_tools(), *_permissions()]
    ports = serial_ports()

    table = Table()
    for heading in ("", "what", "for", "how to get it"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        state = "ok" if check.found else "missing"
        table.add_row(state, check.name, check.purpose, "" if check.found else check.remedy)
    present = {check.name for check in checks if check.found}
    tools = {check.name for check in _flashing_tools()}
    verdicts = {
        "convert Keras models": {"tensorflow", "tf_keras", "qkeras"} <= present,
        "craft attacks": {"tensorflow", "tf_keras", "qkeras", "art"} <= present,
        "build firmware": bool({"arm-none-eabi-gcc", "ziglang"} & present),
        "emulate a board": bool({"qemu-system-arm", "unicorn"} & present),
        "compare with hls4ml": {"tensorflow", "qkeras", "hls4ml", "g++"} <= present,
        "run the host twin": bool({"cc", "ziglang"} & present),
        "flash boards": bool(tools & present),
    }
    attached = {port.device: list(port.boards) for port in ports if port.boards}
    described = [
        f"{port.device} ({port.description})" if port.description else port.device for port in ports
    ]
    notes = [other] if (other := other_distribution()) else []
    if permissions.modem_manager_runs():
        notes.append(
            "ModemManager runs, and talks to serial ports that appear: a board may be busy for "
            f"some seconds. To keep it from boards: {permissions.INSTALL_RULES}"
        )
    record = {
        "checks": [
            {
                "kind": check.kind,
                "name": check.name,
                "for": check.purpose,
                "found": check.found,
                "remedy": check.remedy,
            }
            for check in checks
        ],
        "can": verdicts,
        "serial_ports": described,
        "boards": attached,
        "notes": notes,
    }
    lines = [f"{'can' if able else 'can NOT'} {what}" for what, able in verdicts.items()]
    lines.append("serial ports: " + (", ".join(described) or "none"))
    lines += [f"{port} may be: {', '.join(names)}" for port, names in attached.items()]
    output.result(record, table, Text("\n".join([*lines, *notes])))


def _boards() -> list[Board]:
    from tinyedge.boards import board_names, load_board

    return [load_board(name) for name in board_names()]


def _packages() -> list[Check]:
    import importlib.util

    return [
        Check(
            "package",
            module,
            purpose,
            importlib.util.find_spec(module) is not None,
            install_hint(_EXTRAS[module]),
        )
        for module, purpose in PACKAGES.items()
    ]


def _programs() -> list[Check]:
    import shutil

    from tinyedge.targets.simavr import simavr_installed
    from tinyedge.toolchains.arduino import arduino_installed

    programs = [
        Check(
            "program", name, purpose, shutil.which(name) is not None, f"apt-get install {package}"
        )
        for name, purpose, package in (
            ("arm-none-eabi-gcc", "compiling firmware", "gcc-arm-none-eabi"),
            ("qemu-system-arm", "emulating boards, counting instructions", "qemu-system-arm"),
            ("cc", "the host twin", "gcc"),
            ("g++", "running hls4ml's projects on this machine", "g++"),
        )
    ]
    return [
        *programs,
        Check(
            "program",
            "avr-gcc",
            "compiling firmware for Arduino boards with an AVR, on Arduino's core",
            arduino_installed(),
            "apt-get install gcc-avr avr-libc arduino-core-avr",
        ),
        Check(
            "program",
            "simavr",
            "emulating Arduino boards with an AVR",
            simavr_installed(),
            "apt-get install libsimavr-dev",
        ),
    ]


def _flashing_tools() -> list[Check]:
    """The tools that flash any board that tinyedge knows."""
    from tinyedge.targets.flashing import TOOLS

    checks = []
    for name, tool in TOOLS.items():
        boards = [board.name for board in _boards() if name in board.flash_tool.names]
        if boards and name != "drive":
            purpose = f"flashing {', '.join(boards)}"
            checks.append(Check("program", tool.program, purpose, tool.installed(), tool.remedy))
    return checks


def _permissions() -> list[Check]:
    """Whether this user may open serial ports and probes, on Linux."""
    import sys

    from tinyedge.targets import permissions

    if sys.platform != "linux":
        return []
    group = permissions.serial_group()
    join = f"sudo usermod -a -G {group} $USER, then log in again"
    checks = [Check("group", group, "opening serial ports", permissions.in_group(group), join)]
    needed = permissions.usb_ids(_boards())
    lacking = permissions.without_rule(needed)
    return checks + [
        Check(
            *("udev", device, f"opening {', '.join(names)}"),
            *(device not in lacking, permissions.INSTALL_RULES),
        )
        for device, names in needed.items()
    ]
