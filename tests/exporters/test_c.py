from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ModelError
from tinyedge.exporters.c import CodeOptions, export_c
from tinyedge.exporters.c.export import c_identifiers
from tinyedge.exporters.c.packing import PACKINGS
from tinyedge.exporters.converted import ConvertedModel, load_converted, write_converted
from tinyedge.graph.operators import Weighted
from tinyedge.graph.tensors import WEIGHT_RANGES
from tinyedge.names import OBJECTIVES

pytestmark = pytest.mark.needs_tool


@pytest.mark.parametrize("seed", range(5))
def test_same_graph_gives_the_same_bytes(seed: int, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_converted(RandomGraph(seed).graph, tmp_path / folder, "test")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize("name", PACKINGS)
def test_packing_takes_the_bits_it_says(name: str) -> None:
    packing = PACKINGS[name]
    low, high = WEIGHT_RANGES[packing.bits]
    random = np.random.default_rng(0)
    codes = random.integers(low, high + 1, (7, 11)).astype(np.int8)
    if packing.bits == 1:
        codes = np.where(codes < 0, -1, 1).astype(np.int8)
    nonzero = int(np.count_nonzero(codes))
    bits = {"binary": 77, "ternary": 154, "ternary_base3": 8 * -(-77 // 5), "int4": 308}
    bits |= {"int8": 616, "ternary_prefix": 77 + nonzero}
    assert packing.pack(codes).size == -(-bits[name] // 8)


def test_ternary_weights_take_as_few_bits_as_promised(demo_model: ConvertedModel) -> None:
    for objective in OBJECTIVES:
        layers = export_c(demo_model.graph, CodeOptions(optimize=objective)).layers
        ternary = [layer for layer in layers if layer.bits == 2]
        assert len(ternary) == 4
        for layer in ternary:
            operator = next(op for op in demo_model.graph.operators if op.name == layer.name)
            assert isinstance(operator, Weighted)
            zeros = float((operator.weights.codes == 0).mean())
            most = min(1.62, (2 - zeros) * 1.02) if objective == "size" else 2.0
            assert layer.weight_bytes * 8 <= most * layer.weights + 8


@given(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=20))
def test_identifiers_are_distinct_and_valid(names: list[str]) -> None:
    identifiers = c_identifiers(names)
    assert len(set(identifiers.values())) == len(names)
    for identifier in identifiers.values():
        assert identifier.isascii()
        assert identifier.isidentifier()


def test_header_says_where_the_model_came_from(demo_model: ConvertedModel) -> None:
    header = (demo_model.folder / "model.h").read_text()
    assert demo_model.graph.hash in header
    assert demo_model.graph.source["sha256"] in header
    assert "tinyedge demo" in header
    source = (demo_model.folder / "model.c").read_text()
    assert "weights 32x3x3x16" in source
    assert "2 bits" in source


@pytest.mark.parametrize("name", ["model.c", "model.h", "model.json", "graph.npz"])
def test_incomplete_folder_is_refused(
    name: str, demo_model: ConvertedModel, tmp_path: Path
) -> None:
    for file in demo_model.folder.iterdir():
        if file.is_file() and file.name != name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match=name):
        load_converted(tmp_path)


def test_manifest_of_another_model_is_refused(demo_model: ConvertedModel, tmp_path: Path) -> None:
    write_converted(RandomGraph(1).graph, tmp_path, "test")
    manifest = (demo_model.folder / "model.json").read_bytes()
    (tmp_path / "model.json").write_bytes(manifest)
    with pytest.raises(ModelError, match="another model"):
        load_converted(tmp_path)
    (tmp_path / "model.json").write_bytes(manifest[:100])
    with pytest.raises(ModelError, match="damaged"):
        load_converted(tmp_path)


def test_failing_conversion_leaves_nothing(
    demo_model: ConvertedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(type(demo_model.graph), "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_converted(demo_model.graph, tmp_path / "out", "test")
    assert list(tmp_path.iterdir()) == []
