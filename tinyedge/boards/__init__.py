"""Board descriptions: what a board is, read from one TOML file each."""

from tinyedge.boards.board import Board
from tinyedge.boards.loading import DEFAULT_BOARD, board_names, load_board

__all__ = ["DEFAULT_BOARD", "Board", "board_names", "load_board"]
