"""The kernels for few-valued weights where their packed sums are in most danger; their bars."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import require
from tests.draws import examples, some_of
from tests.exporters.options import fast_and_dense
from tests.firmware.sanitizers import run_sanitized
from tinyedge.boards import load_board
from tinyedge.evaluation.session import emulated_device
from tinyedge.exporters.c import CodeOptions, export_c
from tinyedge.exporters.c.packing import densest
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor, Weights
from tinyedge.models.benchmark import BENCHMARKS, NetworkBuilder, ds_cnn, resnet8
from tinyedge.names import CompilerName
from tinyedge.targets import available_emulators
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.emulator

CORES = {
    "cortex-m0": "mps2-an385-m0",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
}
WEIGHTS = ("random", "ones", "minus ones", "halves", "few")


def conv_graph(
    shape: tuple[int, int, int],
    channels: int,
    kernel: tuple[int, int],
    stride: int,
    weights: str,
    zero_point: int,
    *,
    relu: bool,
    bits: int = 2,
) -> Graph:
    """One convolution, its output scale so that the largest sums just do not all saturate."""
    random = np.random.default_rng(0)
    size = (channels, *kernel, shape[2])
    codes = random.integers(-1, 2, size)
    if weights == "ones":
        codes[:] = 1
    elif weights == "minus ones":
        codes[:] = -1
    elif weights == "halves":
        codes[:] = np.where(np.arange(shape[2]) < shape[2] // 2, 1, -1)
    elif weights == "few":
        codes *= random.random(size) < 0.1
    if bits == 1:
        codes = np.where(codes == 0, 1, codes)
    columns = int(np.prod(size[1:]))
    padding = ops.same_padding(shape[:2], kernel, (stride, stride))
    operator = ops.Conv2D(
        name="conv",
        inputs=("in",),
        output="out",
        weights=Weights(codes.astype(np.int8), bits, np.full(channels, 0.01, np.float32)),
        bias=random.integers(-columns, columns, channels).astype(np.int32),
        stride=(stride, stride),
        padding=padding,
    )
    source = Tensor("in", shape, Quantization(0.05, zero_point))
    target = Quantization(0.05 * 0.01 * columns * 200 / 255, -128 if relu else 3)
    output = Tensor("out", operator.output_shape([shape]), target)
    return Graph("conv", {"in": source, "out": output}, (operator,), "in", "out")


def extreme_inputs(graph: Graph) -> np.ndarray:
    """Noise, then all -128, all 127, and each where the first channel's weights want it."""
    random = np.random.default_rng(1)
    shape = graph.input_tensor.shape
    samples = random.integers(-128, 128, (6, *shape)).astype(np.int8)
    samples[1], samples[2] = -128, 127
    operator = graph.operators[0]
    assert isinstance(operator, ops.Conv2D)
    positive = operator.weights.codes[0].sum(axis=(0, 1)) > 0
    samples[3], samples[4] = np.where(positive, 127, -128), np.where(positive, -128, 127)
    return samples


CASES = [
    ((6, 6, 64), 8, (3, 3), 1),
    ((4, 9, 320), 4, (3, 3), 1),
    ((5, 5, 255), 6, (1, 1), 1),
    ((3, 3, 1030), 5, (1, 1), 1),
    ((9, 7, 13), 7, (3, 2), 2),
    ((17, 3, 4), 3, (1, 1), 2),
]


@pytest.mark.parametrize(
    ("case", "weights", "objective"), some_of(CASES, WEIGHTS, ["speed", "size"])
)
def test_extreme_sums_are_exact(
    case: tuple[tuple[int, int, int], int, tuple[int, int], int],
    weights: str,
    objective: str,
    tmp_path: Path,
) -> None:
    """Sums that do not fit in their fields all at once have to be taken out in time."""
    options = CodeOptions(optimize="size" if objective == "size" else "speed")
    for index, (zero_point, relu) in enumerate([(-128, True), (127, False), (-3, True)]):
        graph = conv_graph(*case, weights, zero_point, relu=relu)
        samples = extreme_inputs(graph)
        with fast_and_dense():
            model = write_converted(graph, tmp_path / str(index), "test", options=options)
        assert model.manifest["layers"][0]["kernel"] in {"te_conv2d_lut_s8", "te_conv1x1_quad_s8"}
        expected = reference.run(graph, samples)
        assert relu or len(np.unique(expected)) > 2
        assert np.array_equal(Twin(model).run(samples), expected)


