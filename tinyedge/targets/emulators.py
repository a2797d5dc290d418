"""Choosing and starting an emulator."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from tinyedge.boards import Board, board_names, load_board
from tinyedge.distribution import install_hint
from tinyedge.errors import ToolchainError
from tinyedge.names import EMULATORS, EmulatorName
from tinyedge.targets.counter import Counter
from tinyedge.targets.target import Target


def _described(board: Board, name: EmulatorName | None = None) -> list[EmulatorName]:
    """The emulators that a board's description has: all, or the named one."""
    names = (name,) if name else EMULATORS
    return [name for name in names if getattr(board.emulator, name)]


def available_emulators(board: Board) -> list[EmulatorName]:
    """The installed emulators that can stand in for a board, the preferred one first."""
    return [name for name in _described(board) if _installed(name)]


def _installed(name: EmulatorName) -> bool:
    if name == "qemu":
        return shutil.which("qemu-system-arm") is not None
    if name == "unicorn":
        return importlib.util.find_spec("unicorn") is not None
    if name == "simavr":
        from tinyedge.targets.simavr import simavr_installed

        return simavr_installed()
    from tinyedge.targets.javascript import javascript_installed

    return javascript_installed()


def _remedy(board: Board, name: EmulatorName | None) -> str:
    """How to get the named emulator of a board, or any."""
    from tinyedge.targets.javascript import javascript_hint

    if name in ("rp2040js", "avr8js"):
        return javascript_hint()
    if board.emulator.simavr:
        without_root = "" if name else f"; without root: {javascript_hint()}"
        return f"on Debian: apt-get install libsimavr-dev gcc{without_root}"
    return f"{install_hint('emulator')}, or on Debian: apt-get install qemu-system-arm"


def require_emulator(board: Board, name: EmulatorName | None = None) -> EmulatorName:
    """The emulator to use, unless one is named: the first of ``EMULATORS`` that is installed.

    Raises:
        ToolchainError: none, or not the named one, can stand in for the board, or is installed.
    """
    if not _described(board, name):
        others = [other for other in map(load_board, board_names()) if _described(other, name)]
        same_core = [other.name for other in others if other.core == board.core]
        others_can = _described(board, None)
        raise ToolchainError(
            f"{name or 'no emulator'} {'cannot' if name else 'can'} stand in for '{board.name}'",
            hint=(f"without --emulator: {', '.join(others_can)}; " if others_can else "")
            + f"boards with a {board.core} that can be emulated"
            f"{f' by {name}' if name else ''}: {', '.join(same_core) or 'none'}",
        )
    found = available_emulators(board)
    if not found or (name and name not in found):
        raise ToolchainError(
            f"no emulator{f' {name!r}' if name else ''} for board '{board.name}' is installed",
            hint=_remedy(board, name),
        )
    return name or found[0]


def counting_stand_in(board: Board, emulator: EmulatorName) -> Board | None:
    """QEMU's board of the same core, where a board's own emulator counts nothing.

    Of several it is the one with the largest memory, so that what fits the board fits there.

    Args:
        board: what is asked about.
        emulator: that stands in for it.

    Returns:
        None where the emulator counts, or QEMU is not installed or has no such board.
    """
    if emulator in ("qemu", "simavr", "avr8js") or not _installed("qemu"):
        return None
    others = [other for other in map(load_board, board_names()) if other.emulator.qemu]
    same_core = [other for other in others if other.core == board.core]
    return max(same_core, key=lambda other: other.ram.size + other.flash.size, default=None)


def open_emulator(
    board: Board, elf: Path, name: EmulatorName | None = None, counter: Counter | None = None
) -> Target:
    """Starts a firmware on the emulator that ``require_emulator`` gives.

    Args:
        board: what the firmware is for.
        elf: the firmware.
        name: of the emulator.
        counter: what QEMU is to count at each address; others count nothing.

    Raises:
        ToolchainError: none is installed, or it does not start.
    """
    chosen = require_emulator(board, name)
    if chosen == "qemu":
        from tinyedge.targets.qemu import open_qemu

        return open_qemu(board, elf, counter)
    if chosen == "simavr":
        from tinyedge.targets.simavr import open_simavr

        return open_simavr(board, elf)
    if chosen == "rp2040js":
        from tinyedge.targets.javascript import open_rp2040js

        return open_rp2040js(board, elf)
    if chosen == "avr8js":
        from tinyedge.targets.javascript import open_avr8js

        return open_avr8js(board, elf)
    from tinyedge.targets.unicorn import open_unicorn

    return open_unicorn(board, elf)
