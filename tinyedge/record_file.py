"""A file of records that is only ever appended to, and may be cut off at any byte."""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from tinyedge.errors import DataError, FileError
from tinyedge.files import write_atomically

try:
    import fcntl
except ImportError:  # Windows has none: two runs on one journal are not noticed there
    fcntl = None  # type: ignore[assignment]

_SYNC_S = 0.1
"""Records are handed to the system at once, which a killed program survives, and to the disk so
often, which a loss of power survives."""
_LONGEST_HEADER = 2**16
_LONGEST_LINE = 2**24
"""Bytes, which no record passes: those of a long sequence's logits are two digits a byte."""
_LARGEST_FILE = 2**30
_BEGIN_ANEW = "begin anew with --discard, or name another file"


class RecordFile(AbstractContextManager["RecordFile"]):
    """A header and records, a line each, behind the CRC-32 of what the line says.

    A program that is killed leaves at most the last record incomplete. Only one program at a time
    has the file open.

    Attributes:
        path: of the file.
        header: what the first line says.
        records: the texts of the lines that were there when the file was resumed.

    Raises:
        FileError: another program has it open.
    """

    def __init__(self, path: Path, header: dict[str, Any], records: list[str]) -> None:
        self.path = path
        self.header = header
        self.records = records
        self._file = locked(path)
        self._synced = time.monotonic()

    @classmethod
    def create(cls, path: Path, header: dict[str, Any]) -> RecordFile:
        """A new file; one that exists is replaced (see ``check_replaceable``).

        Raises:
            FileError: another program has that open.
        """
        if path.exists():
            locked(path).close()
        write_atomically(path, _line(json.dumps(header)))
        return cls(path, header, [])

    @classmethod
    def resume(cls, path: Path) -> RecordFile:
        """Opens a file to append to it; an end that is torn is cut off.

        Raises:
            DataError: not a tinyedge record file, or damaged in the middle.
            FileError: another program has it open.
        """
        if not path.is_file():
            raise DataError(f"{path}: not a file", hint=_BEGIN_ANEW)
        if (size := path.stat().st_size) > _LARGEST_FILE:
            told = f"{path}: {size} bytes, allowed are {_LARGEST_FILE}"
            raise DataError(told, hint=_BEGIN_ANEW)
        with locked(path):
            header, records, good = _read(path)
            os.truncate(path, good)
        return cls(path, header, records)

    @staticmethod
    def begun(path: Path) -> bool:
        """Whether there is a file with a whole line; a line too long for ours counts as one."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
        return line.endswith(b"\n") or len(line) == _LONGEST_HEADER

    def append(self, records: Iterable[str]) -> None:
        """Adds records, which hold no line breaks.

        Raises:
            FileError: a record is longer than ``resume`` takes, or the file cannot be written.
        """
        lines = list(map(_line, records))
        if (longest := max(map(len, lines), default=0)) > _LONGEST_LINE:
            raise FileError(
                f"{self.path}: a record of {longest:,} bytes, allowed: up to {_LONGEST_LINE:,}",
                hint="give shorter sequences",
            )
        rest = memoryview(b"".join(lines))
        try:
            while rest:  # a file system that fills up takes a part before it refuses
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise FileError(
                f"{self.path}: {error.strerror}", hint="make room; --resume then goes on"
            ) from error
        if time.monotonic() - self._synced > _SYNC_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def close(self) -> None:
        """Closes the file."""
        if not self._file.closed:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()

    def remove(self) -> None:
        """Closes and deletes the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        self.close()


def check_replaceable(path: Path, records: str = "answers") -> None:
    """Refuses to replace a file that somebody may still want: only a header goes without a word.

    Args:
        path: of the file.
        records: what it holds, in words.

    Raises:
        FileError: it holds records, or is no file of records.
    """
    if not path.exists():
        return
    first, *rest = path.read_bytes().splitlines(keepends=True) or [b""]
    if first and not _is_whole(first):
        raise FileError(
            f"{path}: would be replaced, and is no journal",
            hint="name another file with --journal, or throw this one away with --discard",
        )
    if rest:
        raise FileError(
            f"{path}: holds {len(rest):,} {records} of an earlier run",
            hint="--resume goes on with them, --discard throws them away",
        )


def locked(path: Path, busy: FileError | None = None) -> BinaryIO:
    """Opens a file to append to it; raises FileError where another program has it open.

    Args:
        path: of the file.
        busy: raised instead of what is said of journals.
    """
    file = path.open("ab", buffering=0)
    if fcntl:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise busy or FileError(
                f"{path}: another run writes to this journal",
                hint="wait for it, or name another one with --journal",
            ) from error
    return file


@contextlib.contextmanager
def alone(path: Path, busy: FileError) -> Iterator[None]:
    """Keeps other programs out while the body runs, by a file that is gone afterwards.

    A program that is killed leaves the file, and nobody waits for it.

    Args:
        path: of that file.
        busy: raised where another program is in.
    """
    file = locked(path, busy)
    while not _stands(path, file):  # the program that made it has removed it meanwhile
        file.close()
        file = locked(path, busy)
    with file:
        try:
            yield
        finally:
            if os.name == "posix":
                path.unlink(missing_ok=True)


def _stands(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> tuple[dict[str, Any], list[str], int]:
    """Reads a file, and how many of its bytes are whole lines; no line is held twice."""
    header: dict[str, Any] | None = None
    records: list[str] = []
    good = 0
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            if not _is_whole(line):
                if header is not None and not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                    break  # torn
                raise _damaged(path, len(records) + 2 if header is not None else 1)
            text = line[9:-1]
            try:
                if header is None:
                    header = _header(text)
                else:
                    records.append(text.decode())
            except (ValueError, RecursionError) as error:
                raise _damaged(path, len(records) + 2 if header is not None else 1) from error
            good += len(line)
    if header is None:
        raise _damaged(path, 1)
    return header, records, good


def _header(text: bytes) -> dict[str, Any]:
    if len(text) > _LONGEST_HEADER:
        raise ValueError("a header longer than any of ours")
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    return header


def _damaged(path: Path, line: int) -> DataError:
    if line == 1:
        told = f"{path}: not a file of records, or its first line is damaged"
    else:
        told = f"{path}: line {line} is damaged"
    return DataError(told, hint=_BEGIN_ANEW)


def _is_whole(line: bytes) -> bool:
    """Whether a line is one of ours; its text, which may be long, is not copied."""
    start = b"%08x " % zlib.crc32(memoryview(line)[9:-1])
    return len(line) > len(start) and line.startswith(start) and line.endswith(b"\n")


def _line(text: str) -> bytes:
    encoded = text.encode()
    return b"%08x %s\n" % (zlib.crc32(encoded), encoded)
