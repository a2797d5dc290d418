"""A PlatformIO project without a framework: nothing is downloaded but PlatformIO's platform."""

from __future__ import annotations

from tinyedge.boards import board_names, load_board
from tinyedge.errors import BoardError
from tinyedge.firmware.export.source import LINKER_SCRIPT, FirmwareSource

_UPLOADS = {"stlink": "stlink", "openocd": "stlink", "dfu": "dfu"}
"""PlatformIO's names of flashing tools; its OpenOCD drives the ST-Link."""


def platformio_project(source: FirmwareSource) -> dict[str, str]:
    """All files by their paths in the project's folder.

    Raises:
        BoardError: the board's description does not name PlatformIO's.
    """
    board, compiler = source.board, source.compiler
    if not board.platformio:
        known = [name for name in board_names() if load_board(name).platformio]
        raise BoardError(
            f"board '{board.name}' has no platformio", hint=f"boards that have: {', '.join(known)}"
        )
    context = {
        "linker_script": LINKER_SCRIPT,
        "target_flags": compiler.command[1:],
        "link_flags": [*compiler.command[1:], *compiler.link_flags],
        "upload": next((_UPLOADS[name] for name in board.flash_tool.names if name in _UPLOADS), ""),
    }
    return source.source_files() | {
        name: source.render(f"platformio/{name}.j2", **context)
        for name in ("platformio.ini", "link_flags.py", "README.md")
    }
