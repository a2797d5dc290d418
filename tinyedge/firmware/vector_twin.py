"""The host twin with this machine's vector instructions: the same bytes, many samples at a time."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ToolchainError, UsageError
from tinyedge.exporters.c.host import HOST_FILE, export_host
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.twin import Library
from tinyedge.graph.reference import as_sequences, leading_axes
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import host_compiler

Int8 = NDArray[np.int8]

PATHS = ("avx512vnni", "avx2", "neon", "plain")
"""How the steps of a model may be computed, the fastest first; ``plain`` is C alone."""
PATH_VARIABLE = "TINYEDGE_TWIN_PATH"
WORKERS_VARIABLE = "TINYEDGE_TWIN_WORKERS"

_CACHED = 256 * 1024
"""Bytes of activations that a thread works on at a time: about what stays in its caches."""
_MOST_AT_A_TIME = 60
_TASKS = 4
"""A thread's shares of many samples, so that none waits long for another."""


class VectorTwin:
    """The model on this machine, by the fastest path that its processor has.

    Args:
        model: what ``convert`` wrote. The library is built in its folder, unless it is there with
            this user's seal.
        path: one of ``PATHS``; by default what ``$TINYEDGE_TWIN_PATH`` says, else the fastest.
        workers: threads; by default what ``$TINYEDGE_TWIN_WORKERS`` says, else as many as there
            are processors that this process may use.

    Attributes:
        path: that was chosen.
        workers: threads.

    Raises:
        ToolchainError: there is no C compiler, or it fails; or memory has run out.
        UsageError: there is no such path, or the processor lacks its instructions.
    """

    def __init__(
        self, model: ConvertedModel, *, path: str | None = None, workers: int | None = None
    ) -> None:
        wanted = path or wanted_path()
        self.workers = workers or wanted_workers()
        self._graph = model.graph
        exported = export_host(model.graph)
        self._at_a_time = int(np.clip(_CACHED // exported.arena, 1, _MOST_AT_A_TIME))
        self._library = _library(exported.text, exported.runtime_sources).load(
            model.folder / "twin"
        )
        declared = self._library
        declared.tinyedge_host_has.restype = ctypes.c_int
        declared.tinyedge_host_has.argtypes = [ctypes.c_char_p]
        declared.tinyedge_host_open.restype = ctypes.c_void_p
        declared.tinyedge_host_open.argtypes = [ctypes.c_char_p, ctypes.c_int32]
        declared.tinyedge_host_close.restype = None
        declared.tinyedge_host_close.argtypes = [ctypes.c_void_p]
        declared.tinyedge_host_path.restype = ctypes.c_char_p
        declared.tinyedge_host_path.argtypes = [ctypes.c_void_p]
        declared.tinyedge_host_workspace.restype = ctypes.c_uint64
        declared.tinyedge_host_workspace.argtypes = [ctypes.c_void_p]
        declared.tinyedge_host_run.restype = None
        declared.tinyedge_host_run.argtypes = [
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int32,
            ctypes.c_int32,
            ctypes.c_void_p,
        ]
        if wanted and not declared.tinyedge_host_has(wanted.encode()):
            raise UsageError(f"{PATH_VARIABLE}: this processor does not compute by {wanted!r}")
        self._host = declared.tinyedge_host_open(wanted and wanted.encode(), self._at_a_time)
        if not self._host:
            raise _no_memory("for the weights")
        self.path = declared.tinyedge_host_path(self._host).decode()
        self._workspace = int(declared.tinyedge_host_workspace(self._host))
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(self.workers) if self.workers > 1 else None

    def __del__(self) -> None:
        if getattr(self, "_host", None):
            self._library.tinyedge_host_close(self._host)

    def run(self, samples: Int8, progress: Callable[[int], None] | None = None) -> Int8:
        """Computes samples; they and logits are as those of ``reference.run``.

        Raises:
            DataError: the samples are not int8 or not of the input's shape.
            ToolchainError: memory has run out.
        """
        sequences = np.ascontiguousarray(as_sequences(self._graph, samples))
        output_shape = self._graph.output_tensor.shape
        outputs = np.empty((*sequences.shape[:2], *output_shape), dtype=np.int8)

        def compute(part: slice) -> int:
            self._compute(sequences[part], outputs[part])
            return len(sequences[part])

        parts = list(self._parts(len(sequences)))
        computed = self._pool.map(compute, parts) if self._pool and len(parts) > 1 else None
        for count in computed or map(compute, parts):
            if progress:
                progress(count)
        return outputs.reshape(*leading_axes(self._graph, samples), *output_shape)

    def _parts(self, count: int) -> Iterator[slice]:
        """Shares of the samples, which threads take one after the other."""
        share = -(-count // (self.workers * (1 if count < _MOST_AT_A_TIME else _TASKS)))
        whole = -(-share // self._at_a_time) * self._at_a_time
        step = max(share if share < self._at_a_time else whole, 1)
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))

    def _compute(self, sequences: Int8, outputs: Int8) -> None:
        memory = getattr(self._own, "memory", None)
        if memory is None:
            try:
                memory = self._own.memory = np.empty(self._workspace, np.uint8)
            except MemoryError:
                raise _no_memory(f"of {self._workspace:,} bytes for a thread") from None
        count, frames = sequences.shape[:2]
        self._library.tinyedge_host_run(
            self._host,
            sequences.ctypes.data,
            outputs.ctypes.data,
            count,
            frames,
            memory.ctypes.data,
        )


def wanted_path() -> str | None:
    """The path of ``$TINYEDGE_TWIN_PATH``: one of ``PATHS``, or ``board``; None where it is unset.

    Raises:
        UsageError: it is none of these.
    """
    wanted = os.environ.get(PATH_VARIABLE) or None
    if wanted not in (None, "board", *PATHS):
        raise UsageError(f"{PATH_VARIABLE}: {wanted!r}, allowed: board, {', '.join(PATHS)}")
    return wanted


def _no_memory(wanted: str) -> ToolchainError:
    return ToolchainError(
        f"there is no memory {wanted} of the twin's vector kernels",
        hint=f"{PATH_VARIABLE}=board takes less, and {WORKERS_VARIABLE}=1",
    )


def wanted_workers() -> int:
    """Threads: what the environment says, else the processors that this process may use.

    Raises:
        UsageError: the environment says something else.
    """
    if text := os.environ.get(WORKERS_VARIABLE):
        if len(text) <= 4 and text.isascii() and text.isdigit() and 0 < int(text) <= 1024:
            return int(text)
        raise UsageError(f"{WORKERS_VARIABLE}: {text!r}, allowed: 1 to 1024")
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def host_sources(runtime_sources: tuple[str, ...]) -> list[Path]:
    """The C files beside ``host.c``: those of the paths, and of the plain kernels."""
    templates = data_folder("firmware_templates")
    return [
        *sorted((templates / "host").glob("*.c")),
        *(templates / "runtime" / name for name in runtime_sources),
    ]


def host_includes() -> list[Path]:
    """Where their headers lie."""
    templates = data_folder("firmware_templates")
    return [templates / "host", templates / "runtime"]


def _library(text: str, runtime_sources: tuple[str, ...]) -> Library:
    includes = host_includes()
    return Library(
        "host",
        host_compiler(),
        {HOST_FILE: text.encode()},
        host_sources(runtime_sources),
        [header for folder in includes for header in sorted(folder.glob("*.h"))],
        includes,
        ("-O3",),
    )
