"""The device half of the link, compiled for this machine, under sanitizers; and small models."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np

from tests.conftest import require
from tinyedge.boards import load_board
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.compilers import WARNINGS, host_compiler
from tinyedge.firmware.link_memory import LinkMemory, link_memory
from tinyedge.firmware.project import harness_files
from tinyedge.firmware.twin import twin_include_flags, twin_sources
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.targets.target import start_emulator
from tinyedge.templates import render_template

BOARD = load_board("netduinoplus2")
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_HARNESS = ("te_frame.c", "te_crc32.c", "te_receive.c", "te_server.c")
_HERE = Path(__file__).parent


def dense_model(folder: Path, inputs: int, seed: int = 0) -> ConvertedModel:
    """One ternary dense layer from so many inputs to ten logits."""
    random = np.random.default_rng(seed)
    first = Tensor("input", (inputs,), Quantization(1 / 255, -128))
    last = Tensor("logits", (10,), Quantization(0.05, 3))
    weights = Weights(
        random.integers(-1, 2, (10, inputs)).astype(np.int8), 2, np.full(10, 0.1, np.float32)
    )
    dense = ops.FullyConnected(
        name="dense",
        inputs=("input",),
        output="logits",
        weights=weights,
        bias=random.integers(-500, 500, 10).astype(np.int32),
        clamp=(-128, 127),
    )
    graph = Graph("dense", {"input": first, "logits": last}, (dense,), "input", "logits")
    return write_converted(graph, folder, "test")


def random_samples(model: ConvertedModel, count: int, seed: int = 0) -> np.ndarray:
    """Random int8 samples (count, *input shape)."""
    shape = model.graph.input_tensor.shape
    return np.random.default_rng(seed).integers(-128, 128, (count, *shape)).astype(np.int8)


def compile_native(
    model: ConvertedModel,
    folder: Path,
    main: Path = _HERE / "native_platform.c",
    link: LinkMemory | None = None,
    flags: tuple[str, ...] = SANITIZERS,
) -> Path:
    """Compiles the harness with a model and a platform; gives the program."""
    require([name for name in ("cc",) if shutil.which(name)], "cc")  # zig brings no sanitizers
    graph = model.graph
    sizes = graph.input_tensor.size, graph.output_tensor.size
    files = harness_files(BOARD, link or link_memory(BOARD, *sizes, taken=0))
    identity = {"board": BOARD, "hash_bytes": ", ".join(["0x5a"] * 32)}
    files["firmware_id.h"] = render_template("harness/firmware_id.h.j2", identity)
    folder.mkdir(parents=True, exist_ok=True)
    for name in [*_HARNESS, *(name for name in files if name.endswith(".h"))]:
        (folder / name).write_text(files[name])
    sources = [main, *(folder / name for name in _HARNESS), *twin_sources(model)]
    command = [*host_compiler().command, *WARNINGS, "-D_GNU_SOURCE", "-g", *flags, f"-I{folder}"]
    program = folder / "native"
    arguments = [*command, *twin_include_flags(model), *map(str, sources), "-o", str(program)]
    subprocess.run(arguments, check=True, cwd=folder)
    return program


class NativeDevice(AbstractContextManager["NativeDevice"]):
    """The program, running; ``reset`` starts it anew, at another port."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._start()

    def _start(self) -> None:
        self._process = start_emulator([str(self._program)], subprocess.PIPE)
        assert self._process.stdout
        self.port = f"socket://127.0.0.1:{int(self._process.stdout.readline())}"

    def reset(self) -> None:
        """Forgets everything, as a board does."""
        self._process.kill()
        self._process.communicate()
        self._start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        died = self._process.poll()
        self._process.kill()
        _, errors = self._process.communicate()
        assert died is None, errors
