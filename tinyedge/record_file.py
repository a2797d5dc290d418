"""A file of records that is only ever appended to, and may be cut off at any byte."""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from tinyedge.errors import DataError, FileError
from tinyedge.files import write_atomically

if os.name == "posix":
    import fcntl

_SYNC_S = 0.1
"""Records are handed to the system at once, which a killed program survives, and to the disk so
often, which a loss of power survives."""


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
        """A new file; one that exists is replaced.

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
            DataError: it is none of ours, or damaged in its midst.
            FileError: another program has it open.
        """
        with locked(path):
            content = path.read_bytes()
            texts: list[str] = []
            good = 0
            for line in content.splitlines(keepends=True):
                text = line[9:-1]
                if line != _line_of(text):
                    break
                texts.append(text.decode())
                good += len(line)
            try:
                header = json.loads(texts[0])
            except (IndexError, ValueError) as error:
                raise DataError(
                    f"{path}: not a file of records, or its first line is damaged",
                    hint="begin anew without --resume, or name another file",
                ) from error
            if b"\n" in content[good:]:
                raise DataError(
                    f"{path}: line {len(texts) + 1} is damaged",
                    hint="begin anew without --resume, or name another file",
                )
            os.truncate(path, good)
        return cls(path, header, texts[1:])

    def append(self, records: Iterable[str]) -> None:
        """Adds records, which hold no line breaks."""
        self._file.write(b"".join(map(_line, records)))
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


def locked(path: Path) -> BinaryIO:
    """Opens a file to append to it; raises FileError where another program has it open."""
    file = path.open("ab", buffering=0)
    if os.name == "posix":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise FileError(
                f"{path}: another run writes to this journal",
                hint="wait for it, or name another one with --journal",
            ) from error
    return file


def _line(text: str) -> bytes:
    return _line_of(text.encode())


def _line_of(text: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text), text)
