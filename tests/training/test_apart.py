"""A training in a process of its own runs nothing of, and leaves nothing in, folders around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.test_grid import written
from tinyedge.errors import ConfigError
from tinyedge.training import apart
from tinyedge.training.grid import read_grid


def test_it_runs_no_module_of_the_folder_and_leaves_files_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_grid(written(tmp_path, '"float"', "[0]"))[0].config
    where, folder = tmp_path / "where", tmp_path / "run"
    where.mkdir()
    (where / "click.py").write_text("open('was-run', 'w')\n")
    (tmp_path / ".run.toml").write_text("mine")
    monkeypatch.setattr(apart, "write_config", lambda _: "[strange]\n")  # no TensorFlow is loaded
    with pytest.raises(ConfigError, match="strange"):
        apart.train_apart(config, folder, where=where)
    assert not (where / "was-run").exists()
    assert (tmp_path / ".run.toml").read_text() == "mine"
