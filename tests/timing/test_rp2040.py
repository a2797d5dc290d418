"""The model of the Cortex-M0+ against rp2040js, where node and that package are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import require
from tinyedge.boards import load_board
from tinyedge.targets import available_emulators

TOOLS = Path(__file__).parents[2] / "tools"
VARIABLE = "TINYEDGE_RP2040JS"


def tool(name: str) -> ModuleType:
    """A program of ``tools/`` as a module."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("case", [("ds_cnn", 8), ("ds_cnn", 2), ("resnet8", 2)])
def test_model_agrees_with_an_emulator_by_others(case: tuple[str, int]) -> None:
    """The folder of the npm package rp2040js is in ``TINYEDGE_RP2040JS``."""
    package = Path(os.environ.get(VARIABLE, "nowhere"))
    if not package.is_dir() or not shutil.which("node"):
        pytest.skip(f"needs node, and rp2040js in {VARIABLE}")
    require(available_emulators(load_board("mps2-an385-m0")), "qemu")
    found = tool("check_rp2040").compare(*case, package)
    assert found.same_bytes
    assert abs(found.difference) < 0.10
