"""The host's journal of a run: every answer, on disk as soon as it has come."""

from __future__ import annotations

import contextlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.files import check_writable
from tinyedge.link.client import new_session
from tinyedge.record_file import RecordFile, locked

_FORMAT = "tinyedge run 1"


@dataclass(frozen=True, eq=False)
class Entry:
    """One answer.

    Attributes:
        input_crc: CRC-32 of the input.
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
    """Answers by sample number. The first one begins the file.

    Args:
        path: of the file.
        identity: what has to be the same for the answers to belong together.
        resume: goes on with what is there, if anything; else that is kept as ``*.previous`` once
            there is something new.

    Attributes:
        path: of the file.
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
        self._header = {"format": _FORMAT, "session": self.session, **identity}
        self._file: RecordFile | None = None
        check_writable(path)
        if resume and path.exists() and b"\n" in path.read_bytes():  # else it was not begun
            with contextlib.ExitStack() as failed:
                self._file = failed.enter_context(RecordFile.resume(path))
                self._take(self._file)
                failed.pop_all()

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def remove(self) -> None:
        """Deletes the file, and its folder if nothing else is in it."""
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def record(self, number: int, entry: Entry) -> None:
        """Appends an answer; raises OSError where that fails."""
        if not self._file:
            self._begin()
        assert self._file
        record = {
            "sample": number,
            "input_crc": entry.input_crc,
            "ticks": entry.ticks,
            "tick_hz": entry.tick_hz,
            "logits": entry.logits.tobytes().hex(),
            "device": entry.device,
        }
        self._file.append([json.dumps(record, separators=(",", ":"))])
        self.entries[number] = entry

    def _begin(self) -> None:
        if self.path.exists():
            with locked(self.path):
                self.path.replace(self.path.with_name(f"{self.path.name}.previous"))
        self._file = RecordFile.create(self.path, self._header)

    def _take(self, file: RecordFile) -> None:
        """Takes in what an interrupted run has left."""
        header = file.header
        if header.get("format") != _FORMAT:
            raise DataError(f"{self.path}: no journal of a run", hint="begin anew without --resume")
        for key, value in self._header.items():
            if key != "session" and header.get(key) != value:
                raise DataError(
                    f"{self.path}: the journal of another run: its {key} is {header.get(key)!r}, "
                    f"that of this one {value!r}",
                    hint="name the right one with --journal, or run without --resume",
                )
        self.session = int(header["session"])
        for record in map(json.loads, file.records):
            self.entries[int(record["sample"])] = Entry(
                input_crc=int(record["input_crc"]),
                ticks=int(record["ticks"]),
                tick_hz=int(record["tick_hz"]),
                logits=np.frombuffer(bytes.fromhex(record["logits"]), np.int8),
                device=str(record["device"]),
            )
