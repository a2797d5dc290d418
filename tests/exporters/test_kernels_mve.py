"""The kernels for Helium against the numpy reference: every byte, many layers a firmware."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import require
from tests.draws import draws, some_of
from tests.exporters.batches import SCALE, Case, joined, samples_for
from tests.exporters.options import fast_and_dense
from tests.firmware.sanitizers import run_sanitized
from tinyedge.boards import load_board
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.c.kernels import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.tensors import WEIGHT_RANGES, Weights
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.targets import available_emulators
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import WARNINGS, available_compilers, cross_compiler

pytestmark = pytest.mark.emulator

BOARD = load_board("mps3-an547")
ZERO_POINTS = ((-128, -128), (13, -5), (127, 3), (0, -128))
KERNELS: dict[type[ops.Operator], str] = {
    ops.Conv2D: "te_conv2d_mve_s8",
    ops.DepthwiseConv2D: "te_depthwise_conv2d_mve_s8",
    ops.FullyConnected: "te_fully_connected_mve_s8",
    ops.Add: "te_add_mve_s8",
    ops.Sub: "te_add_mve_s8",
    ops.AveragePool2D: "te_average_pool2d_mve_s8",
    ops.MaxPool2D: "te_max_pool2d_mve_s8",
    ops.Mean: "te_mean_mve_s8",
    ops.Requantize: "te_requantize_mve_s8",
}

Codes = NDArray[np.integer[Any]]


def random_codes(random: np.random.Generator, shape: tuple[int, ...], bits: int) -> Codes:
    low, high = WEIGHT_RANGES[bits]
    codes = random.integers(low, high + 1, shape)
    return np.where(codes < 0, -1, 1) if bits == 1 else codes


def weighted(
    kind: type[ops.Weighted],
    shape: tuple[int, ...],
    codes: Codes,
    bits: int,
    zero_points: tuple[int, int],
    *,
    steps: NDArray[np.uint8] | None = None,
    extreme: bool = False,
    **rest: Any,
) -> Case:
    """A layer whose outputs spread over the int8 range for random inputs, with some that saturate.

    With ``extreme`` they do so for the inputs with the largest sums.
    """
    random = np.random.default_rng(codes.size)
    out = len(codes)
    spread = np.sqrt(codes[0].size) * max(float(np.abs(codes).mean()), 0.1) * 75
    if extreme:
        spread = codes[0].size * int(np.abs(codes).max(initial=1)) * 64.0
    if steps is not None:
        spread *= float(steps.mean())
    scales = random.uniform(0.5, 1.5, out) * 50 / spread
    weights = Weights(codes.astype(np.int8), bits, scales.astype(np.float32), steps)
    bias = random.normal(0, spread / 4, out).astype(np.int32)
    if kind is not ops.FullyConnected:
        rest = {"stride": (1, 1), "padding": (0, 0, 0, 0), **rest}
    operator = kind(name="", inputs=("",), output="", weights=weights, bias=bias, **rest)
    return Case(operator, shape, zero_points)


def random_steps(random: np.random.Generator, out: int, bits: int) -> NDArray[np.uint8] | None:
    if bits == 8 or random.random() < 0.7:
        return None
    return random.integers(1, 16 if bits == 4 else 127, out).astype(np.uint8)


def random_window(random: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Any]:
    """Size, stride and padding of a window, which may be larger than the input or beside it."""
    height, width = shape[:2]
    size = tuple(int(n) for n in random.integers(1, 5, 2))
    if random.random() < 0.3:
        size = (1, 1)
    top, bottom, left, right = (int(n) for n in random.integers(0, 5, 4))
    bottom += max(0, size[0] - (height + top + bottom))
    right += max(0, size[1] - (width + left + right))
    padding = (top, bottom, left, right)
    if random.random() < 0.4 and size[0] <= height and size[1] <= width:
        padding = (0, 0, 0, 0)
    stride = tuple(int(n) for n in random.integers(1, 4, 2))
    return {"size": size, "stride": stride, "padding": padding}


def random_case(seed: int, zero_points: tuple[int, int]) -> Case:
    random = np.random.default_rng(seed)
    bits = int(random.choice([1, 2, 4, 8]))
    out = int(random.integers(1, 14))
    rest: dict[str, Any] = {
        "clamp": (-128, 127) if random.random() < 0.7 else (-100, 90),
        "steps": random_steps(random, out, bits),
    }
    if seed % 3 == 0:
        inputs = int(random.integers(1, 200))
        codes = random_codes(random, (out, inputs), bits)
        return weighted(ops.FullyConnected, (inputs,), codes, bits, zero_points, **rest)
    shape = tuple(int(n) for n in random.integers(1, (9, 9, 40)))
    if random.random() < 0.3:
        shape = (*shape[:2], int(random.choice([16, 32, 64])))
    window = random_window(random, shape)
    if seed % 3 == 1:
        rest["steps"] = random_steps(random, shape[2], bits)
        codes = random_codes(random, (shape[2], *window.pop("size")), bits)
        return weighted(ops.DepthwiseConv2D, shape, codes, bits, zero_points, **window, **rest)
    codes = random_codes(random, (out, *window.pop("size"), shape[2]), bits)
    return weighted(ops.Conv2D, shape, codes, bits, zero_points, **window, **rest)


def random_batch(number: int, first: int = 0) -> list[Case]:
    """Cases that share their zero points."""
    count = draws(24)
    seeds = range(first + 1000 * number, first + 1000 * number + count)
    return [random_case(seed, ZERO_POINTS[number]) for seed in seeds]


def remainders(bits: int) -> list[Case]:
    """Numbers of columns up to two steps and more, and of output channels up to two fours.

    The four kinds of weights share every number between them.
    """
    random = np.random.default_rng(bits)
    cases = []
    mine = [columns for columns in range(1, 35) if columns % 4 == bits.bit_length() - 1]
    for columns in (*mine, 16, 17, 64, 80):
        codes = random_codes(random, (columns % 8 + 1, columns), bits)
        cases.append(weighted(ops.FullyConnected, (columns,), codes, bits, (13, -5)))
        codes = codes.reshape(len(codes), 1, 1, columns)
        cases.append(weighted(ops.Conv2D, (columns % 3 + 1, 5, columns), codes, bits, (13, -5)))
    return cases


def depthwise() -> list[Case]:
    """Every number of channels up to a vector and more, every number of columns up to two fours."""
    random = np.random.default_rng(0)
    cases = []
    for channels in range(1, 20):
        codes = random_codes(random, (channels, 3, 3), (1, 2, 4, 8)[channels % 4])
        shape, bits = (3, channels % 8 + 1, channels), (1, 2, 4, 8)[channels % 4]
        stride = (channels % 2 + 1, channels // 2 % 3 + 1)
        window: dict[str, Any] = {"stride": stride, "padding": (1, 1, 1, 1)}
        cases.append(weighted(ops.DepthwiseConv2D, shape, codes, bits, (127, 3), **window))
    return cases


def smallest() -> list[Case]:
    """Ternary weights in the fewest bits: five to a byte, or by prefixes where most are zero."""
    random = np.random.default_rng(7)
    cases = remainders(2)
    for share in (0.0, 0.5, 0.9):
        for shape in ((7, 3, 3, 19), (21, 2, 3)):
            codes = np.where(random.random(shape) < share, 0, random_codes(random, shape, 2))
            kind = ops.Conv2D if len(shape) == 4 else ops.DepthwiseConv2D
            source = (4, 9, shape[3] if len(shape) == 4 else shape[0])
            cases.append(weighted(kind, source, codes, 2, (13, -5)))
    return cases


def extremes() -> list[Case]:
    """Sums that are as large as they get, of either sign."""
    options: dict[str, Any] = {"zero_points": (0, -128), "extreme": True}
    cases = []
    for bits, values in ((8, (-128, 127)), (4, (-8, 7)), (2, (-1, 0, 1)), (1, (-1, 1))):
        for value in values:
            codes = np.full((6, 1101), value)
            cases.append(weighted(ops.FullyConnected, (1101,), codes, bits, **options))
            codes = np.full((3, 3, 3, 67), value)
            window = {**options, "padding": (1, 1, 1, 1)}
            cases.append(weighted(ops.Conv2D, (4, 5, 67), codes, bits, **window))
            codes = np.full((18, 9, 3), value)
            cases.append(weighted(ops.DepthwiseConv2D, (10, 9, 18), codes, bits, **window))
    return cases


SMALLEST = "smallest"
VALUES = np.arange(-128, 128, dtype=np.int8)
CONSTANT_SCALES = (0.03, SCALE, 0.08, 4e-3, 1.1e-2, 0.049999997, 0.2)


def plain() -> list[Case]:
    """Single elements and windows: every value, and counts that are no multiple of a vector."""
    same: dict[str, Any] = {"name": "", "inputs": ("",), "output": ""}
    cases = []
    for index, scale in enumerate(CONSTANT_SCALES):
        for kind in (ops.Add, ops.Sub):
            clamp = ops.FULL_RANGE if index % 3 else (-100, 50)
            operator = kind(**same, clamp=clamp)
            other = VALUES[:: index + 16]
            constant = np.repeat(other, 61).reshape(len(other), 61, 1)
            shape: tuple[int, ...] = constant.shape
            if index == 5:  # one row a cell
                constant, shape = np.arange(-3, 4, dtype=np.int8).reshape(1, 1, 7), (5, 4, 7)
            cases.append(Case(operator, shape, (13, 13), constant, scale))
    for index, between in enumerate((0.05, 0.0123, 0.4, 0.001, 0.0500001)):
        own = ops.Requantize(**same, clamp=(-128, 127) if index % 2 else (-90, 99))
        cases.append(Case(own, (253 + index,), (13, 13), between=between))
    for index, channels in enumerate((1, 3, 4, 16, 19, 37)):
        kernel, stride = (3, 2 + index % 2), (2, 1)
        padding = ops.same_padding((6, 7), kernel, stride)
        for pool in (ops.AveragePool2D, ops.MaxPool2D):
            own_clamp = ops.FULL_RANGE if index % 2 else (-90, 99)
            window = pool(**same, kernel=kernel, stride=stride, padding=padding, clamp=own_clamp)
            cases.append(Case(window, (6, 7, channels), (13, 13)))
        cases.append(Case(ops.Mean(**same), (5, 3 * index + 1, channels), (13, 13)))
    return cases


BATCHES: dict[str, Callable[[], list[Case]]] = {
    **{f"random {n}": functools.partial(random_batch, n) for n in range(len(ZERO_POINTS))},
    **{f"remainders, {bits} bits": functools.partial(remainders, bits) for bits in (1, 2, 4, 8)},
    "depthwise": depthwise,
    SMALLEST: smallest,
    "extremes": extremes,
    "plain": plain,
}


@dataclass(frozen=True)
class Batch:
    """Layers, converted together.

    Attributes:
        cases: the layers.
        model: of all of them.
        samples: that it is given.
        expected: the reference's outputs.
    """

    cases: list[Case]
    model: ConvertedModel
    samples: NDArray[np.int8]
    expected: NDArray[np.int8]

    def difference(self, found: NDArray[np.int8]) -> str:
        """The first layer whose output differs, or nothing."""
        at = 0
        for index, case in enumerate(self.cases):
            output = self.model.graph.tensors[f"{index} out"]
            end = at + output.size
            if not np.array_equal(found[:, at:end], self.expected[:, at:end]):
                return f"{index}: {case.operator}"
            at = end
        return ""


@pytest.fixture(scope="module", params=BATCHES)
def batch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """Each layer has the kernel that it has to get."""
    cases = BATCHES[request.param]()
    options = CodeOptions("cortex-m55", "size" if request.param == SMALLEST else "fastest")
    folder = tmp_path_factory.mktemp("batch")
    with fast_and_dense():
        model = write_converted(joined(cases), folder / "model", "test", options=options)
    rows = {row["name"]: row["kernel"] for row in model.manifest["layers"]}
    chosen = [rows[str(index)] for index in range(len(cases))]
    assert chosen == [KERNELS[type(case.operator)] for case in cases]
    samples = samples_for(model.graph)
    return Batch(cases, model, samples, reference.run(model.graph, samples))


@pytest.mark.parametrize("batch", some_of(BATCHES), indirect=True)
def test_c_is_bit_exact_and_clean(batch: Batch, tmp_path: Path) -> None:
    """Every vector instruction in C: no byte beside a tensor, nothing undefined."""
    assert not batch.difference(run_sanitized(batch.model, batch.samples, tmp_path / "program"))


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("zig", marks=pytest.mark.slow)])
def test_vectors_are_bit_exact(batch: Batch, compiler: CompilerName) -> None:
    require(available_compilers("cortex-m55"), compiler)
    require(available_emulators(BOARD), "qemu")
    with emulated_device(batch.model, BOARD, "qemu", compiler) as emulated:
        assert not batch.difference(emulated.device.run(batch.samples).logits)


def test_smallest_weights_take_as_few_bits_as_promised(tmp_path: Path) -> None:
    codes = random_codes(np.random.default_rng(0), (32, 3, 3, 64), 2)
    case = weighted(ops.Conv2D, (8, 8, 64), codes, 2, (13, -5))
    for optimize, bits in (("speed", 2), ("size", 1.62)):
        options = CodeOptions("cortex-m55", optimize)  # type: ignore[arg-type]
        model = write_converted(joined([case]), tmp_path / optimize, "test", options=options)
        assert model.weight_bytes * 8 <= bits * codes.size + 8


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("level", ["-O0", "-O1", "-Os", "-O3"])
def test_kernels_compile_at_any_level(level: str, compiler: CompilerName, tmp_path: Path) -> None:
    require(available_compilers("cortex-m55"), compiler)
    runtime = data_folder("firmware_templates") / "runtime"
    command = [*cross_compiler("cortex-m55", compiler).command, *WARNINGS, level, "-ffreestanding"]
    for source in sorted(runtime.glob("te_*mve*.c")):
        flags = ["-c", str(source), "-o", str(tmp_path / "kernel.o")]
        subprocess.run([*command, *flags], check=True)
