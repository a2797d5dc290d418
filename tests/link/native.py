"""The device half of the link, compiled for this machine, under sanitizers; and small models."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from tests.conftest import require
from tinyedge.boards import load_board
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.link_memory import LinkMemory, link_memory
from tinyedge.firmware.observation import observer_files, observing
from tinyedge.firmware.project import harness_files
from tinyedge.firmware.twin import twin_include_flags, twin_sources
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.templates import render_template
from tinyedge.toolchains.compilers import WARNINGS, host_compiler

BOARD = load_board("netduinoplus2")
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_HARNESS = ("te_frame.c", "te_crc32.c", "te_receive.c", "te_server.c", "te_server_fault.c")
_COUNTING = Path(__file__).parent / "native_platform.c"


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
    main: Path = _COUNTING,
    link: LinkMemory | None = None,
    flags: tuple[str, ...] = SANITIZERS,
    without: tuple[str, ...] = (),
    *,
    observe: bool = False,
) -> Path:
    """Compiles the harness with a model and a platform; gives the program."""
    require([name for name in ("cc",) if shutil.which(name)], "cc")  # zig brings no sanitizers
    graph = model.graph
    sizes = graph.input_tensor.size, graph.output_tensor.size
    files = harness_files(BOARD, link or link_memory(BOARD, *sizes, BOARD.minimum_stack))
    identity = {"board": BOARD, "hash_bytes": ", ".join(["0x5a"] * 32)}
    names = list(_HARNESS)
    if observe:
        files |= observer_files()
        names.append("te_observe.c")
    files["firmware_id.h"] = render_template("harness/firmware_id.h.j2", identity)
    folder.mkdir(parents=True, exist_ok=True)
    for name in [*names, *(name for name in files if name.endswith(".h"))]:
        (folder / name).write_text(files[name])
    harness = [folder / name for name in names if name not in without]
    sources = [main, *harness, *twin_sources(model)]
    compiler = observing(host_compiler()) if observe else host_compiler()
    command = [*compiler.command, *WARNINGS, "-D_GNU_SOURCE", "-g", *flags, f"-I{folder}"]
    if main == _COUNTING:
        command.append("-Wl,--wrap=tinyedge_model_invoke")
    program = folder / "native"
    arguments = [*command, *twin_include_flags(model), *map(str, sources), "-o", str(program)]
    subprocess.run(arguments, check=True, cwd=folder)
    return program


class NativeDevice(AbstractContextManager["NativeDevice"]):
    """The program, running; ``reset`` starts it anew, at another port.

    Args:
        program: from ``compile_native``.
        compute_us: microseconds that an inference takes.
        fault: whether it ends in a fault.

    Attributes:
        port: for a client.
    """

    def __init__(self, program: Path, compute_us: int = 0, *, fault: bool = False) -> None:
        self._program = program
        self._environment = os.environ | {"TINYEDGE_COMPUTE_US": str(compute_us)}
        if fault:
            self._environment["TINYEDGE_FAULT"] = "1"
        self._log = TemporaryFile()  # noqa: SIM115 - closed at exit
        self._start()

    @property
    def inferences(self) -> int:
        """How many there were, over all resets."""
        return os.fstat(self._log.fileno()).st_size

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [str(self._program)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self._environment,
        )
        assert self._process.stdout
        self.port = f"socket://127.0.0.1:{int(self._process.stdout.readline())}"

    def reset(self) -> None:
        """Forgets everything, as a board does."""
        self._process.kill()
        self._process.communicate()
        self._start()

    def __exit__(self, *_: object) -> None:
        died = self._process.poll()
        self._process.kill()
        self._process.communicate()
        self._log.seek(0)
        errors = self._log.read().lstrip(b"i").decode()
        self._log.close()
        assert died is None, errors
