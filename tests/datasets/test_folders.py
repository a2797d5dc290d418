from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path
from typing import IO

import pytest

from tinyedge.datasets import folders
from tinyedge.datasets.folders import Published, find, find_or_download
from tinyedge.errors import DataError

CONTENT = b"published"
FILE = Published("file.bin", "http://example.invalid/", f"md5:{hashlib.md5(CONTENT).hexdigest()}")  # noqa: S324


def publish(content: bytes | OSError, monkeypatch: pytest.MonkeyPatch) -> list[Published]:
    """Lets downloads give the content, or fail; returns the list of those that follow."""
    downloads = []

    def download(file: Published, into: IO[bytes]) -> None:
        downloads.append(file)
        if isinstance(content, OSError):
            raise content
        into.write(content)

    monkeypatch.setattr(folders, "_download", download)
    return downloads


def test_files_are_found_in_order(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, data = tmp_path / "named", tmp_path / "data"
    monkeypatch.setenv("TINYEDGE_DATA", str(data))
    assert find("file.bin", None) is None
    for folder in (cache / "below", data / "below", data, named):
        folder.mkdir(parents=True, exist_ok=True)
    places = (".", "below")
    for folder in (cache / "below", data / "below", data):
        (folder / "file.bin").touch()
        assert find("file.bin", None, places) == folder / "file.bin"
    assert find("file.bin", named, places) is None
    (named / "file.bin").touch()
    assert find("file.bin", named, places) == named / "file.bin"


def test_a_download_is_kept_and_used_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads = publish(CONTENT, monkeypatch)
    for _ in range(2):
        path = find_or_download("Title", FILE, None)
        assert path == cache / "file.bin"
        assert path.read_bytes() == CONTENT
    assert downloads == [FILE]


def test_a_wrong_checksum_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(b"changed", monkeypatch)
    with pytest.raises(DataError, match=r"md5 is .*, not "):
        find_or_download("Title", FILE, None)
    assert list(cache.iterdir()) == []


def test_a_failed_download_says_where_to_put_the_file(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(OSError("no network"), monkeypatch)
    with pytest.raises(DataError, match=r"Title: file\.bin: .*no network") as missing:
        find_or_download("Title", FILE, None)
    assert "TINYEDGE_DATA" in missing.value.hint
    assert list(cache.iterdir()) == []


def test_a_named_folder_is_not_supplemented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = publish(CONTENT, monkeypatch)
    with pytest.raises(DataError, match=str(tmp_path / "file.bin")):
        find_or_download("Title", FILE, tmp_path)
    assert not downloads


def test_downloads_come_from_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    urls = []

    def urlopen(url: str, timeout: float) -> object:
        assert timeout > 0
        urls.append(url)
        return (tmp_path / "file.bin").open("rb")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert find_or_download("Title", FILE, None).read_bytes() == CONTENT
    assert urls == ["http://example.invalid/file.bin"]
