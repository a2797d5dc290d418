"""The boards of a worker: which it declares, and which of them is free."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import NamedTuple

from tinyedge.errors import DeviceError, LinkError, OtherModelError

VARIABLE = "TINYEDGE_BOARDS"
"""Variable of the worker's environment: ``BOARD=PORT`` or ``BOARD=PORT@PROBE`` of every board,
separated by commas."""


class DeclaredBoard(NamedTuple):
    """A board of a worker.

    Attributes:
        port: serial port, as ``open_line`` takes it.
        probe: serial number of the debug probe or drive that it is flashed by, where there are
            several.
    """

    port: str
    probe: str | None = None


def declared_boards(text: str) -> dict[str, list[DeclaredBoard]]:
    """A worker's boards by their names.

    Args:
        text: as ``TINYEDGE_BOARDS`` has it.

    Raises:
        DeviceError: it is not ``BOARD=PORT`` or ``BOARD=PORT@PROBE``, separated by commas, or names
            a port or a probe twice.
    """
    found: dict[str, list[DeclaredBoard]] = {}
    named: set[str] = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        board, _, where = part.partition("=")
        port, at, probe = where.partition("@")
        each = {name for name in (port, probe) if name}
        if not (board and port) or (at and not probe) or each & named:
            raise DeviceError(
                f"{VARIABLE}: {part!r}, allowed: BOARD=PORT or BOARD=PORT@PROBE, each port and "
                "probe once",
                hint=f"as {VARIABLE}=nucleo-f446re=/dev/ttyACM0,nucleo-f446re=/dev/ttyACM1",
            )
        named |= each
        found.setdefault(board, []).append(DeclaredBoard(port, probe or None))
    return found


class BoardsGoneError(DeviceError):
    """A worker has no board of a kind, or none any more.

    Attributes:
        worker: its address.
    """

    worker = ""


class BoardPool:
    """The boards of this process; one that has failed is not handed out until ``try_again``.

    Args:
        declared: boards by name.
    """

    def __init__(self, declared: dict[str, list[DeclaredBoard]]) -> None:
        self._free = {name: list(boards) for name, boards in declared.items()}
        self._failed: dict[str, list[DeclaredBoard]] = {name: [] for name in declared}
        self._count = {name: len(boards) for name, boards in declared.items()}
        self._last: dict[str, DeviceError | LinkError] = {}
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one(self, name: str) -> Iterator[DeclaredBoard]:
        """A free board, once there is one.

        It has failed where the body says that it does not answer, or that it or its port is not
        there. One that answers and holds another model has not.

        Raises:
            BoardsGoneError: this worker has no such board, or all have failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free.get(name) or not self.left(name))
            if not self.left(name):
                raise self._gone(name)
            board = self._free[name].pop()
        back_to = self._free
        try:
            yield board
        except OtherModelError:
            raise
        except (LinkError, DeviceError) as error:
            back_to, self._last[name] = self._failed, error
            raise
        finally:
            with self._changed:
                back_to[name].append(board)
                self._changed.notify_all()

    def left(self, name: str) -> int:
        """How many boards of a kind have not failed."""
        return self._count.get(name, 0) - len(self._failed.get(name, ()))

    def try_again(self) -> None:
        """Hands out boards again that have failed: by now somebody may have seen to them."""
        with self._changed:
            for name, boards in self._failed.items():
                self._free[name] += boards
                boards.clear()
            self._changed.notify_all()

    @contextlib.contextmanager
    def all_free(self) -> Iterator[list[DeclaredBoard]]:
        """The boards that nobody uses, kept from others meanwhile."""
        with self._changed:
            yield [board for boards in self._free.values() for board in boards]

    def _gone(self, name: str) -> BoardsGoneError:
        if last := self._last.get(name):
            return BoardsGoneError(f"all boards '{name}' of a worker fail: {last}", last.hint)
        return BoardsGoneError(
            f"a worker has no board '{name}'",
            hint=f"start it with {VARIABLE}={name}=PORT and --resources {name}=1",
        )


@functools.cache
def pool() -> BoardPool:
    """The boards that this process declares.

    Raises:
        DeviceError: the variable is not as it has to be.
    """
    return BoardPool(declared_boards(os.environ.get(VARIABLE, "")))
