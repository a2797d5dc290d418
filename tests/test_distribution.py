"""What the installed distribution says of itself, and whom it shares its name with."""

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

    requires = [
        "numpy>=2.1",
        'inner[extra]>=1,<2; extra == "small"',
        'other>=3; extra == "small" and sys_platform == "win96"',
        f'{distribution.NAME}[small]; extra == "large"',
        'outer>=0.5; extra == "large"',
    ]
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda _: requires)


def test_a_hint_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {})
    command = shlex.split(install_hint("large"))
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[4:] == ["inner<2,>=1", "outer>=0.5"]
    pretend(monkeypatch, {"inner": "1.4"})
    assert shlex.split(install_hint("large"))[4:] == ["outer>=0.5"]
    pretend(monkeypatch, {"inner": "2.0", "outer": "1"})
    assert shlex.split(install_hint("large"))[4:] == ["inner<2,>=1"]


def test_a_hint_without_metadata_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert shlex.split(install_hint("zig"))[4:] == [f"{distribution.NAME}[zig]"]


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
