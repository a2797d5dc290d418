"""Names of suites in a stranger's file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tinyedge.errors import DataError
from tinyedge.evaluation.suites import Suite, load_suites, save_suites


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\0b", "a\nb", "a\u202eb"])
def test_a_name_with_what_is_not_seen_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "suites.npz"
    save_suites(path, [Suite("known", np.zeros((1, 2), np.float32), np.zeros(1, np.int64))], {})
    with np.load(path) as file:
        arrays = {key.replace("known", "other"): values for key, values in file.items()}
    description = json.loads(arrays.pop("suites").tobytes())
    description["suites"][0]["name"] = name
    arrays["suites"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"suites\.npz: (suites: suites\.0\.|the )name") as refused:
        load_suites(path)
    assert "without control characters" in str(refused.value) or "U+" in str(refused.value)
    assert str(refused.value).isprintable()
