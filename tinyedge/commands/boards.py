"""The boards that tinyedge knows: ``tinyedge boards list``, ``show`` and ``validate``."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

from tinyedge.boards import board_names, load_board
from tinyedge.commands.notes import noted
from tinyedge.errors import BoardError


@noted()
def list_boards() -> dict[str, Any]:
    """Lists all boards.

    Returns:
        ``boards``: of each ``name``, ``title``, ``mcu``, ``core``, and the bytes of ``flash`` and
        ``ram``.
    """
    boards = [load_board(name) for name in board_names()]
    return {
        "boards": [
            {
                "name": board.name,
                "title": board.title,
                "mcu": board.mcu,
                "core": board.core,
                "flash": board.flash.size,
                "ram": board.ram.size,
            }
            for board in boards
        ]
    }


@noted()
def show_board(name: str | PathLike[str]) -> dict[str, Any]:
    """Gives everything about a board.

    Args:
        name: of the board, or the path of a ``.toml`` file.

    Returns:
        ``board``: every key of its description (``docs/boards.md``).

    Raises:
        BoardError: the board is unknown, or its description wrong.
    """
    return {"board": load_board(fspath(name)).model_dump(by_alias=True)}


@noted()
def validate_boards(files: str | PathLike[str] | Sequence[str | PathLike[str]]) -> dict[str, Any]:
    """Checks board descriptions.

    Args:
        files: a name or the path of a ``.toml`` file, or several.

    Returns:
        ``valid``: the names of the boards.

    Raises:
        BoardError: says what is wrong with each that is not in order.
    """
    boards, faults = [], []
    for file in [files] if isinstance(files, str | PathLike) else files:
        try:
            boards.append(load_board(fspath(file)))
        except BoardError as fault:
            faults.append(fault)
    if faults:
        raise BoardError("\n".join(map(str, faults)), hint=faults[0].hint)
    return {"valid": [board.name for board in boards]}
