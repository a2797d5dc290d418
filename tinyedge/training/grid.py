"""A grid of trainings: a configuration whose keys may have lists, every value with every other."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tinyedge.errors import ConfigError
from tinyedge.schema import load_toml, validate
from tinyedge.training.config import RunConfig

_MOST = 10_000
_LONGEST_NAME = 200
_Key = tuple[str, str]
"""A section and a key of it."""
_ODD = re.compile(r"[^A-Za-z0-9.+-]+")


class GridPoint(NamedTuple):
    """A training of a grid.

    Attributes:
        name: of its folder: what is varied, with its values.
        settings: the varied keys (``section.key``) and their values.
        config: of the training, complete.
    """

    name: str
    settings: dict[str, Any]
    config: RunConfig


def read_grid(path: Path) -> list[GridPoint]:
    """Reads a grid: the TOML file of a run in which a list stands for each of its values.

    Raises:
        ConfigError: the file is missing or wrong, no key has a list, or two trainings would share a
            name.
    """
    content = load_toml(path, ConfigError)
    varied = dict(_varied(content))
    if not varied:
        raise ConfigError(
            f"{path}: no key has a list of values", hint='as [training] with "seed = [0, 1, 2]"'
        )
    if empty := [key for key, values in varied.items() if not values]:
        raise ConfigError(
            f"{path}: {'.'.join(empty[0])} is [], allowed: a list of one value or more"
        )
    if (count := math.prod(map(len, varied.values()))) > _MOST:
        raise ConfigError(f"{path}: {count:,} trainings, allowed: {_MOST:,}")
    points: dict[str, GridPoint] = {}
    for values in itertools.product(*varied.values()):
        chosen = dict(zip(varied, values, strict=True))
        settings = {".".join(key): value for key, value in chosen.items()}
        name = _name(chosen)
        if len(name) > _LONGEST_NAME:
            told = f"{name[:40]}...: {len(name)} characters, allowed: {_LONGEST_NAME}"
            raise ConfigError(f"{path}: a training would be called {told}")
        if name in points:
            raise ConfigError(f"{path}: two trainings would be called {name!r}: {settings}")
        config = validate(_with(content, chosen), path, RunConfig, ConfigError)
        points[name] = GridPoint(name, settings, config)
    return list(points.values())


def _varied(content: Mapping[str, Any]) -> Iterator[tuple[_Key, list[Any]]]:
    for section, keys in content.items():
        if isinstance(keys, dict):
            for key, value in keys.items():
                if isinstance(value, list):
                    yield (section, key), value


def _with(content: Mapping[str, Any], chosen: Mapping[_Key, Any]) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(dict(content))
    for (section, key), value in chosen.items():
        found[section][key] = value
    return found


def _name(chosen: Mapping[_Key, Any]) -> str:
    """The keys with their values; keys that two sections have, with their sections."""
    keys = [key for _, key in chosen]
    parts = []
    for (section, key), value in chosen.items():
        told = key if keys.count(key) == 1 else f"{section}.{key}"
        parts.append("=".join(_ODD.sub("-", half) for half in (told, str(value))))
    return "_".join(parts)
