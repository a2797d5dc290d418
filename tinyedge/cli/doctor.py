"""``tinyedge doctor``."""

from __future__ import annotations

import click

from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output

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
    "PIL": "data sets of JPEG images",
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
    "PIL": "data",
}


@click.command("doctor")
@output_options
@click.pass_obj
def command(output: Output) -> None:
    """Say what is installed, what is missing, and how to get it."""
    import importlib.util
    import shutil
    import sys

    from rich.table import Table

    from tinyedge.evaluation.session import serial_ports

    checks = []
    for module, purpose in PACKAGES.items():
        remedy = f"{sys.executable} -m pip install 'tinyedge[{_EXTRAS[module]}]'"
        found = importlib.util.find_spec(module) is not None
        checks.append(("package", module, purpose, found, remedy))
    for program, purpose, package in (
        ("arm-none-eabi-gcc", "compiling firmware", "gcc-arm-none-eabi"),
        (
            "avr-gcc",
            "compiling firmware for Arduino boards",
            "gcc-avr avr-libc arduino-core-avr",
        ),
        ("qemu-system-arm", "emulating boards, counting instructions", "qemu-system-arm"),
        ("cc", "the host twin", "gcc"),
        ("g++", "running hls4ml's projects on this machine", "g++"),
        ("dfu-util", "flashing STM32 boards", "dfu-util"),
    ):
        found = shutil.which(program) is not None
        checks.append(("program", program, purpose, found, f"apt-get install {package}"))
    ports, attached = serial_ports(), _boards_by_port()

    table = Table()
    for heading in ("", "what", "for", "how to get it"):
        table.add_column(heading, overflow="fold")
    for _, name, purpose, found, remedy in checks:
        table.add_row("ok" if found else "missing", name, purpose, "" if found else remedy)
    present = {name for _, name, _, found, _ in checks if found}
    verdicts = {
        "convert Keras models": {"tensorflow", "tf_keras", "qkeras"} <= present,
        "craft attacks": {"tensorflow", "tf_keras", "qkeras", "art"} <= present,
        "build firmware": bool({"arm-none-eabi-gcc", "ziglang"} & present),
        "emulate a board": bool({"qemu-system-arm", "unicorn"} & present),
        "compare with hls4ml": {"tensorflow", "qkeras", "hls4ml", "g++"} <= present,
        "run the host twin": bool({"cc", "ziglang"} & present),
    }
    record = {
        "checks": [
            {"kind": kind, "name": name, "for": purpose, "found": found, "remedy": remedy}
            for kind, name, purpose, found, remedy in checks
        ],
        "can": verdicts,
        "serial_ports": ports,
        "boards": attached,
    }
    lines = [f"{'can' if able else 'can NOT'} {what}" for what, able in verdicts.items()]
    lines.append("serial ports: " + (", ".join(ports) or "none"))
    lines += [f"{port} may be: {', '.join(names)}" for port, names in attached.items()]
    output.result(record, table, "\n".join(lines))


def _boards_by_port() -> dict[str, list[str]]:
    """The boards that a serial port may be, by its USB device's vendor and product."""
    from serial.tools import list_ports

    from tinyedge.boards import board_names, load_board

    boards = [load_board(name) for name in board_names()]
    found = {
        port.device: [
            board.name for board in boards if board.usb == f"{port.vid:04x}:{port.pid:04x}"
        ]
        for port in sorted(list_ports.comports())
        if port.vid is not None
    }
    return {port: names for port, names in found.items() if names}
