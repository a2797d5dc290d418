"""A file of records that is only ever appended to, and may be cut off at any byte."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from tinyedge.errors import DataError
from tinyedge.files import write_atomically


class RecordFile(AbstractContextManager["RecordFile"]):
    """A header and records, a line each, behind the CRC-32 of what the line says.

    A process that is killed leaves at most the last record incomplete. What was appended is with
    the operating system; it is not forced to the disk, so that a power failure may cost more.

    Attributes:
        path: of the file.
        header: what the first line says.
        records: the texts of the lines that were there when the file was resumed.
    """

    def __init__(self, path: Path, header: dict[str, Any], records: list[str]) -> None:
        self.path = path
        self.header = header
        self.records = records
        self._file: BinaryIO = path.open("ab")

    @classmethod
    def create(cls, path: Path, header: dict[str, Any]) -> RecordFile:
        """A new file; one that exists is replaced."""
        write_atomically(path, _line(json.dumps(header)))
        return cls(path, header, [])

    @classmethod
    def resume(cls, path: Path) -> RecordFile:
        """Opens a file to append to it; records from the first damaged one on are cut off.

        Raises:
            DataError: it is none of ours.
        """
        content = path.read_bytes()
        texts = []
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
        if good < len(content):
            os.truncate(path, good)
        return cls(path, header, texts[1:])

    def append(self, records: Iterable[str]) -> None:
        """Adds records, which hold no line breaks."""
        self._file.write(b"".join(map(_line, records)))
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def remove(self) -> None:
        """Closes and deletes the file."""
        self.close()
        self.path.unlink()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _line(text: str) -> bytes:
    return _line_of(text.encode())


def _line_of(text: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text), text)
