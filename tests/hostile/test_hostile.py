"""No file makes code run or leaves a traceback; memory and time are bounded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import (  # noqa: F401 - they note their files in HOSTILE
    keras_files,
    model_names,
    onnx_files,
)
from tests.hostile.files import CANARY, ESCAPE, HOSTILE, Case, Hostile
from tests.hostile.runner import CPU_S
from tests.link.native import dense_model
from tests.reports.runs import clean_suite, write_run

MORE_MEMORY_KIB = 2**20
BUG, USAGE = 1, 2


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The outcome of every file, by its function's name; all are run by one process."""
    root = tmp_path_factory.mktemp("hostile")
    model = dense_model(root / "harmless", 16)
    record = write_run(root / "harmless.json", model, [clean_suite(model, 10)])
    cases: list[dict[str, Any]] = []
    with ExitStack() as opened:
        for each in HOSTILE:
            folder = root / each.make.__name__
            folder.mkdir()
            case = Case(folder, model.folder, record, model.graph.hash, opened)
            cases.append({"argv": each.make(case), "folder": str(folder)})
        command = [sys.executable, "-m", "tests.hostile.runner"]
        ran = subprocess.run(  # noqa: PLW1510 - what it printed says more
            command, input=json.dumps(cases), capture_output=True, text=True, timeout=900
        )
    assert ran.returncode == 0, ran.stderr
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    names = [each.make.__name__ for each in HOSTILE]
    return {
        name: result | {"folder": Path(case["folder"])}
        for name, result, case in zip(names, results, cases, strict=True)
    }


@pytest.mark.parametrize("each", HOSTILE, ids=[each.make.__name__ for each in HOSTILE])
def test_a_hostile_file_does_no_harm(each: Hostile, found: dict[str, dict[str, Any]]) -> None:
    result = found[each.make.__name__]
    code, printed = result["code"], result["printed"]
    if each.harmless:
        assert code == 0, printed
    assert code >= 0, f"ended by signal {-code}"
    assert code != BUG, printed
    assert code != USAGE or "Usage" not in printed, printed
    assert "Traceback" not in printed
    assert ESCAPE not in printed
    folder: Path = result["folder"]
    _configure(folder / "out")
    assert not list(folder.rglob(CANARY))
    assert not [path for path in _written(folder) if ESCAPE.encode() in path.read_bytes()]
    assert result["cpu"] < CPU_S
    # A kind without a harmless one is compared with the cheapest.
    of_kind = [other for other in HOSTILE if other.harmless and other.kind == each.kind]
    comparable = of_kind or [other for other in HOSTILE if other.harmless]
    harmless = min(found[other.make.__name__]["memory"] for other in comparable)
    assert result["memory"] < harmless + MORE_MEMORY_KIB


def _configure(project: Path) -> None:
    """Lets CMake read what was exported for it: names in it must not be commands."""
    if (project / "CMakeLists.txt").is_file() and shutil.which("cmake"):
        command = ["cmake", "-S", str(project), "-B", str(project / "build")]
        subprocess.run(command, capture_output=True, check=False, cwd=project)


def _written(folder: Path) -> list[Path]:
    """Files that the command line has made, not the hostile file."""
    paths = (*folder.glob("out*"), *(folder / "out").rglob("*"))
    return [path for path in paths if path.is_file()]


def test_there_are_enough_of_many_kinds() -> None:
    hostile = [each for each in HOSTILE if not each.harmless]
    kinds = Counter(each.kind for each in hostile)
    assert len(hostile) >= 100
    assert len(kinds) >= 12
    assert max(kinds.values()) <= 10
    assert 2 * sum(each.canary for each in hostile) >= len(hostile)
