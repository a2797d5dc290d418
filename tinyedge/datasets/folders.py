"""Where the files of data sets lie, and how they get there."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import DataError
from tinyedge.files import write_atomically

_TIMEOUT = 30.0
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Published:
    """A file as its authors publish it.

    Attributes:
        name: of the file.
        url: of the folder it lies in.
        digest: ``md5:`` or ``sha256:`` and hexadecimal digits.
    """

    name: str
    url: str
    digest: str


def cache() -> Path:
    """Where downloads, and what takes long to compute from them, are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "tinyedge" / "datasets"


def find(name: str, folder: Path | None, places: Sequence[str | Path] = (".",)) -> Path | None:
    """A file of a data set, wherever it already lies; None if that is nowhere.

    Args:
        name: of the file.
        folder: the one to look in, if the user named one.
        places: below ``$TINYEDGE_DATA`` and the downloads, or absolute, in which the file may lie.
    """
    if folder is not None:
        if (folder / name).is_file():
            return folder / name
        return None
    roots = [Path(data)] if (data := os.environ.get("TINYEDGE_DATA")) else []
    candidates = (root / place / name for root in (*roots, cache()) for place in places)
    return next((path for path in candidates if path.is_file()), None)


def find_or_download(
    title: str,
    file: Published,
    folder: Path | None,
    places: Sequence[str | Path] = (".",),
) -> Path:
    """A file of a data set, downloaded if it lies nowhere and the user named no folder.

    Raises:
        DataError: it lies nowhere and could not be downloaded whole; says where to put it.
    """
    if path := find(file.name, folder, places):
        return path
    if folder is not None:
        raise missing(title, file.name, folder)
    path = cache() / file.name
    try:
        content = _download(file)
    except OSError as error:
        raise missing(title, file.name, None, f"{file.url}{file.name}: {error}") from error
    kind, expected = file.digest.split(":")
    found = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise DataError(
            f"{file.url}{file.name}: {kind} is {found}, not {expected}",
            hint="the download is damaged, or the file has changed",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return path


def missing(title: str, name: str, folder: Path | None, why: str = "") -> DataError:
    """The error for a file that lies nowhere."""
    return DataError(
        f"{title}: {folder / name if folder else name}: no such file"
        + (f", and no download ({why})" if why else ""),
        hint=f"put {name} into $TINYEDGE_DATA, or name its folder",
    )


def _download(file: Published) -> bytes:
    request = urllib.request.urlopen(file.url + file.name, timeout=_TIMEOUT)  # noqa: S310 - ours
    with request as response:
        parts = []
        while part := response.read(_CHUNK):
            parts.append(part)
    return b"".join(parts)