@pytest.mark.parametrize(("bits", "core"), some_of([1, 2], ["cortex-m4", "cortex-m0"]))
def test_extreme_sums_are_clean_under_sanitizers(bits: int, core: str, tmp_path: Path) -> None:
    require([name for name in ("cc",) if shutil.which(name)], "cc")
    for index, case in enumerate(CASES):
        graph = conv_graph(*case, "ones", -128, relu=bool(index % 2), bits=bits)
        samples = extreme_inputs(graph)
        options = CodeOptions("cortex-m0" if core == "cortex-m0" else "cortex-m4")
        model = write_converted(graph, tmp_path / f"{index}", "test", options=options)
        found = run_sanitized(model, samples, tmp_path / f"program{index}")
        assert np.array_equal(found, reference.run(graph, samples))


@pytest.mark.parametrize(
    ("core", "compiler"),
    # zig takes long, and knows three kinds of assembly: for ARMv6-M, for the DSP extension, Helium.
    [(core, "gcc") for core in CORES]
    + [
        pytest.param(core, "zig", marks=pytest.mark.slow)
        for core in ("cortex-m0", "cortex-m4", "cortex-m55")
    ],
)
def test_every_core_gives_the_same_bytes(core: str, compiler: CompilerName, tmp_path: Path) -> None:
    """Assembly of each instruction set: a whole network, and extreme sums."""
    require(available_compilers(), compiler)
    board = load_board(CORES[core])
    require(available_emulators(board), "qemu")
    options = CodeOptions(board.core)
    graphs = [ds_cnn(2), conv_graph((6, 6, 64), 8, (3, 3), 1, "ones", 127, relu=False)]
    graphs.append(conv_graph((5, 9, 30), 6, (3, 3), 1, "random", -128, relu=True, bits=1))
    for index, graph in enumerate(graphs):
        random = np.random.default_rng(index)
        samples = random.integers(-128, 128, (3, *graph.input_tensor.shape)).astype(np.int8)
        samples[0] = -128
        model = write_converted(graph, tmp_path / str(index), "test", options=options)
        with emulated_device(model, board, "qemu", compiler) as emulated:
            found = emulated.device.run(samples)
        assert np.array_equal(found.logits, reference.run(graph, samples))


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@examples(40)
def test_densest_packing_keeps_its_promise(seed: int, zeros: float) -> None:
    random = np.random.default_rng(seed)
    codes = np.where(random.random(5000) < zeros, 0, random.integers(0, 2, 5000) * 2 - 1)
    share = float((codes == 0).mean())
    packed = densest(codes.astype(np.int8), 2).pack(codes.astype(np.int8))
    assert 8 * packed.size <= min(1.62, max(2 - share, 1.0) * 1.02) * 5000


@pytest.mark.parametrize(
    ("graph", "arena"), [(resnet8(2), 42 * 1024), (ds_cnn(2), 14 * 1024)], ids=["resnet8", "ds_cnn"]
)
def test_arena_is_as_small_as_promised(graph: Graph, arena: int) -> None:
    plan = export_c(graph).plan
    assert plan.size <= arena
    assert plan.size <= plan.lower_bound * 1.05


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "stq"])
def test_plans_stay_near_their_lower_bound(name: str, bits: int) -> None:
    plan = export_c(BENCHMARKS[name](bits)).plan
    assert plan.size <= plan.lower_bound * 1.05


def test_plan_of_a_chain_reaches_its_bound() -> None:
    """8-bit convolutions of one shape: each output starts a row before its input."""
    build = NetworkBuilder("chain", (32, 32, 3))
    at = build.conv("input", 16, (3, 3), 8)
    for _ in range(8):
        at = build.conv(at, 16, (3, 3), 8)
    plan = export_c(build.graph(at)).plan
    assert plan.size <= plan.lower_bound * 1.05
    assert plan.size < 2 * 32 * 32 * 16


@pytest.mark.slow
def test_benchmark_prints_rows_and_compares(tmp_path: Path) -> None:
    """Instruction counts are the same on every run, so the bars can be checked here."""
    require(available_compilers(), "gcc")
    require(available_emulators(load_board("mps2-an386")), "qemu")
    command = [sys.executable, "tools/bench_kernels.py", "--bits", "2", "--json", "resnet8"]
    root = Path(__file__).parents[2]
    runs = [
        subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    first, second = (json.loads(run)["rows"][0] for run in runs)
    del first["stack_peak"], second["stack_peak"]  # an interrupt's frame more or less
    assert first == second
    (row,) = json.loads(runs[0])["rows"]
    assert row["mismatches"] == 0
    assert row["macs"] == 12_501_632
    assert row["insn_per_mac"] <= 0.80
    assert row["cycles_per_mac"] is None or row["cycles_per_mac"] <= 1.10
    assert row["flash"]["total"] <= 45 * 1024
    assert row["flash"]["runtime"] <= 13.5 * 1024
    saved = tmp_path / "saved.json"
    saved.write_text(runs[0])
    table = subprocess.run(
        [*command[:4], "--compare", str(saved), "resnet8"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "+0.0 %" in table
