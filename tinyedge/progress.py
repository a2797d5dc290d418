"""The progress of long work, reported to the command line or to nobody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Listener(Protocol):
    """The listener that long work reports to while it goes on."""

    def remark(self, *messages: str) -> None:
        """Hears what is worth knowing, in a line each."""

    def step(self, label: str) -> AbstractContextManager[None]:
        """Goes around something of unknown length."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Goes around something of ``total`` parts; gives a function that counts those done."""


class _Nobody:
    def remark(self, *messages: str) -> None:
        pass

    def step(self, label: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _: None


NOBODY: Listener = _Nobody()
"""Hears nothing: the default of every function."""
