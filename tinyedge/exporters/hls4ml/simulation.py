"""Running an hls4ml project on this machine: its C++, compiled with g++ by its own script."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ToolchainError
from tinyedge.exporters.hls4ml.project import TOP, Project

Float32 = NDArray[np.float32]


class _Traced(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


class Simulation:
    """A compiled project.

    Args:
        project: what ``write_project`` wrote; stays as it is.
        folder: an empty one, in which a copy is compiled.

    Raises:
        ToolchainError: g++ is missing, or fails.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self._project = project
        library = _compile(project.folder, folder / "project")
        self._library = ctypes.CDLL(str(library))
        count = len(
            re.findall(r"trace_outputs->insert", (library.parents[1] / _BRIDGE).read_text())
        )
        self._library.allocate_trace_storage.argtypes = [ctypes.c_size_t]
        self._library.allocate_trace_storage(ctypes.sizeof(ctypes.c_float))
        traced = (_Traced * count)()
        self._library.collect_trace_output(traced)
        self._traced = {each.name.decode(): int(each.data) for each in traced}

    def names(self) -> set[str]:
        """The layers whose values can be seen."""
        return {layer.name for layer in self._project.layers} & set(self._traced)

    def run(self, samples: Float32, names: list[str]) -> Iterator[tuple[Float32, list[Float32]]]:
        """Computes samples (n, *input shape) one by one.

        Yields:
            The output, and the values of the named layers, flat.
        """
        sizes = {layer.name: int(np.prod(layer.shape)) for layer in self._project.layers}
        output = np.empty(int(np.prod(self._project.output_shape)), np.float32)
        top = getattr(self._library, f"{TOP}_float")
        for sample in samples:
            given = np.ascontiguousarray(sample, np.float32)
            top(given.ctypes.data_as(ctypes.c_void_p), output.ctypes.data_as(ctypes.c_void_p))
            yield (
                output.copy(),
                [
                    np.frombuffer(ctypes.string_at(self._traced[name], 4 * sizes[name]), np.float32)
                    for name in names
                ],
            )


_BRIDGE = f"{TOP}_bridge.cpp"


def _compile(source: Path, folder: Path) -> Path:
    """Compiles a copy of a project; gives the shared library."""
    if not shutil.which("g++"):
        raise ToolchainError("hls4ml's projects are compiled with g++, which is not installed")
    shutil.copytree(source, folder)
    done = subprocess.run(
        ["bash", "build_lib.sh"], cwd=folder, check=False, capture_output=True, text=True
    )
    libraries = list((folder / "firmware").glob(f"{TOP}-*.so"))
    if done.returncode or not libraries:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ToolchainError(f"{source}: g++ fails:\n{last}")
    return libraries[0]
