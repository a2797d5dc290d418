"""Board descriptions: what a board is, read from one TOML file each.

Names of this package are imported when they are used: what only chooses kernels for a core needs no
schema of boards.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyedge.boards.board import Board
    from tinyedge.boards.loading import DEFAULT_BOARD, board_names, load_board

__all__ = ["DEFAULT_BOARD", "Board", "board_names", "load_board"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "board" if name == "Board" else "loading"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
