"""The boards of a worker: which it declares, and which of them is free."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

from tinyedge.errors import DeviceError, LinkError

VARIABLE = "TINYEDGE_BOARDS"
"""Variable of the worker's environment: ``BOARD=PORT`` of every board, separated by commas."""


def declared_boards(text: str) -> dict[str, list[str]]:
    """The ports of a worker's boards, by board.

    Args:
        text: as ``TINYEDGE_BOARDS`` has it.

    Raises:
        DeviceError: it is not ``BOARD=PORT``, separated by commas, or names a port twice.
    """
    found: dict[str, list[str]] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        board, sign, port = part.partition("=")
        if not (board and sign and port) or any(port in ports for ports in found.values()):
            raise DeviceError(
                f"{VARIABLE}: {part!r}, allowed: BOARD=PORT, each port once",
                hint=f"as {VARIABLE}=nucleo-f446re=/dev/ttyACM0,nucleo-f446re=/dev/ttyACM1",
            )
        found.setdefault(board, []).append(port)
    return found


class BoardsGoneError(DeviceError):
    """A worker has no board of a kind, or none any more."""


class BoardPool:
    """The boards of this process; a board that has failed is not handed out again.

    Args:
        declared: ports by board.
    """

    def __init__(self, declared: dict[str, list[str]]) -> None:
        self._free = {board: list(ports) for board, ports in declared.items()}
        self._left = {board: len(ports) for board, ports in declared.items()}
        self._last: dict[str, Exception] = {}
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one(self, board: str) -> Iterator[str]:
        """The port of a free board, once there is one; the board has failed where the body does.

        Raises:
            BoardsGoneError: this worker has no such board, or all have failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free.get(board) or not self.left(board))
            if not self.left(board):
                raise self._gone(board)
            port = self._free[board].pop()
        try:
            yield port
        except (LinkError, DeviceError) as error:
            with self._changed:
                self._left[board] -= 1
                self._last[board] = error
                self._changed.notify_all()
            raise
        except BaseException:
            self._give_back(board, port)
            raise
        else:
            self._give_back(board, port)

    def left(self, board: str) -> int:
        """How many boards of a kind have not failed."""
        return self._left.get(board, 0)

    def _give_back(self, board: str, port: str) -> None:
        with self._changed:
            self._free[board].append(port)
            self._changed.notify_all()

    def _gone(self, board: str) -> BoardsGoneError:
        if board in self._last:
            return BoardsGoneError(f"all boards '{board}' of a worker fail: {self._last[board]}")
        return BoardsGoneError(
            f"a worker has no board '{board}'",
            hint=f"start it with {VARIABLE}={board}=PORT and --resources {board}=1",
        )


@functools.cache
def pool() -> BoardPool:
    """The boards that this process declares.

    Raises:
        DeviceError: the variable is not as it has to be.
    """
    return BoardPool(declared_boards(os.environ.get(VARIABLE, "")))
