"""Keeps data sets away from what this machine has, and from the network."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tinyedge.datasets import fashion_mnist


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where downloads would be kept; it does not exist yet."""

    def urlopen(*_: Any, **__: Any) -> None:
        raise OSError("no network in tests")

    monkeypatch.delenv("TINYEDGE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(fashion_mnist, "_PLACES", (".",))
    return tmp_path / "cache/tinyedge/datasets"
