"""``--optimize size``: no other choice of kernels takes less flash, by estimate and as built."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require
from tests.draws import each_seed, some_of
from tests.exporters.test_kernels_depthwise import depthwise
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.c.kernels import select_kernels, smallest
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.firmware.twin import Twin
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.models.benchmark import BENCHMARKS
from tinyedge.names import OBJECTIVES, CoreName
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import available_compilers

TABLE = Path(smallest.__file__).with_name("code_bytes.json")
CORES_OF_THE_TABLE: list[CoreName] = ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55"]
GRAPHS = {
    "ds_cnn, ternary": lambda: BENCHMARKS["ds_cnn"](2),
    "ds_cnn, 8 bits": lambda: BENCHMARKS["ds_cnn"](8),
    "resnet8, ternary": lambda: BENCHMARKS["resnet8"](2),
    "fully connected, 4 bits": lambda: BENCHMARKS["fully-connected-1024-256"](4),
    "depthwise, binary": lambda: depthwise((9, 9, 40), bits=1),
}
"""Networks with one kind of layer and with several, with few weights and with many."""


def estimate(graph: Graph, core: CoreName, optimize: str) -> int:
    options = CodeOptions(core, optimize)  # type: ignore[arg-type]
    names = {operator.name: f"layer_{n}" for n, operator in enumerate(graph.operators)}
    kernels = select_kernels(graph, names, options).values()
    return smallest.total_bytes(kernels, json.loads(TABLE.read_text())[core])


@pytest.mark.parametrize("core", CORES_OF_THE_TABLE)
@each_seed(10)
def test_size_is_never_more_by_the_table(seed: int, core: CoreName) -> None:
    graph = RandomGraph(seed).graph
    sizes = {optimize: estimate(graph, core, optimize) for optimize in OBJECTIVES}
    assert sizes["size"] == min(sizes.values())


@pytest.mark.needs_tool
@pytest.mark.parametrize("name", GRAPHS)
def test_no_other_objective_is_smaller_as_built(name: str, tmp_path: Path) -> None:
    require(available_compilers(), "gcc")
    graph, board = GRAPHS[name](), load_board("mps2-an386")
    flash = {}
    for optimize in OBJECTIVES:
        options = CodeOptions("cortex-m4", optimize)
        model = write_converted(graph, tmp_path / optimize, "test", options=options)
        flash[optimize] = build_firmware(model, board, "gcc").footprint.flash
    assert flash["size"] == min(flash.values())
    # An AVR has plain kernels alone.
    options = CodeOptions("avr", "size")
    plain = write_converted(graph, tmp_path / "plain", "test", options=options)
    assert flash["size"] <= build_firmware(plain, board, "gcc").footprint.flash


@pytest.mark.needs_tool
def test_the_smallest_choice_gives_the_same_bytes(tmp_path: Path) -> None:
    graph = BENCHMARKS["ds_cnn"](2)
    options = CodeOptions("cortex-m4", "size")
    model = write_converted(graph, tmp_path, "test", options=options)
    shape = (3, *graph.input_tensor.shape)
    samples = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    assert (Twin(model).run(samples) == reference.run(graph, samples)).all()


def test_every_file_of_the_runtime_is_in_the_table() -> None:
    files = {source.name for source in (data_folder("firmware_templates") / "runtime").glob("*.c")}
    for core, table in json.loads(TABLE.read_text()).items():
        assert set(table) == files, core


@pytest.mark.needs_tool
@pytest.mark.parametrize("core", some_of(CORES_OF_THE_TABLE))
def test_the_table_says_what_the_compiler_makes(core: CoreName) -> None:
    """About: what fails has grown since ``tools/measure_code.py`` ran."""
    require(available_compilers(), "gcc")
    command = [sys.executable, "tools/measure_code.py", "--check", "--core", core]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
