"""The host's journal of a run: every answer, on disk as soon as it has come."""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError, FileError
from tinyedge.files import check_writable, write_atomically
from tinyedge.link.client import new_session

if os.name == "posix":
    import fcntl

_VERSION = 1
_SYNC_S = 0.1
"""Answers are handed to the system at once, which a killed program survives, and to the disk so
often, which a loss of power survives."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One answer.

    Attributes:
        ticks: of the device's counter, at ``tick_hz``.
        logits: int8 (output_size,).
        device: port that it came from.
    """

    input_crc: int
    ticks: int
    tick_hz: int
    logits: NDArray[np.int8]
    device: str


class Journal(AbstractContextManager["Journal"]):
    """Answers by sample number, in a file that is only ever appended to.

    A line an answer: JSON, a tab, and the CRC-32 of the JSON. A last line that was cut is as if it
    had not been begun. One program at a time writes to a journal. The first answer begins the file.

    Args:
        path: of the file.
        identity: what has to be the same for the answers to belong together.
        resume: goes on with what is there, if anything; else that is kept as ``*.previous`` once
            there is something new.

    Attributes:
        entries: answers by number.
        session: of the link, so that a device still remembers what it has answered.

    Raises:
        DataError: the journal is damaged, or of another run.
        FileError: another program writes to it.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, identity: dict[str, Any], *, resume: bool) -> None:
        self.path = path
        self.entries: dict[int, Entry] = {}
        self.session = new_session()
        self._header = {"tinyedge_journal": _VERSION, "session": self.session, **identity}
        self._file: Any = None
        self._synced = time.monotonic()
        check_writable(path)
        if path.exists():
            file = self._open()
            header = self._read(identity) if resume else None
            if header:
                self.session = int(header["session"])
                self._file = file
            else:
                file.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()

    def remove(self) -> None:
        """Deletes the file, and its folder if nothing else is in it."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def record(self, number: int, entry: Entry) -> None:
        """Appends an answer; raises OSError where that fails."""
        record = {
            "sample": number,
            "input_crc": entry.input_crc,
            "ticks": entry.ticks,
            "tick_hz": entry.tick_hz,
            "logits": entry.logits.tobytes().hex(),
            "device": entry.device,
        }
        if not self._file:
            self._begin()
        self._file.write(_line(record))
        self.entries[number] = entry
        if time.monotonic() - self._synced > _SYNC_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _begin(self) -> None:
        if self.path.exists():
            self.path.replace(self.path.with_name(f"{self.path.name}.previous"))
        write_atomically(self.path, _line(self._header))
        self._file = self._open()

    def _open(self) -> Any:
        file = self.path.open("ab", buffering=0)
        if os.name == "posix":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FileError(
                    f"{self.path}: another run writes to this journal",
                    hint="wait for it, or name another one with --journal",
                ) from error
        return file

    def _read(self, identity: dict[str, Any]) -> dict[str, Any] | None:
        """Reads what is there, and cuts off a torn end; gives the header, if it was written."""
        path = self.path
        content = path.read_bytes()
        records, good = [], 0
        for number, line in enumerate(content.split(b"\n"), 1):
            end = good + len(line) + 1
            try:
                record = _parse(line)
            except ValueError as error:
                if b"\n" in content[end:]:
                    raise DataError(
                        f"{path}: line {number} is damaged: {error}",
                        hint="run it without --resume: all samples are computed again",
                    ) from error
                break
            if end > len(content):
                break  # a line is there once its end is
            records.append(record)
            good = end
        if not records:
            return None
        header = records[0]
        self._check(header, identity)
        for record in records[1:]:
            self.entries[int(record["sample"])] = Entry(
                input_crc=int(record["input_crc"]),
                ticks=int(record["ticks"]),
                tick_hz=int(record["tick_hz"]),
                logits=np.frombuffer(bytes.fromhex(record["logits"]), np.int8),
                device=str(record["device"]),
            )
        os.truncate(path, good)
        return header

    def _check(self, header: dict[str, Any], identity: dict[str, Any]) -> None:
        path = self.path
        if header.get("tinyedge_journal") != _VERSION or "session" not in header:
            raise DataError(f"{path}: not a journal of this version of tinyedge")
        for key, value in identity.items():
            if header.get(key) != value:
                raise DataError(
                    f"{path}: the journal of another run: its {key} is {header.get(key)!r}, that "
                    f"of this one {value!r}",
                    hint="name the right one with --journal, or run without --resume",
                )


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return text + b"\t%08x\n" % zlib.crc32(text)


def _parse(line: bytes) -> dict[str, Any]:
    text, tab, crc = line.rpartition(b"\t")
    if not tab or crc != b"%08x" % zlib.crc32(text):
        raise ValueError("it ends early" if not tab else "wrong checksum")
    record: dict[str, Any] = json.loads(text)
    return record
