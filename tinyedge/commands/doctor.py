"""The programs that are installed on this machine, and those that are missing."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any, NamedTuple

import tinyedge
from tinyedge.boards import Board, board_names, load_board
from tinyedge.commands.notes import noted
from tinyedge.distribution import install_hint, other_distribution
from tinyedge.targets import attached, permissions
from tinyedge.targets.flashing import TOOLS
from tinyedge.targets.javascript import javascript_hint, javascript_installed
from tinyedge.targets.simavr import simavr_installed
from tinyedge.toolchains.arduino import arduino_installed

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
    "onnx": "importing ONNX models",
    "onnxruntime": "ONNX Runtime, to compare with",
    "qonnx": "qonnx, to compare with",
    "distributed": "clusters",
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
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "qonnx": "qonnx",
    "distributed": "cluster",
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
        installed: its version, where it has one and is there.
    """

    kind: str
    name: str
    purpose: str
    found: bool
    remedy: str
    installed: str | None = None


@noted()
def doctor(*, udev_rules: bool = False) -> dict[str, Any]:
    """Says what is installed, what is missing, and how to get it.

    Args:
        udev_rules: give rules that let users open the boards instead.

    Returns:
        ``versions`` of tinyedge and Python; ``checks`` with ``kind``, ``name``, ``for``, ``found``,
        ``installed`` (a version, or null) and ``remedy``; what this machine ``can`` do; its
        ``serial_ports``; the ``boards`` that they may be; and ``notes``. With ``udev_rules`` the
        ``rules``, and the ``file`` that they belong in.
    """
    if udev_rules:
        rules = permissions.udev_rules(_boards())
        return {"file": str(permissions.RULES_FILE), "rules": rules}
    checks = [*_packages(), *_programs(), *_flashing_tools(), *_permissions()]
    ports = attached.serial_ports()
    present = {check.name for check in checks if check.found}
    tools = {check.name for check in _flashing_tools()}
    verdicts = {
        "convert Keras models": {"tensorflow", "tf_keras", "qkeras"} <= present,
        "convert ONNX models": "onnx" in present,
        "craft attacks": {"tensorflow", "tf_keras", "qkeras", "art"} <= present,
        "build firmware": bool({"arm-none-eabi-gcc", "ziglang"} & present),
        "emulate a board": bool({"qemu-system-arm", "unicorn"} & present),
        "compare with hls4ml": {"tensorflow", "qkeras", "hls4ml", "g++"} <= present,
        "run the host twin": bool({"cc", "ziglang"} & present),
        "flash boards": bool(tools & present),
    }
    boards = {port.device: list(port.boards) for port in ports if port.boards}
    described = [
        f"{port.device} ({port.description})" if port.description else port.device for port in ports
    ]
    notes = [other] if (other := other_distribution()) else []
    if permissions.modem_manager_runs():
        notes.append(
            "ModemManager runs, and talks to serial ports that appear: a board may be busy for "
            f"some seconds. To keep it from boards: {permissions.INSTALL_RULES}"
        )
    return {
        "versions": {"tinyedge": tinyedge.__version__, "python": platform.python_version()},
        "checks": [
            {
                "kind": check.kind,
                "name": check.name,
                "for": check.purpose,
                "found": check.found,
                "installed": check.installed,
                "remedy": check.remedy,
            }
            for check in checks
        ],
        "can": verdicts,
        "serial_ports": described,
        "boards": boards,
        "notes": notes,
    }


def _boards() -> list[Board]:
    return [load_board(name) for name in board_names()]


def _packages() -> list[Check]:
    distributions = metadata.packages_distributions()
    return [
        Check(
            "package",
            module,
            purpose,
            importlib.util.find_spec(module) is not None,
            install_hint(_EXTRAS[module]),
            next((metadata.version(name) for name in distributions.get(module, ())), None),
        )
        for module, purpose in PACKAGES.items()
    ]


def _version_of(program: str) -> str | None:
    """Gives the version that a program reports, where it can be had in a moment."""
    if not shutil.which(program):
        return None
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    found = re.search(r"\d+\.\d+(\.\d+)?", said)
    return found[0] if found else None


def _programs() -> list[Check]:
    programs = [
        Check(
            "program",
            name,
            purpose,
            shutil.which(name) is not None,
            f"apt-get install {package}",
            _version_of(name),
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
        Check(
            "program",
            "rp2040js, avr8js",
            "emulating boards with an RP2040 or an AVR, without root",
            javascript_installed(),
            javascript_hint(),
        ),
    ]


def _flashing_tools() -> list[Check]:
    """The tools that flash any board that tinyedge knows."""
    checks = []
    for name, tool in TOOLS.items():
        boards = [board.name for board in _boards() if name in board.flash_tool.names]
        if boards and name != "drive":
            purpose = f"flashing {', '.join(boards)}"
            checks.append(Check("program", tool.program, purpose, tool.installed(), tool.remedy))
    return checks


def _permissions() -> list[Check]:
    """Whether this user may open serial ports and probes, on Linux."""
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
