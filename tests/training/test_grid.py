"""A grid of trainings is every value with every other, each as it would be by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyedge.errors import ConfigError
from tinyedge.training.grid import read_grid

BASE = """
[data]
name = "digits"
limit = 64

[model]
name = "stq"
precision = PRECISION
width = 0.05

[training]
epochs = 1
batch = 32
seed = SEED
"""


def written(folder: Path, precision: str, seed: str) -> Path:
    path = folder / "grid.toml"
    path.write_text(BASE.replace("PRECISION", precision).replace("SEED", seed))
    return path


def test_every_value_meets_every_other(tmp_path: Path) -> None:
    points = read_grid(written(tmp_path, '["float", "stq"]', "[0, 7]"))
    assert [point.name for point in points] == [
        "precision=float_seed=0",
        "precision=float_seed=7",
        "precision=stq_seed=0",
        "precision=stq_seed=7",
    ]
    assert points[3].settings == {"model.precision": "stq", "training.seed": 7}
    assert (points[3].config.model.precision, points[3].config.training.seed) == ("stq", 7)
    assert points[3].config.data.limit == 64


@pytest.mark.parametrize(
    ("precision", "seed", "told"),
    [
        ('"stq"', "0", "no key has a list of values"),
        ('"stq"', "[]", r"training.seed is \[\], allowed: a list of one value or more"),
        ('"stq"', "[1, 1]", "two trainings would be called 'seed=1'"),
        ('["stq", "x"]', "1", "model.precision is 'x', allowed: 'float'"),
        ('"stq"', f"{list(range(10_001))}", "10,001 trainings, allowed: 10,000"),
    ],
)
def test_faults_are_named(precision: str, seed: str, told: str, tmp_path: Path) -> None:
    path = written(tmp_path, precision, seed)
    with pytest.raises(ConfigError, match=told) as raised:
        read_grid(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_sections_and_values_of_any_text_are_refused_or_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, '"stq"', "0")
    path.write_text(path.read_text() + '["a.b"]\nx = [1, 2]\n')
    with pytest.raises(ConfigError, match=r"a\.b"):
        read_grid(path)
    written(tmp_path, '"stq"', "0")
    text = (
        path.read_text().replace('"digits"', '["digits"]').replace('name = "stq"', 'name = ["stq"]')
    )
    path.write_text(text)
    assert [point.name for point in read_grid(path)] == ["data.name=digits_model.name=stq"]
    path.write_text(text.replace('["stq"]', f'["{"x" * 300}"]'))
    with pytest.raises(ConfigError, match="allowed: 200"):
        read_grid(path)
