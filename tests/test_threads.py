"""Numpy computes with one thread where it has to, and as before elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tinyedge import threads


def count() -> int:
    library = threads._openblas()
    assert library, "numpy's own packages bring it"
    return int(threads._function(library, "get_num_threads")())


@pytest.fixture
def two() -> Iterator[None]:
    """Two threads outside."""
    library, before = threads._openblas(), count()
    assert library
    set_ = threads._function(library, "set_num_threads")
    set_(2)
    yield
    set_(before)


@pytest.mark.usefixtures("two")
def test_one_thread_inside_and_as_before_outside() -> None:
    assert count() == 2
    with threads.one_thread():
        assert count() == 1
    assert count() == 2


@pytest.mark.usefixtures("two")
def test_the_last_one_out_brings_back_what_was() -> None:
    first_in, second_in = threading.Event(), threading.Event()
    seen: list[int] = []

    def first() -> None:
        with threads.one_thread():
            first_in.set()
            assert second_in.wait(10)

    def second() -> None:
        assert first_in.wait(10)
        with threads.one_thread():
            second_in.set()
            running[0].join(10)
            seen.append(count())

    running = [threading.Thread(target=each) for each in (first, second)]
    for each in running:
        each.start()
    for each in running:
        each.join(10)
    assert seen == [1]
    assert count() == 2


def test_the_matrix_library_is_named() -> None:
    name, version, *processor = threads.matrix_library().split()
    assert (name, version[0].isdigit(), len(processor)) == ("OpenBLAS", True, 1)
