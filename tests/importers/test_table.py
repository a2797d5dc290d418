"""The documentation has the table that the importers' code makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.conftest import require_packages
from tinyedge.importers import table

pytestmark = pytest.mark.keras

require_packages("onnx")

ROOT = Path(__file__).parents[2]


def test_the_page_has_this_version_s_table() -> None:
    path = ROOT / "tools" / "write_importing.py"
    spec = importlib.util.spec_from_file_location("write_importing", path)
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (ROOT / "docs" / "importing.md").read_text(encoding="utf-8")
    assert tool.written(page) == page, "python tools/write_importing.py writes it anew"


def test_every_operator_of_every_importer_has_its_row() -> None:
    from tinyedge.importers.hgq2 import layers as hgq2
    from tinyedge.importers.onnx.tracing import HANDLERS
    from tinyedge.importers.qkeras.layers import supported_layers
    from tinyedge.importers.tflite.operators import supported_operators

    found = table.rows()
    assert found[-1][0] != "other", found[-1]
    columns = [{name for _, cells in found for name in cells[at]} for at in range(4)]
    assert columns[0] == set(supported_layers())
    assert columns[1] == set(hgq2.supported_layers())
    assert columns[2] == set(supported_operators())
    assert columns[3] == {kind.rpartition(".")[2] for kind in HANDLERS}
