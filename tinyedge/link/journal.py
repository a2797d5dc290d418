"""The host's journal of a run: every answer, on disk as soon as it has come."""

from __future__ import annotations

import contextlib
import json
import reprlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tinyedge.errors import DataError
from tinyedge.files import check_writable
from tinyedge.link.client import new_session
from tinyedge.record_file import RecordFile, locked
from tinyedge.schema import Fault, Section, refuse, validate

_FORMAT = "tinyedge run 1"
_SHORTENED = reprlib.Repr()
_SHORTENED.maxstring = _SHORTENED.maxother = 80

_Word = Annotated[int, Field(ge=0, lt=2**32)]


class _Session(Section):
    """The contents of the first line, besides the run's identity."""

    session: Annotated[int, Field(ge=1, lt=2**32)]


class _Record(Section):
    """A line of the file."""

    sample: Annotated[int, Field(ge=0, lt=2**30)]
    input_crc: _Word
    ticks: Annotated[int, Field(ge=0, lt=2**63)]
    tick_hz: _Word
    logits: Annotated[str, Field(pattern="^([0-9a-f]{2})+$")]
    device: Annotated[str, Field(max_length=4096)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ticks and not self.tick_hz:
            refuse([Fault("tick_hz", 0, "an integer from 1, as there are ticks")])
        return self


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
        if resume and RecordFile.begun(path):
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
            raise DataError(f"{self.path}: no journal of a run", hint="begin anew with --discard")
        for key, value in self._header.items():
            if key != "session" and header.get(key) != value:
                found = _SHORTENED.repr(header.get(key))
                raise DataError(
                    f"{self.path}: the journal of another run: its {key} is {found}, "
                    f"that of this one {value!r}",
                    hint="name the right one with --journal, or begin anew with --discard",
                )
        said = {"session": header.get("session")}
        self.session = validate(said, self.path, _Session, DataError).session
        for line, text in enumerate(file.records, 2):
            record = self._record(text, line)
            self.entries[record.sample] = Entry(
                input_crc=record.input_crc,
                ticks=record.ticks,
                tick_hz=record.tick_hz,
                logits=np.frombuffer(bytes.fromhex(record.logits), np.int8),
                device=record.device,
            )

    def _record(self, text: str, line: int) -> _Record:
        place = self.path.with_name(f"{self.path.name}, line {line}")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: no JSON", hint="begin anew with --discard") from error
        return validate(content, place, _Record, DataError)
