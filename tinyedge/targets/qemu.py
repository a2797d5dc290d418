"""QEMU as a board: its serial port is a TCP socket of this machine."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import ToolchainError
from tinyedge.targets.counter import Counter
from tinyedge.targets.target import Target, start_emulator

_ATTEMPTS = 5
_START_DEADLINE_S = 10.0


def open_qemu(board: Board, elf: Path, counter: Counter | None = None) -> Target:
    """Starts a firmware in QEMU, which waits for the serial port to be opened.

    Args:
        board: that QEMU stands in for.
        elf: the firmware.
        counter: what is to be counted at each address.

    Raises:
        ToolchainError: QEMU does not start.
    """
    qemu = board.emulator.qemu
    assert qemu
    message = ""
    for _ in range(_ATTEMPTS):
        port = _free_port()
        listener = f"socket,id=link,host=127.0.0.1,port={port},server=on,wait=on,nodelay=on"
        serials = ["-serial", "null"] * qemu.serial + ["-serial", "chardev:link"]
        process = start_emulator(
            [
                "qemu-system-arm",
                *("-M", qemu.machine),
                *("-icount", f"shift={qemu.icount_shift}"),
                *("-nographic", "-monitor", "none"),
                *("-chardev", listener),
                *serials,
                *("-kernel", str(elf)),
                *(counter.arguments if counter else ()),
            ],
            stderr=subprocess.STDOUT,
        )
        # `wait=on` announces the socket before anything runs; a port that another program took
        # between _free_port and now ends QEMU instead.
        assert process.stdout
        line = process.stdout.readline()
        if "waiting for connection" in line.lower():
            return Target("qemu", f"socket://127.0.0.1:{port}", qemu.ticks_per_instruction, process)
        message = line.strip() or message
        process.kill()
        process.communicate()
        time.sleep(0.05)
    raise ToolchainError(f"qemu-system-arm did not start: {message or 'no message'}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
