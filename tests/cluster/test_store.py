from __future__ import annotations

from pathlib import Path

import pytest

from tinyedge.cluster.store import ChunkStore

NAME = "ab" * 32


def test_results_are_kept(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path / "chunks")
    assert store.get(NAME) is None
    store.put(NAME, b"result")
    assert ChunkStore(tmp_path / "chunks").get(NAME) == b"result"


@pytest.mark.parametrize("cut", [0, 10, 37])
def test_what_is_damaged_is_missing(cut: int, tmp_path: Path) -> None:
    store = ChunkStore(tmp_path)
    store.put(NAME, b"result")
    (path,) = (each for each in tmp_path.rglob("*") if each.is_file())
    path.write_bytes(path.read_bytes()[:cut])
    assert store.get(NAME) is None


def test_the_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ChunkStore().folder == tmp_path / "tinyedge" / "chunks"
