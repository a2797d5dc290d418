"""The installed distribution names itself, and whom it shares its name with."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tinyedge import distribution
from tinyedge.distribution import install_hint, other_distribution


def pretend(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str]) -> None:
    """Has only these packages, by name and version, beside what requires them."""

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize("extra", ["zig", "report"])
def test_a_hint_names_the_extra(extra: str) -> None:
    command = shlex.split(install_hint(extra))
    assert command == [sys.executable, "-m", "pip", "install", f"{distribution.NAME}[{extra}]"]


def test_the_project_of_the_same_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {})
    assert other_distribution() is None
    pretend(monkeypatch, {"tinyedge": "0.9.2"})
    said = other_distribution()
    assert said is not None
    assert "'tinyedge' 0.9.2" in said
    assert "pip uninstall tinyedge" in said


def test_the_lock_and_the_wheel_have_one_name() -> None:
    root = Path(__file__).parents[1]
    name = re.search(r'^name = "(.+?)"', (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert name
    assert name.group(1) == distribution.NAME
    assert f"--no-emit-package {distribution.NAME} " in (root / "Makefile").read_text()
