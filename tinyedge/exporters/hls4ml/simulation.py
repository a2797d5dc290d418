"""Running an hls4ml project on this machine: its C++, compiled with g++ by its own script."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ToolchainError
from tinyedge.exporters.hls4ml.project import TOP, Project

Float32 = NDArray[np.float32]

_WORKER = Path(__file__).with_name("simulation_worker.py")
_BRIDGE = f"{TOP}_bridge.cpp"


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
        self._library = _compile(project.folder, folder / "project")
        bridge = (self._library.parents[1] / _BRIDGE).read_text(encoding="utf-8")
        self._traced = re.findall(r'trace_outputs->insert\(.*?"(\w+)"', bridge)

    def names(self) -> set[str]:
        """The layers whose values can be seen."""
        return {layer.name for layer in self._project.layers} & set(self._traced)

    def run(self, samples: Float32, names: list[str]) -> Iterator[list[Float32]]:
        """Computes samples (n, *input shape) one by one.

        Yields:
            The values of the named layers, flat, and behind them the output.

        Raises:
            ToolchainError: the code stops, for example by an assertion.
        """
        sizes = {layer.name: int(np.prod(layer.shape)) for layer in self._project.layers}
        inputs, outputs = (
            int(np.prod(shape)) for shape in (self._project.input_shape, self._project.output_shape)
        )
        command = [sys.executable, _WORKER, self._library, f"{TOP}_float", len(self._traced)]
        command += [inputs, outputs, *(f"{name}:{sizes[name]}" for name in names)]
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self._library.parents[1],
            ) as worker,
        ):
            assert worker.stdin
            assert worker.stdout
            try:
                for sample in samples:
                    worker.stdin.write(np.ascontiguousarray(sample, np.float32).tobytes())
                    worker.stdin.flush()
                    output = _read(worker.stdout, outputs)
                    yield [*(_read(worker.stdout, sizes[name]) for name in names), output]
            except (BrokenPipeError, EOFError) as error:
                worker.wait()
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
                raise ToolchainError(
                    f"{self._project.folder}: hls4ml's code stopped: {' '.join(last)}"
                ) from error
            finally:
                worker.kill()


def _read(stream: IO[bytes], count: int) -> Float32:
    content = stream.read(4 * count)
    if len(content) < 4 * count:
        raise EOFError
    return np.frombuffer(content, np.float32)


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
    return libraries[0].resolve()
