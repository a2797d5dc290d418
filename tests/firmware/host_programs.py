"""The vector kernels compiled in several ways, each C file once."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.host import HOST_FILE, export_host
from tinyedge.firmware.vector_twin import host_includes, host_sources
from tinyedge.graph.graph import Graph
from tinyedge.graph.reference import as_sequences
from tinyedge.toolchains.compilers import WARNINGS

_MAIN = Path(__file__).parent / "host_main.c"
_EMULATED_AVX512 = Path(__file__).parent / "emulated_avx512.h"
SANITIZING = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass
class Objects:
    """Compiled files of one compiler with its flags.

    Attributes:
        folder: where they go.
        command: the compiler.
        flags: of every file, and of linking.
        emulating: whether the path for AVX-512 VNNI is compiled for processors that lack it.
        runner: in front of a program's name, to run it.
    """

    folder: Path
    command: tuple[str, ...]
    flags: tuple[str, ...] = ()
    emulating: bool = False
    runner: tuple[str, ...] = ()
    _known: dict[Path, Path] = field(default_factory=dict)

    def of(self, sources: list[Path]) -> list[Path]:
        """The compiled files of sources."""
        includes = [f"-I{folder}" for folder in host_includes()]
        for source in sources:
            if source not in self._known:
                self._known[source] = self.folder / f"{source.stem}.o"
                command = [*self.command, *WARNINGS, "-fPIC", *self.flags, *includes]
                if self.emulating and source.name == "te_host_x86.c":
                    command += ["-include", str(_EMULATED_AVX512)]
                command += ["-c", str(source), "-o", str(self._known[source])]
                subprocess.run(command, check=True)
        return [self._known[source] for source in sources]

    def program(self, graph: Graph) -> Program:
        """Compiles a graph to a program of its own, which the next one replaces."""
        exported = export_host(graph)
        source = self.folder / HOST_FILE
        source.write_text(exported.text)
        self._known.pop(source, None)
        objects = self.of([_MAIN, source, *host_sources(exported.runtime_sources)])
        program = self.folder / "program"
        linking = [*self.command, *self.flags, *map(str, objects), "-o", str(program)]
        subprocess.run(linking, check=True)
        return Program(graph, (*self.runner, str(program)))


@dataclass(frozen=True)
class Program:
    """A graph as a program that reads samples and writes logits."""

    graph: Graph
    command: tuple[str, ...]

    def run(
        self, samples: NDArray[np.int8], path: str, at_a_time: int, withheld: int = 0
    ) -> NDArray[np.int8]:
        """Runs samples by a path; any complaint of the program fails."""
        sequences = as_sequences(self.graph, samples)
        options = [path, at_a_time, *sequences.shape[:2], withheld]
        result = subprocess.run(
            [*self.command, *map(str, options)],
            input=np.ascontiguousarray(sequences).tobytes(),
            capture_output=True,
            check=False,
        )
        assert result.returncode == 0, f"{result.returncode}: {result.stderr.decode()}"
        return np.frombuffer(result.stdout, np.int8).reshape(-1, *self.graph.output_tensor.shape)
