"""Builds to make footprints and reports of."""

from __future__ import annotations

from collections.abc import Callable

from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.project import Firmware, build_firmware
from tinyedge.graph.graph import Graph
from tinyedge.models import benchmark
from tinyedge.toolchains.compilers import available_compilers

BOARDS = ("netduinoplus2", "mps2-an385-m0")
GRAPHS: dict[str, Callable[[], Graph]] = {
    "resnet8": lambda: benchmark.resnet8(2),
    "ds_cnn": lambda: benchmark.ds_cnn(8),
    "random": lambda: RandomGraph(8).graph,
}


def default_build(model: ConvertedModel, board: str = BOARDS[0]) -> Firmware:
    return build_firmware(model, load_board(board), available_compilers()[0])
