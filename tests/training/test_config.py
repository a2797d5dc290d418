"""Configurations hold finite, bounded values of the kind that each key says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyedge.errors import ConfigError
from tinyedge.training.config import RunConfig, read_config, write_config

BASE = """
[data]
name = "digits"
limit = 64

[model]
name = "stq"
width = 0.1

[training]
epochs = 1
learning_rate = 0.003
weight_decay = 0.0

[jacobian]
weight = 0.01
"""


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("learning_rate = 0.003", "inf"),
        ("learning_rate = 0.003", "nan"),
        ("learning_rate = 0.003", "1e30"),
        ("learning_rate = 0.003", "true"),
        ("learning_rate = 0.003", '"0.003"'),
        ("weight_decay = 0.0", "inf"),
        ("weight = 0.01", "inf"),
        ("epochs = 1", "true"),
        ("epochs = 1", "1.0"),
        ("epochs = 1", "1000000000000"),
        ("limit = 64", '"64"'),
    ],
)
def test_values_are_finite_bounded_and_of_their_kind(line: str, value: str, tmp_path: Path) -> None:
    key = line.split(" = ", maxsplit=1)[0]
    path = tmp_path / "run.toml"
    path.write_text(BASE.replace(line, f"{key} = {value}"), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"run\.toml: [a-z]+\.{key} is .*allowed: "):
        read_config(path)


def test_a_whole_number_is_a_number_too(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(BASE.replace("0.003", "1") + '[distillation]\nteacher = "other"\n')
    config = read_config(path)
    assert config.training.learning_rate == 1.0
    assert config.distillation
    assert config.distillation.teacher == Path("other")
    path.write_text(write_config(config))
    assert read_config(path) == config
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.mark.parametrize(
    "path", sorted(EXPERIMENTS.glob("*/*.toml")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_experiments_begin_with_networks_of_the_same_layers(path: Path) -> None:
    config = read_config(path)
    if config.training.initial:
        initial = read_config(EXPERIMENTS.parent / f"{config.training.initial}.toml")
        assert initial.data == config.data
        assert initial.model == config.model
        if initial.adversarial:
            assert config.adversarial
            assert initial.adversarial.epsilon == config.adversarial.epsilon
