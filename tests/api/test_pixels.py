"""How samples of the API are read: the same with labels and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.link.native import dense_model
from tinyedge.errors import UsageError

X = np.arange(48, dtype=np.uint8).reshape(3, 16) * 5
Y = np.zeros(3, np.int64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tinyedge.Model:
    return tinyedge.load(dense_model(tmp_path_factory.mktemp("api") / "m", 16).folder)


@pytest.mark.parametrize("labelled", [False, True])
def test_pixels_are_what_the_user_says(labelled: bool, model: tinyedge.Model) -> None:  # noqa: FBT001
    def run(x: Any, **given: Any) -> Any:
        return model.run((x, Y) if labelled else x, "numpy", **given).logits

    with pytest.warns(UserWarning, match="stand for 0 to 1"):
        by_range = run(X)
    with pytest.warns(UserWarning, match="stand for 0 to 0.5"):
        half = run(X, pixels=(0, 0.5))
    assert np.array_equal(by_range, run((X / 255).astype(np.float32)))
    assert np.array_equal(half, run((X / 510).astype(np.float32)))
    assert not np.array_equal(half, by_range)
    with pytest.raises(UsageError, match="pixels"):
        run(X, pixels=(1, 0))


def test_clipping_is_warned_of_in_files_and_suites(model: tinyedge.Model, tmp_path: Path) -> None:
    floats = X.astype(np.float32)
    np.savez(tmp_path / "s.npz", x=floats, y=Y)
    suites = tinyedge.load_suites(tmp_path / "s.npz")
    for samples in (floats, (floats, Y), tmp_path / "s.npz", suites):
        with pytest.warns(UserWarning, match="are clipped; .* divided by 255"):
            model.run(samples, "numpy")
