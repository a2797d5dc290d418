"""The host twin: the model's C code as a shared library of this machine."""

from __future__ import annotations

import ctypes
import dataclasses
import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ToolchainError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.files import folder_aside
from tinyedge.firmware.observation import observed_layers, observing, twin_observer
from tinyedge.firmware.seal import is_sealed, seal_of
from tinyedge.graph.reference import as_sequences, leading_axes
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import Compiler, compile_shared_library, host_compiler

_OBSERVER = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)
_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


class Twin:
    """The same C as on the board, running here.

    Args:
        model: what ``convert`` wrote. The library is built in its folder, unless it is there with
            this user's seal.
        observe: whether ``outputs`` is wanted.

    Raises:
        ModelError: there is nothing to watch, see ``observed_layers``.
        ToolchainError: there is no C compiler, or it fails.
    """

    def __init__(self, model: ConvertedModel, *, observe: bool = False) -> None:
        self._layers = observed_layers(model) if observe else []
        self._graph = model.graph
        self._output_shape = model.graph.output_tensor.shape
        self._library = _library(model, observe=observe).load(model.folder / "twin")
        for name in ("input", "output"):
            getattr(self._library, f"tinyedge_model_{name}").restype = ctypes.c_void_p
        self._library.tinyedge_model_invoke.restype = None

    def run(
        self, samples: NDArray[np.int8], progress: Callable[[int], None] | None = None
    ) -> NDArray[np.int8]:
        """Computes samples one by one; samples and logits as those of ``reference.run``.

        Raises:
            DataError: the samples are not int8 or not of the input's shape.
        """
        sequences = np.ascontiguousarray(as_sequences(self._graph, samples))
        outputs = np.empty((*sequences.shape[:2], *self._output_shape), dtype=np.int8)
        source = self._library.tinyedge_model_input()
        target = self._library.tinyedge_model_output()
        size = int(np.prod(self._output_shape))
        for index, frames in enumerate(sequences):
            if self._graph.states:
                self._library.tinyedge_model_reset()
            for frame, sample in enumerate(frames):
                ctypes.memmove(source, sample.ctypes.data, sample.nbytes)
                self._library.tinyedge_model_invoke()
                outputs[index, frame] = np.frombuffer(
                    ctypes.string_at(target, size), np.int8
                ).reshape(self._output_shape)
            if progress:
                progress(1)
        return outputs.reshape(*leading_axes(self._graph, samples), *self._output_shape)

    def outputs(self, sample: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        """Computes one sample, int8 of the input's shape; gives every layer's output, int8, flat.

        The layers are those of ``observed_layers``; the twin has to be made with ``observe``.

        Raises:
            DataError: the sample is not int8 or not of the input's shape.
        """
        seen = [np.empty(0, np.int8) for _ in self._layers]

        def observe(layer: int, output: int, size: int) -> None:
            seen[layer] = np.frombuffer(ctypes.string_at(output, size), np.int8)

        called = _OBSERVER(observe)
        self._library.tinyedge_model_observe(called)
        try:
            self.run(sample[np.newaxis])
        finally:
            self._library.tinyedge_model_observe(None)
        return seen


def twin_sources(model: ConvertedModel) -> list[Path]:
    """The C files of the twin: the model's and the runtime's."""
    runtime = data_folder("firmware_templates") / "runtime"
    return [model.folder / "model.c", *(runtime / name for name in model.runtime_sources)]


def twin_include_flags(model: ConvertedModel) -> list[str]:
    """Where the twin's headers lie."""
    runtime = data_folder("firmware_templates") / "runtime"
    return [f"-I{model.folder}", f"-I{runtime}"]


@dataclasses.dataclass(frozen=True)
class Library:
    """A shared library of this machine, kept in a model's folder.

    Attributes:
        name: of its file, before what its sources and compiler determine.
        compiler: compiles it.
        own: what it is compiled from that belongs to the model, by file name.
        sources: the other C files.
        headers: what all may include.
        includes: the folders of those.
        flags: further ones of the compiler.
    """

    name: str
    compiler: Compiler
    own: Mapping[str, bytes]
    sources: Sequence[Path]
    headers: Sequence[Path]
    includes: Sequence[Path]
    flags: tuple[str, ...] = ()

    def build(self, folder: Path) -> Path:
        """Builds it in a folder, unless it is there with this user's seal.

        Raises:
            ToolchainError: the compiler fails.
        """
        compiler = self.compiler
        words = [*compiler.command, *self.flags, compiler.version()]
        digest = hashlib.sha256(" ".join(words).encode())
        contents = {path.name: path.read_bytes() for path in (*self.sources, *self.headers)}
        for name, content in (contents | dict(self.own)).items():
            digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
        made_from = digest.hexdigest()
        library = folder / f"{self.name}-{made_from[:16]}{_SUFFIX}"
        seal = library.with_suffix(".seal")
        if not is_sealed(library, made_from, _read(seal)):
            with folder_aside(folder) as aside:
                # Beside the model's files may lie others, which an #include would find.
                alone = aside / "model"
                alone.mkdir()
                for name, content in self.own.items():
                    (alone / name).write_bytes(content)
                built = aside / library.name
                sources = [alone / name for name in self.own if name.endswith(".c")]
                includes = [f"-I{path}" for path in (alone, *self.includes)]
                flags = [*self.flags, *includes]
                compile_shared_library(compiler, [*sources, *self.sources], built, flags)
                shutil.rmtree(alone)
                (aside / seal.name).write_text(seal_of(built, made_from), encoding="utf-8")
        return library

    def load(self, folder: Path) -> ctypes.CDLL:
        """Builds and loads it.

        Raises:
            ToolchainError: the compiler fails, or this machine cannot load what it made.
        """
        path = self.build(folder)
        try:
            return ctypes.CDLL(str(path.resolve()))
        except OSError as error:
            raise ToolchainError(f"{path}: cannot be loaded: {error}") from error


def _library(model: ConvertedModel, *, observe: bool) -> Library:
    """The model's C code and the runtime."""
    runtime = data_folder("firmware_templates") / "runtime"
    _, *sources = twin_sources(model)
    return Library(
        "model",
        observing(host_compiler()) if observe else host_compiler(),
        {path.name: path.read_bytes() for path in model.sources},
        [*sources, twin_observer()] if observe else sources,
        sorted(runtime.glob("*.h")),
        [runtime],
    )


def _read(seal: Path) -> str:
    """The seal that lies beside a library; empty where none does."""
    try:
        return seal.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
