"""Board descriptions: what a board is, read from one TOML file each."""

from tinyedge.boards.board import Board, board_names, load_board

__all__ = ["Board", "board_names", "load_board"]
