"""How many threads numpy's matrix products take.

Sums of floats depend on their order, and that depends on how a product is cut into threads. With
one thread the same product gives the same bytes, whatever machine of the same kind computes it.

``threadpoolctl`` would not do: it lets one thread of Python set the number, and does nothing in any
other, without a word. A cluster's workers compute in several.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SUFFIXES = ("64_", "_64", "")
_PREFIXES = ("scipy_openblas_", "openblas_")
_lock = threading.Lock()
_inside = 0
_outside = 0


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Has numpy compute with one thread inside of the ``with`` block, in all of this process.

    Where numpy does not bring OpenBLAS, as its own packages for Linux, macOS and Windows do,
    nothing changes.
    """
    global _inside, _outside  # noqa: PLW0603 - the library's setting is the process's too
    library = _openblas()
    if library is None:
        yield
        return
    get, set_ = _function(library, "get_num_threads"), _function(library, "set_num_threads")
    with _lock:
        if not _inside:
            _outside = get()
            set_(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                set_(_outside)


def matrix_library() -> str:
    """Names numpy's library of matrix products, and the processor it has chosen its code for."""
    library = _openblas()
    if library is None:
        return "unknown"
    config = _function(library, "get_config")
    core = _function(library, "get_corename")
    for function in (config, core):
        function.restype = ctypes.c_char_p
    version = " ".join(config().decode().split()[:2])
    return f"{version} {core().decode()}"


@functools.cache
def _openblas() -> ctypes.CDLL | None:
    import numpy as np

    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    for folder in folders:
        for path in sorted(folder.glob("*openblas*")):
            with contextlib.suppress(OSError):
                library = ctypes.CDLL(str(path))
                if _find(library, "set_num_threads"):
                    return library
    return None


def _find(library: ctypes.CDLL, name: str) -> Any:
    names = (f"{prefix}{name}{suffix}" for prefix in _PREFIXES for suffix in _SUFFIXES)
    return next((getattr(library, each) for each in names if hasattr(library, each)), None)


def _function(library: ctypes.CDLL, name: str) -> Any:
    found = _find(library, name)
    assert found, f"{library} has {name}, as {sys.platform}'s others"
    return found
