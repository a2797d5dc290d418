"""The kernels for the DSP extension against the numpy reference: every byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import require
from tests.draws import each_seed, some_of
from tests.firmware.sanitizers import run_sanitized
from tinyedge.boards import load_board
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.c.kernels import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import WEIGHT_RANGES, Quantization, Tensor, Weights
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

BOARD = load_board("netduinoplus2")
CONV, DENSE, QUAD = "te_conv2d_dsp_s8", "te_fully_connected_dsp_s8", "te_fully_connected_quad_s8"
WHOLE = "te_fully_connected_whole_s8"

Codes = NDArray[np.integer[Any]]


def layer(
    kind: type[ops.Weighted],
    shape: tuple[int, ...],
    codes: Codes,
    bits: int,
    zero_points: tuple[int, int] = (-128, 3),
    clamp: ops.Pair = (-128, 127),
    steps: NDArray[np.uint8] | None = None,
    *,
    extreme: bool = False,
    **window: Any,
) -> Graph:
    """A graph of one layer, whose outputs spread over the int8 range for random inputs.

    With ``extreme`` they do so for the inputs with the largest sums.
    """
    random = np.random.default_rng(0)
    out = len(codes)
    if kind is ops.Conv2D:
        window = {"stride": (1, 1), "padding": (0, 0, 0, 0), **window}
    spread = np.sqrt(codes[0].size) * max(float(np.abs(codes).mean()), 0.1) * 75
    if extreme:
        spread = codes[0].size * int(np.abs(codes).max(initial=1)) * 64.0
    if steps is not None:
        spread *= float(steps.mean())
    weights = Weights(
        codes.astype(np.int8), bits, random.uniform(0.005, 0.015, out).astype(np.float32), steps
    )
    operator = kind(
        name="layer",
        inputs=("in",),
        output="out",
        weights=weights,
        bias=random.normal(0, spread / 4, out).astype(np.int32),
        clamp=clamp,
        **window,
    )
    source = Tensor("in", shape, Quantization(0.05, zero_points[0]))
    quantization = Quantization(0.05 * 0.01 * spread / 50, zero_points[1])
    output = Tensor("out", operator.output_shape([shape]), quantization)
    return Graph("one layer", {"in": source, "out": output}, (operator,), "in", "out")


def random_codes(random: np.random.Generator, shape: tuple[int, ...], bits: int) -> Codes:
    low, high = WEIGHT_RANGES[bits]
    codes = random.integers(-127 if bits == 8 else low, high + 1, shape)
    return np.where(codes < 0, -1, 1) if bits == 1 else codes


def random_layer(seed: int) -> tuple[Graph, str]:
    """A layer and the kernel that it has to get."""
    random = np.random.default_rng(seed)
    choose = random.choice
    bits = int(choose([1, 2, 4, 8] if seed % 2 else [4, 8]))
    steps = None
    rest: dict[str, Any] = {
        "zero_points": (int(choose([-128, 127, 0, 13])), int(choose([-128, -5]))),
        "clamp": (-128, 127) if random.random() < 0.7 else (-100, 90),
    }
    out = int(random.integers(1, 12))
    if bits < 8 and random.random() < 0.3:
        steps = random.integers(1, 17 if bits == 4 else 128, out).astype(np.uint8)
        steps = np.minimum(steps, 127 // (8 if bits == 4 else 1)).astype(np.uint8)
    rest["steps"] = steps
    if seed % 2:
        inputs = int(random.integers(1, 200))
        kernel = QUAD if bits < 4 else DENSE
        codes = random_codes(random, (out, inputs), bits)
        return layer(ops.FullyConnected, (inputs,), codes, bits, **rest), kernel
    height, width, channels = (int(n) for n in random.integers(1, (9, 9, 10)))
    size = tuple(int(n) for n in random.integers(1, 5, 2))
    stride = tuple(int(n) for n in random.integers(1, 4, 2))
    top, bottom, left, right = (int(n) for n in random.integers(0, 5, 4))
    bottom += max(0, size[0] - (height + top + bottom))
    right += max(0, size[1] - (width + left + right))
    padding = (top, bottom, left, right)
    if random.random() < 0.4 and size[0] <= height and size[1] <= width:
        padding = (0, 0, 0, 0)
    codes = random_codes(random, (out, *size, channels), bits)
    shape = (height, width, channels)
    graph = layer(ops.Conv2D, shape, codes, bits, stride=stride, padding=padding, **rest)
    return graph, CONV


def samples_for(graph: Graph, count: int = 5) -> NDArray[np.int8]:
    """Random samples, and those whose sums are largest."""
    random = np.random.default_rng(1)
    samples = random.integers(-128, 128, (count, *graph.input_tensor.shape))
    samples[0], samples[1] = -128, 127
    samples[2] = np.where(np.arange(samples[2].size) % 2, 127, -128).reshape(samples[2].shape)
    return samples.astype(np.int8)


def write(graph: Graph, folder: Path, kernel: str, **options: Any) -> ConvertedModel:
    model = write_converted(
        graph, folder, "test", options=CodeOptions("cortex-m4", **{"optimize": "fastest"} | options)
    )
    (row,) = model.manifest["layers"]
    assert row["kernel"] in ((DENSE, WHOLE) if kernel == DENSE else (kernel,))
    return model


@each_seed(60)
def test_random_layers_are_bit_exact(seed: int, tmp_path: Path) -> None:
    graph, kernel = random_layer(seed)
    samples = samples_for(graph)
    outputs = Twin(write(graph, tmp_path, kernel)).run(samples)
    assert np.array_equal(outputs, reference.run(graph, samples))


@pytest.mark.parametrize("seed", some_of(range(100, 120)))
def test_random_layers_are_clean_under_sanitizers(seed: int, tmp_path: Path) -> None:
    graph, kernel = random_layer(seed)
    samples = samples_for(graph)
    outputs = run_sanitized(write(graph, tmp_path, kernel), samples, tmp_path / "program")
    assert np.array_equal(outputs, reference.run(graph, samples))


def extreme_layers() -> dict[str, tuple[Graph, str]]:
    """Layers whose partial sums are as large as they get, and so need several parts."""
    random = np.random.default_rng(0)
    options: dict[str, Any] = {"zero_points": (0, 3), "extreme": True}
    cases = {}
    for bits, values in ((8, (-127, 127)), (4, (-8, 7)), (2, (-1, 0, 1)), (1, (-1, 1))):
        for value in values:
            kernel = QUAD if bits < 4 else DENSE
            codes = np.full((6, 1101), value)
            name = f"fully connected, {bits} bits, all {value}"
            graph = layer(ops.FullyConnected, (1101,), codes, bits, **options)
            cases[name] = (graph, kernel)
            if bits >= 4:
                codes = np.full((3, 3, 3, 67), value)
                window = {**options, "padding": (1, 1, 1, 1)}
                graph = layer(ops.Conv2D, (4, 5, 67), codes, bits, **window)
                cases[f"convolution, {bits} bits, all {value}"] = (graph, CONV)
    mixed = np.where(np.arange(2048) % 2, 1, -1) * np.ones((8, 1), dtype=np.int64)
    cases["quad, alternating"] = (layer(ops.FullyConnected, (2048,), mixed, 2, **options), QUAD)
    halves = np.repeat([[-1], [1]], 4, axis=0) * np.ones(2500, dtype=np.int64)
    graph = layer(ops.FullyConnected, (2500,), halves, 1, **options)
    cases["quad, channels of one sign"] = (graph, QUAD)
    codes = random.integers(-128, 1, (4, 1, 1, 40))
    cases["b = -128 beside a < 0"] = (layer(ops.Conv2D, (3, 3, 40), codes, 8), CONV)
    codes = np.zeros((2, 30), dtype=np.int64)
    codes[1, ::2] = -128
    cases["b = -128 beside a = 0"] = (layer(ops.FullyConnected, (30,), codes, 8), DENSE)
    return cases


EXTREME = extreme_layers()


@pytest.mark.parametrize("name", EXTREME)
def test_extreme_sums_are_bit_exact(name: str, tmp_path: Path) -> None:
    graph, kernel = EXTREME[name]
    samples = samples_for(graph)
    outputs = run_sanitized(write(graph, tmp_path, kernel), samples, tmp_path / "program")
    expected = reference.run(graph, samples)
    assert np.array_equal(outputs, expected)
    assert len(np.unique(expected)) > 2


def test_output_may_overwrite_the_input(tmp_path: Path) -> None:
    """A window's rows, not the whole input, have to outlive the output's beginning."""
    codes = random_codes(np.random.default_rng(0), (16, 3, 3, 16), 8)
    graph = layer(ops.Conv2D, (32, 32, 16), codes, 8, padding=(1, 1, 1, 1))
    model = write(graph, tmp_path, CONV)
    samples = samples_for(graph)
    assert model.arena_bytes < 1.1 * graph.input_tensor.size
    assert np.array_equal(Twin(model).run(samples), reference.run(graph, samples))


def test_weights_take_the_bits_they_say(tmp_path: Path) -> None:
    for bits, stored in ((8, 8), (4, 4), (2, 2), (1, 2)):
        codes = random_codes(np.random.default_rng(0), (16, 64), bits)
        graph = layer(ops.FullyConnected, (64,), codes, bits)
        model = write(graph, tmp_path / str(bits), QUAD if bits < 4 else DENSE)
        assert model.weight_bytes == 16 * 64 * stored // 8


def test_size_takes_the_densest_ternary_weights(tmp_path: Path) -> None:
    codes = random_codes(np.random.default_rng(0), (64, 64), 2)
    graph = layer(ops.FullyConnected, (64,), codes, 2)
    model = write(graph, tmp_path, "te_fully_connected_s8", optimize="size")
    assert model.weight_bytes * 8 <= 1.6 * codes.size + 8


def test_cores_without_the_extension_get_kernels_of_theirs(tmp_path: Path) -> None:
    for bits, kernel in ((2, "te_fully_connected_s8"), (8, "te_conv2d_patch_s8")):
        codes = random_codes(np.random.default_rng(0), (4, 64), bits)
        graph = layer(ops.FullyConnected, (64,), codes, bits)
        folder = tmp_path / str(bits)
        model = write_converted(graph, folder, "test", options=CodeOptions("cortex-m3"))
        assert model.manifest["layers"][0]["kernel"] == kernel


@pytest.mark.parametrize(
    ("seed", "compiler"), some_of([0, 1, 6, 7, 8, 11, 14, 15, 21, 28], COMPILERS)
)
def test_assembly_is_bit_exact(seed: int, compiler: CompilerName, tmp_path: Path) -> None:
    graph, kernel = random_layer(seed)
    check_on_emulator(graph, kernel, compiler, tmp_path)


@pytest.mark.parametrize("name", some_of(EXTREME))
def test_assembly_is_bit_exact_for_extreme_sums(name: str, tmp_path: Path) -> None:
    graph, kernel = EXTREME[name]
    check_on_emulator(graph, kernel, "gcc", tmp_path)


@pytest.mark.parametrize("columns", some_of(range(1, 10)))
def test_assembly_is_bit_exact_for_every_remainder(columns: int, tmp_path: Path) -> None:
    """Loops are entered in their middle where the steps are no multiple of their body."""
    random = np.random.default_rng(columns)
    for bits in (2, 4, 8):
        inputs = 8 * columns if bits == 2 else 4 * columns
        codes = random_codes(random, (7, inputs), bits)
        kernel = QUAD if bits == 2 else DENSE
        graph = layer(ops.FullyConnected, (inputs,), codes, bits)
        check_on_emulator(graph, kernel, "gcc", tmp_path / f"dense {bits}")
        if bits > 2:
            codes = codes.reshape(7, 1, 1, inputs)
            graph = layer(ops.Conv2D, (2, 4, inputs), codes, bits)
            check_on_emulator(graph, CONV, "gcc", tmp_path / f"convolution {bits}")


@pytest.mark.parametrize("zero_point", [-128, 7])
@pytest.mark.parametrize(("shape", "bits"), [((7, 9), 8), ((8, 70), 8), ((1, 5), 8), ((3, 32), 4)])
@pytest.mark.parametrize("scales", ["one", "each"])
def test_sums_of_one_product_are_bit_exact(
    shape: ops.Pair, bits: int, zero_point: int, scales: str, tmp_path: Path
) -> None:
    """Odd numbers of outputs, both roundings, one multiplier for all channels."""
    codes = random_codes(np.random.default_rng(shape[0]), shape, bits)
    graph = layer(ops.FullyConnected, (shape[1],), codes, bits, (3, zero_point))
    if scales == "one":
        operator = graph.operators[0]
        assert isinstance(operator, ops.FullyConnected)
        operator.weights.scales[:] = 0.01
    model = write(graph, tmp_path / "twin", WHOLE)
    samples = samples_for(graph)
    outputs = run_sanitized(model, samples, tmp_path / "program")
    assert np.array_equal(outputs, reference.run(graph, samples))
    check_on_emulator(graph, WHOLE, "gcc", tmp_path / "board")


def test_sums_of_several_products_and_clamps_take_the_other_kernel(tmp_path: Path) -> None:
    codes = random_codes(np.random.default_rng(0), (4, 64), 8)
    clamped = layer(ops.FullyConnected, (64,), codes, 8, (3, -128), clamp=(-100, 90))
    assert DENSE in str(write(clamped, tmp_path / "clamped", DENSE).runtime_sources)
    several, _ = EXTREME["fully connected, 8 bits, all 127"]
    assert DENSE in str(write(several, tmp_path / "several", DENSE).runtime_sources)


QUADS = [
    ((1, 5, 12), (1, 1), (-128, -128), {}),
    ((3, 4, 16), (1, 1), (7, -128), {}),
    ((5, 3, 3), (3, 2), (-128, -5), {}),
    ((5, 7, 5), (2, 3), (-3, 11), {"stride": (2, 1)}),
    ((1, 1, 36), (1, 1), (-128, -128), {}),
    ((4, 4, 8), (1, 1), (0, -128), {"clamp": (-128, 60)}),
]


@pytest.mark.parametrize(("shape", "size", "zero_points", "rest"), QUADS)
def test_four_channels_at_a_time_are_bit_exact(
    shape: tuple[int, int, int],
    size: ops.Pair,
    zero_points: ops.Pair,
    rest: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Odd numbers of cells, both roundings, and a clamp that this code leaves to another."""
    random = np.random.default_rng(len(rest) + shape[2])
    codes = random_codes(random, (8, *size, shape[2]), 8)
    graph = layer(ops.Conv2D, shape, codes, 8, zero_points, **rest)
    model = write(graph, tmp_path / "twin", CONV)
    quads = "te_dsp_quads_int8.c" in model.runtime_sources
    assert quads == ("clamp" not in rest)
    samples = samples_for(graph)
    assert np.array_equal(Twin(model).run(samples), reference.run(graph, samples))
    check_on_emulator(graph, CONV, "gcc", tmp_path / "board")


def check_on_emulator(graph: Graph, kernel: str, compiler: CompilerName, folder: Path) -> None:
    require(available_compilers(), compiler)
    require(available_emulators(BOARD), "qemu")
    model = write(graph, folder, kernel)
    samples = samples_for(graph)
    with emulated_device(model, BOARD, "qemu", compiler) as emulated:
        logits = emulated.device.run(samples).logits
    assert np.array_equal(logits, reference.run(graph, samples))
