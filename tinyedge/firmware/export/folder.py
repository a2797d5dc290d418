"""The folder of an export: written where nothing is lost, and over an earlier export of ours."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tinyedge.errors import FileError
from tinyedge.files import folder_aside

MANIFEST = "tinyedge.json"
"""Lists an export's files with their SHA-256."""

_VERSION = 2
_HINT = "name a folder that is empty, or that does not exist"


def with_manifest(files: Mapping[str, str], facts: Mapping[str, Any]) -> dict[str, str]:
    """An export's files by their paths in its folder, and the manifest that lists them.

    Args:
        files: text by path.
        facts: what else the manifest tells: format, model, hash.
    """
    digests = {path: _sha256(files[path].encode()) for path in sorted(files)}
    manifest = {"version": _VERSION, **facts, "files": digests}
    return {**files, MANIFEST: json.dumps(manifest, indent=2) + "\n"}


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Writes an export, all of it or nothing.

    Of an earlier export the files are replaced; those that this one lacks go. All else in the
    folder stays.

    Args:
        folder: made if needed.
        files: as ``with_manifest`` gives them.

    Raises:
        FileError: the folder holds something else than an export, or a file of the export was
            changed since, or one of the new files would take the place of another. Nothing has
            been touched then.
        OSError: something cannot be written.
    """
    earlier = _earlier(folder)
    _check_places(folder, set(files) - set(earlier))
    with folder_aside(folder, merge=True) as aside:
        for name, text in files.items():
            path = aside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in set(earlier) - set(files):
        (folder / name).unlink(missing_ok=True)


def check_archive(path: Path) -> None:
    """Refuses to write over a file that is no archive of an export.

    Raises:
        FileError: it is something else, or was changed since.
    """
    if not path.exists():
        return
    try:
        with zipfile.ZipFile(path) as archive:
            # An export is small; what unpacks to more is none.
            if sum(entry.file_size for entry in archive.infolist()) > 1 << 28:
                raise ValueError
            content = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        listed = _listed(content[MANIFEST], path)
        ours = all(_sha256(content[name]) == digest for name, digest in listed.items())
        if not ours or set(content) != {MANIFEST, *listed}:
            raise ValueError
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        hint = "name another folder, or move the file away"
        raise FileError(f"{path}: holds something else than an export", hint) from error


def archive_of(files: Mapping[str, str], name: str) -> bytes:
    """An export as a ``.zip`` file of one folder; the same export gives the same bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            # The earliest time that such a file knows.
            entry = zipfile.ZipInfo(f"{name}/{path}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return content.getvalue()


def _earlier(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of the export that lies there, its manifest included, by path."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return {}
    path = folder / MANIFEST
    if not path.is_file():
        raise FileError(f"{folder}: holds something else than an export", _HINT)
    content = path.read_bytes()
    listed = _listed(content, path)
    _check_places(folder, listed, allowed=Path.is_file)
    for name, digest in listed.items():
        file = folder / name
        if file.is_file() and _sha256(file.read_bytes()) != digest:
            raise FileError(f"{file}: was changed since it was exported", _HINT)
    return {**listed, MANIFEST: _sha256(content)}


def _listed(content: bytes, path: Path) -> dict[str, str]:
    """SHA-256 by path of the files that a manifest lists."""
    try:
        manifest = json.loads(content)
        version, files = manifest["version"], manifest["files"]
        if version == _VERSION and all(map(_is_inside, files)):
            return {str(name): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(f"{path}: no manifest of an export, or damaged", _HINT) from error
    if version != _VERSION:
        raise FileError(
            f"{path}: version is {version!r}, allowed: {_VERSION}; another tinyedge wrote it", _HINT
        )
    raise FileError(f"{path}: files lists a path outside of the folder", _HINT)


def _is_inside(name: str) -> bool:
    """Whether a path stays in the folder that it starts from."""
    path = PurePosixPath(name)
    plain = not path.is_absolute() and bool(path.parts) and ".." not in path.parts
    return plain and "\\" not in name and "\0" not in name


def _check_places(
    folder: Path, names: Iterable[str], allowed: Callable[[Path], bool] = lambda _: False
) -> None:
    """Refuses paths at which something lies, or on whose way a link or a file does."""
    for name in sorted(names):
        path = folder / name
        on_the_way = [folder / part for part in Path(name).parents if part.parts]
        for blocked in (
            *(each for each in on_the_way if each.is_symlink() or each.is_file()),
            *([path] if path.is_symlink() or (path.exists() and not allowed(path)) else []),
        ):
            raise FileError(f"{blocked}: is not of the export, which would replace it", _HINT)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
