"""Depthwise convolutions on this machine, and some on an emulated board, against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require
from tests.draws import each_seed, some_of
from tests.exporters.options import fast_and_dense
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
from tinyedge.names import COMPILERS, CompilerName, Objective
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

PAIR = "te_depthwise_conv2d_pair_s8"
DUAL = "te_depthwise_conv2d_dual_s8"
SIX = "te_depthwise_conv2d_six_s8"
CELLS = "te_depthwise_conv2d_cells_s8"
FOURS = "te_depthwise_conv2d_fours_s8"
PLAIN = "te_depthwise_conv2d_s8"


def depthwise(
    shape: tuple[int, int, int],
    kernel: ops.Pair = (3, 3),
    stride: ops.Pair = (1, 1),
    padding: ops.Padding | None = None,
    bits: int = 2,
    codes: int | None = None,
    zero_points: ops.Pair = (-128, -128),
    clamp: ops.Pair = ops.FULL_RANGE,
    largest_step: int = 1,
    seed: int = 0,
    dilation: ops.Pair = (1, 1),
) -> Graph:
    """One layer whose outputs spread over the int8 range; all weights `codes`, if given."""
    random = np.random.default_rng(seed)
    low, high = WEIGHT_RANGES[bits]
    size = (shape[2], *kernel)
    weights = random.integers(low, high + 1, size)
    if bits == 1:
        weights = np.where(weights < 0, -1, 1)
    if codes is not None:
        weights = np.full(size, codes)
    steps = None
    if largest_step > 1:
        steps = random.integers(1, largest_step + 1, shape[2]).astype(np.uint8)
    scales = (0.01 * random.uniform(0.5, 1.5, shape[2])).astype(np.float32)
    spread = np.sqrt(np.prod(kernel)) * max(np.abs(weights).mean(), 0.5) * 100 * largest_step
    bias = random.normal(0, spread / 2, shape[2]).astype(np.int32)
    if padding is None:
        padding = ops.same_padding(shape[:2], kernel, stride, dilation)
    operator = ops.DepthwiseConv2D(
        name="layer",
        inputs=("in",),
        output="out",
        weights=Weights(weights.astype(np.int8), bits, scales, steps),
        bias=bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        clamp=clamp,
    )
    source = Tensor("in", shape, Quantization(0.05, zero_points[0]))
    target = Quantization(0.05 * 0.01 * spread / 60, zero_points[1])
    output = Tensor("out", operator.output_shape([shape]), target)
    return Graph("depthwise", {"in": source, "out": output}, (operator,), "in", "out")


def samples(graph: Graph, seed: int = 0) -> np.ndarray:
    """Random ones, and every extreme alone."""
    tensor = graph.input_tensor
    values = np.random.default_rng(seed).integers(-128, 128, (5, *tensor.shape))
    values[0], values[1], values[2] = -128, 127, tensor.quantization.zero_point
    return values.astype(np.int8)


def converted(graph: Graph, folder: Path, optimize: Objective = "fastest") -> ConvertedModel:
    return write_converted(graph, folder, "test", options=CodeOptions(optimize=optimize))


def kernel_of(model: ConvertedModel) -> str:
    return str(model.manifest["layers"][0]["kernel"])


def random_case(seed: int) -> dict[str, Any]:
    """Arguments of ``depthwise``."""
    random = np.random.default_rng(seed)

    def choose(*options: Any) -> Any:
        return options[random.integers(len(options))]

    kernel = choose((3, 3), (3, 3), (3, 3), (1, 1), (5, 5), (1, 3), (3, 1), (2, 4), (4, 3), (2, 3))
    shape = tuple(int(n) for n in random.integers(1, (9, 24, 21)))
    stride = choose((1, 1), (1, 1), (2, 2), (1, 2), (2, 1), (3, 3))
    dilation = choose((1, 1), (1, 1), (1, 1), (2, 2), (1, 3), (2, 1))
    if random.integers(6) == 0:  # over time
        kernel, shape, stride = (int(random.integers(1, 8)), 1), (24, 1, shape[2]), (stride[0], 1)
    reach = tuple((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
    wide = (reach[0], reach[0], reach[1], reach[1])
    fits = reach[0] < shape[0] and reach[1] < shape[1]
    bits = choose(1, 2, 2, 4, 8)
    return {
        "shape": shape,
        "kernel": kernel,
        "stride": stride,
        "padding": choose(None, None, wide, (0, 0, 0, 0)) if fits else wide,
        "bits": bits,
        "zero_points": choose((-128, -128), (-128, -128), (127, 3), (-5, -128), (0, 127)),
        "clamp": choose(ops.FULL_RANGE, ops.FULL_RANGE, (-100, 90)),
        "largest_step": 1 if bits == 8 else choose(1, 1, 15 if bits == 4 else 127),
        "seed": seed,
        "dilation": dilation,
    }


@each_seed(80)
def test_random_layers_are_bit_exact(seed: int, tmp_path: Path) -> None:
    graph = depthwise(**random_case(seed))
    with fast_and_dense():
        model = converted(graph, tmp_path, "size" if seed % 5 == 0 else "speed")
    values = samples(graph, seed)
    assert np.array_equal(Twin(model).run(values), reference.run(graph, values))


@pytest.mark.parametrize("seed", some_of(range(100, 116)))
def test_random_layers_are_clean_under_sanitizers(seed: int, tmp_path: Path) -> None:
    graph = depthwise(**random_case(seed))
    model = converted(graph, tmp_path / "model")
    values = samples(graph, seed)
    expected = reference.run(graph, values)
    assert np.array_equal(run_sanitized(model, values, tmp_path / "program"), expected)


@pytest.mark.parametrize(("bits", "codes"), [(1, 1), (1, -1), (2, 1), (4, 7), (4, -8), (8, -128)])
@pytest.mark.parametrize("zero_point", [-128, 127])
def test_extreme_weights_are_bit_exact(
    bits: int, codes: int, zero_point: int, tmp_path: Path
) -> None:
    graph = depthwise(
        (7, 11, 6), bits=bits, codes=codes, zero_points=(zero_point, 0), padding=(2, 2, 2, 2)
    )
    values = samples(graph)
    model = converted(graph, tmp_path)
    assert np.array_equal(Twin(model).run(values), reference.run(graph, values))


@pytest.mark.parametrize(
    ("columns", "window", "bits"),
    some_of([1, 2, 3, 4, 5, 6, 7, 10], [(3, 1), (3, 2), (4, 2), (5, 2), (4, 1), (3, 3)], [2, 8]),
)
def test_rows_of_any_number_of_blocks_are_bit_exact(
    columns: int, window: tuple[int, int], bits: int, tmp_path: Path
) -> None:
    """Windows are made in blocks: some rows end within one, and some are shorter than one."""
    width, stride = window
    shape = (5, (columns - 1) * stride + width, 6)
    graph = depthwise(
        shape, (3, width), (stride, stride), (0, 0, 0, 0), bits, seed=10 * columns + stride
    )
    assert graph.tensors["out"].shape[1] == columns
    model = converted(graph, tmp_path)
    sixes = window == (3, 1) and columns in (5, 6)
    few = columns <= (3 if stride == 1 else 6)
    assert kernel_of(model) == (SIX if sixes else PAIR if bits == 2 else FOURS if few else DUAL)
    values = samples(graph)
    assert np.array_equal(Twin(model).run(values), reference.run(graph, values))


def test_rows_of_six_outputs_take_the_plain_kernel_where_bytes_count(tmp_path: Path) -> None:
    graph = depthwise((6, 5, 8))
    assert kernel_of(converted(graph, tmp_path / "speed", "speed")) == SIX
    assert kernel_of(converted(graph, tmp_path / "size", "size")) == PLAIN


@pytest.mark.parametrize(
    "case",
    some_of(
        [
            ((9, 9, 6), (3, 3), {"dilation": (2, 2), "bits": 8}),
            ((9, 9, 5), (3, 2), {"dilation": (3, 1), "bits": 2, "zero_points": (-5, 3)}),
            ((4, 4, 4), (3, 3), {"dilation": (2, 2), "padding": (9, 0, 0, 9), "bits": 4}),
            ((12, 1, 9), (12, 1), {"padding": (0, 0, 0, 0), "bits": 8, "zero_points": (7, -9)}),
            ((6, 6, 25), (3, 3), {"stride": (2, 2), "bits": 8}),
            ((6, 6, 25), (3, 3), {"stride": (2, 2), "bits": 8, "clamp": (-100, 90)}),
            ((3, 3, 31), (3, 3), {"bits": 8}),
            ((28, 1, 16), (5, 1), {"padding": (0, 0, 0, 0), "bits": 8}),
            ((4, 12, 4), (2, 8), {"stride": (1, 3), "bits": 8, "zero_points": (-5, -128)}),
            ((7, 7, 8), (3, 3), {"dilation": (2, 2), "bits": 4, "largest_step": 15}),
            ((7, 7, 8), (3, 3), {"dilation": (2, 2), "bits": 1, "clamp": (-100, 90)}),
        ]
    ),
)
def test_windows_of_any_shape_are_clean_under_sanitizers(
    case: tuple[tuple[int, int, int], ops.Pair, dict[str, Any]], tmp_path: Path
) -> None:
    """Windows at the edge, beside the input, and channels that are no multiple of four."""
    shape, kernel, options = case
    graph = depthwise(shape, kernel, **options)
    model = converted(graph, tmp_path / "model", "speed")
    every_window_meets = options.get("padding") != (9, 0, 0, 9)
    whole = options["bits"] == 8 and "clamp" not in options and every_window_meets
    assert kernel_of(model) == (FOURS if whole else CELLS)
    values = samples(graph)
    expected = reference.run(graph, values)
    assert np.array_equal(run_sanitized(model, values, tmp_path / "program"), expected)


def test_layers_along_one_column_are_computed_along_a_row(tmp_path: Path) -> None:
    """The ring then holds one row, and all outputs may lie over the inputs."""
    graph = depthwise((28, 1, 16), (5, 1), padding=(0, 0, 0, 0), bits=8, clamp=(-100, 90))
    fast, small = (converted(graph, tmp_path / name, name) for name in ("fastest", "ram"))
    assert (kernel_of(fast), kernel_of(small)) == (DUAL, CELLS)
    values = samples(graph)
    for model in (fast, small):
        assert np.array_equal(Twin(model).run(values), reference.run(graph, values))
    assert small.arena_bytes == (28 + 24) * 16


def test_three_channels_or_a_core_without_dsp_leave_dilations_to_the_plain_kernel(
    tmp_path: Path,
) -> None:
    graph = depthwise((9, 9, 3), dilation=(2, 2))
    assert kernel_of(converted(graph, tmp_path / "three")) == PLAIN
    graph = depthwise((9, 9, 4), dilation=(2, 2))
    options = CodeOptions(core="cortex-m3")
    assert kernel_of(write_converted(graph, tmp_path / "m3", "test", options=options)) == PLAIN


SHORT_ROWS = [
    (2, (3, 3), 1),
    (3, (3, 3), 2),
    (7, (3, 3), 2),
    (1, (1, 4), 2),
    (3, (1, 5), 1),
    (2, (3, 3), 3),
]


@pytest.mark.parametrize(("row", "bits"), some_of(SHORT_ROWS, [2, 8]))
def test_short_rows_are_clean_under_sanitizers(
    row: tuple[int, ops.Pair, int], bits: int, tmp_path: Path
) -> None:
    """One channel: what lies behind the ring is as small as it can be."""
    columns, kernel, stride = row
    shape = (kernel[0], (columns - 1) * stride + kernel[1], 1)
    graph = depthwise(shape, kernel, (stride, stride), (0, 0, 0, 0), bits)
    model = converted(graph, tmp_path / "model")
    values = samples(graph)
    expected = reference.run(graph, values)
    assert np.array_equal(run_sanitized(model, values, tmp_path / "program"), expected)


def test_sums_of_pairs_are_kept_where_sixteen_bits_hold_them(tmp_path: Path) -> None:
    """-8 * 255 sixteen times is -32640; one more would not fit."""
    fits = depthwise((9, 9, 4), (4, 4), bits=4, codes=-8)
    exceeds = depthwise((9, 9, 4), (1, 17), bits=4, codes=-8)
    for graph, expected in ((fits, True), (exceeds, False)):
        model = converted(graph, tmp_path / str(expected))
        assert kernel_of(model) == (PAIR if expected else DUAL)
        values = samples(graph)
        assert np.array_equal(Twin(model).run(values), reference.run(graph, values))


def test_output_overwrites_the_input(tmp_path: Path) -> None:
    model = converted(depthwise((16, 16, 8)), tmp_path)
    assert kernel_of(model) == PAIR
    assert model.arena_bytes < 1.8 * 16 * 16 * 8 + 2048


ON_A_BOARD: list[dict[str, Any]] = [
    {"shape": (6, 16, 8)},
    {"shape": (7, 5, 16), "bits": 4},
    {"shape": (5, 9, 6), "bits": 1, "zero_points": (3, 0)},
    {"shape": (8, 10, 20), "stride": (2, 2)},
    {"shape": (6, 5, 7), "stride": (2, 2)},
    {"shape": (4, 2, 40), "kernel": (3, 5)},
    {"shape": (6, 12, 8), "largest_step": 127},
    {"shape": (6, 13, 8), "bits": 8},
    {"shape": (5, 16, 8), "bits": 8, "zero_points": (3, 5)},
    {"shape": (7, 8, 5), "bits": 8, "stride": (2, 2)},
    {"shape": (6, 13, 8), "bits": 8, "stride": (2, 2), "zero_points": (-5, 4)},
    {"shape": (6, 6, 7), "bits": 8, "stride": (2, 2), "kernel": (4, 4)},
    {"shape": (7, 10, 6), "bits": 8, "stride": (3, 3)},
    {"shape": (3, 2, 6), "bits": 8},
    {"shape": (6, 14, 4), "bits": 8, "kernel": (5, 5), "clamp": (-20, 90)},
    {"shape": (6, 5, 8), "bits": 8},
    {"shape": (6, 6, 5), "largest_step": 127},
    {"shape": (5, 12, 7), "bits": 8},
    {"shape": (4, 11, 3), "bits": 4, "zero_points": (-5, -128)},
    {"shape": (6, 6, 4), "bits": 8, "clamp": (-100, 90)},
    {"shape": (9, 8, 7), "bits": 8, "dilation": (2, 2), "zero_points": (-5, 4)},
    {"shape": (20, 1, 9), "bits": 8, "kernel": (20, 1), "padding": (0, 0, 0, 0)},
    {"shape": (20, 1, 8), "bits": 8, "kernel": (4, 1), "zero_points": (-128, 3)},
    {"shape": (6, 6, 25), "bits": 8, "stride": (2, 2)},
    {"shape": (3, 3, 31), "bits": 8, "zero_points": (-5, 4)},
    {"shape": (5, 20, 6), "bits": 8, "stride": (2, 4), "kernel": (2, 8), "zero_points": (7, 0)},
]


@pytest.mark.parametrize(("arguments", "compiler"), some_of(ON_A_BOARD, COMPILERS))
def test_layers_are_bit_exact_on_an_emulated_board(
    arguments: dict[str, Any], compiler: CompilerName, tmp_path: Path
) -> None:
    board = load_board("netduinoplus2")
    require(available_compilers(), compiler)
    require(available_emulators(board), "qemu")
    graph = depthwise(**arguments)
    values = samples(graph)
    model = converted(graph, tmp_path)
    with emulated_device(model, board, "qemu", compiler) as emulated:
        run = emulated.device.run(values)
    assert np.array_equal(run.logits, reference.run(graph, values))
