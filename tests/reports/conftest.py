"""Converted models to build."""

from __future__ import annotations

import pytest

from tests.reports.builds import GRAPHS
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ConvertedModel]:
    folder = tmp_path_factory.mktemp("models")
    return {name: write_converted(graph(), folder / name, "test") for name, graph in GRAPHS.items()}


@pytest.fixture(scope="module")
def denser(models: dict[str, ConvertedModel]) -> ConvertedModel:
    """The network of ``models['resnet8']`` with other kernels and denser packings."""
    graph = models["resnet8"].graph
    folder = models["resnet8"].folder.parent / "denser"
    return write_converted(graph, folder, "test", options=CodeOptions(optimize="size"))
