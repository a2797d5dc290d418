"""Where the files of data sets lie, and how they get there."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tinyedge.errors import DataError
from tinyedge.files import cache_folder

_TIMEOUT = 30.0


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
    return cache_folder("datasets")


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
    path.parent.mkdir(parents=True, exist_ok=True)
    kind, expected = file.digest.split(":")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{file.name}.") as aside:
        try:
            _download(file, aside)
        except OSError as error:
            raise missing(title, file.name, None, f"{file.url}{file.name}: {error}") from error
        aside.seek(0)
        found = hashlib.file_digest(aside, kind).hexdigest()
        if found != expected:
            raise DataError(
                f"{file.url}{file.name}: {kind} is {found}, not {expected}",
                hint="the download is damaged, or the file has changed",
            )
        os.link(aside.name, path)
    return path


def missing(title: str, name: str, folder: Path | None, why: str = "") -> DataError:
    """The error for a file that lies nowhere."""
    return DataError(
        f"{title}: {folder / name if folder else name}: no such file"
        + (f", and no download ({why})" if why else ""),
        hint=f"put {name} into $TINYEDGE_DATA, or name its folder",
    )


def _download(file: Published, into: IO[bytes]) -> None:
    url = file.url + file.name
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - one of ours
        shutil.copyfileobj(response, into)
