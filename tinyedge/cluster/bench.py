"""A worker's bench: its material, and the places that it keeps open from one chunk to the next."""

from __future__ import annotations

import atexit
import functools
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

from tinyedge.errors import ClusterError, TinyEdgeError

_Opened = TypeVar("_Opened")
_MATERIALS = "tinyedge-materials"
_log = logging.getLogger(__name__)


class MaterialMissingError(ClusterError):
    """The worker has not got the files of a chunk yet."""


class Bench:
    """The open places of one thread of a worker, or of one of its boards.

    Args:
        folder: of the worker.

    Attributes:
        folder: of the worker.
        remarks: what the user is to be told of the chunk that is computed, in a line each.
        tell: has the user told one at once; none of the chunk's result depends on it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remarks: list[str] = []
        self.tell: Callable[[str], None] = _nobody
        self._materials = materials_folder(folder)
        self._open: dict[str, tuple[Any, ExitStack]] = {}

    def material(self, name: str) -> Path:
        """The folder with the files of a material.

        Raises:
            MaterialMissingError: it has not come yet.
        """
        folder = self._materials / name
        if not folder.is_dir():
            raise MaterialMissingError(f"{folder}: has not come yet")
        return folder

    def remark(self, told: str) -> None:
        """Tells the user something, at once and once."""
        if told not in self.remarks:
            self.remarks.append(told)
            self.tell(told)

    def opened(self, key: str, factory: Callable[[], AbstractContextManager[_Opened]]) -> _Opened:
        """Gives the place that a key names, opened if it is not; only the last one stays open.

        Args:
            key: tells it from others.
            factory: opens it.
        """
        if key not in self._open:
            self.close()
            stack = ExitStack()
            self._open[key] = stack.enter_context(factory()), stack
        found: _Opened = self._open[key][0]
        return found

    def close(self) -> None:
        """Closes what is open; what fails at that is in the worker's log, and spoils no chunk."""
        while self._open:
            _, (_, stack) = self._open.popitem()
            try:
                stack.close()
            except (OSError, TinyEdgeError) as error:
                _log.warning("closing what was open: %s", error)


def _nobody(_: str) -> None:
    """Listens to nothing."""


def materials_folder(folder: Path) -> Path:
    """Where a worker's materials lie."""
    return folder / _MATERIALS


@functools.lru_cache(maxsize=64)
def bench_in(folder: Path, owner: int | str) -> Bench:  # noqa: ARG001 - each has one of its own
    """The bench of a worker's thread, or of the board at a port."""
    bench = Bench(folder)
    atexit.register(bench.close)
    return bench
