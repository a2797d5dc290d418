"""Reading arrays, and writing files so that a failure never leaves half of one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ASIDE = 100
"""Characters of a file's name in that of the file aside, which has to be no longer than allowed."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Reads a ``.npz`` file, or a ``.npy`` file as one array named ``x``.

    Raises:
        ValueError: the file is damaged, or of another kind.
        OSError: it cannot be read, or its damage leads outside it.
    """
    import numpy as np

    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"x": loaded}
            arrays = {name: loaded[name] for name in loaded.files}
            for name, array in arrays.items():
                if not isinstance(array, np.ndarray):  # numpy gives bytes for any other member
                    raise ValueError(f"the member {name!r} is no .npy file")
            return arrays
    except (
        EOFError,
        KeyError,
        MemoryError,  # a damaged header asks for anything
        NotImplementedError,
        OverflowError,
        SyntaxError,
        TypeError,
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(f"damaged, or not a .npy or .npz file: {error}") from error


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a file aside, flushes it to disk, and renames it into place.

    A link stays one: what it leads to is written. A pipe or a device is written to as it is.
    """
    check_writable(path)
    data = content.encode() if isinstance(content, str) else content
    target = _resolved(path)
    with _naming(path):
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:_ASIDE]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(aside).chmod(0o644)
            Path(aside).replace(target)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise


def _resolved(path: Path) -> Path:
    """Follows links; raises OSError where they lead in a circle."""
    try:
        return path.resolve()
    except RuntimeError as error:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Has errors of files beside ``path`` name ``path``."""
    try:
        yield
    except OSError as error:
        if not error.errno:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def json_text(content: object, indent: int | None = None) -> str:
    """The JSON text of a record that is to be kept.

    Raises:
        ValueError: a number in it is NaN or infinite, which JSON has no word for.
    """
    return json.dumps(content, indent=indent, allow_nan=False)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        ValueError: it is no JSON, nested too deeply, or a number in it is NaN or infinite.
        OSError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def check_writable(path: Path) -> None:
    """Raises OSError, naming the path, where a file could not be written; changes nothing."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    target = _resolved(path)
    existing = next(parent for parent in target.parents if parent.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    special = target.exists() and not target.is_file()
    written = target if special else existing
    if not os.access(written, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(written))
    if not special:
        with _naming(path), tempfile.TemporaryFile(dir=existing):
            pass  # some folders let nobody make a file, whatever their mode says


def cache_folder(name: str) -> Path:
    """Where what takes long to get or to compute is kept, for all projects of this user."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "tinyedge" / name


@contextlib.contextmanager
def folder_aside(folder: Path, *, merge: bool = False) -> Iterator[Path]:
    """Gives an empty folder beside ``folder`` whose files replace the same-named ones in it.

    Only when the body ends without an error are its files moved; until then ``folder`` is as it
    was, and on an error nothing is left behind.

    Args:
        folder: to write.
        merge: whether files in folders of the same name stay; else such a folder is replaced.

    Raises:
        OSError: ``folder`` is a file, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    check_writable(folder / "aside")
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield aside
        folder.mkdir(exist_ok=True)
        for entry in sorted(aside.rglob("*") if merge else aside.iterdir()):
            target = folder / entry.relative_to(aside)
            if entry.is_dir() and merge:
                target.mkdir(exist_ok=True)
                continue
            if entry.is_dir() and target.is_dir():
                shutil.rmtree(target)
            entry.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        for parent in made:  # innermost first; those that now hold something stay
            with contextlib.suppress(OSError):
                parent.rmdir()
