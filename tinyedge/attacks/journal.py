"""The journal of an attack: what the model under attack has answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tinyedge.errors import DataError
from tinyedge.records import RecordFile, check_replaceable

_FORMAT = "tinyedge queries 1"
_RECORD = re.compile("([0-9a-f]{32}) ((?:[0-9a-f]{2})+)")
"""A digest of 16 bytes, and logits."""


class QueryJournal(AbstractContextManager["QueryJournal"]):
    """Answers on disk as they come, so that an interrupted attack need not ask again.

    Attacks are deterministic: repeated with these answers, one takes the same way and goes on
    where it was interrupted. The integers are the same wherever the model runs, so that an attack
    may also go on elsewhere.

    Attributes:
        answers: of the interrupted run: raw int8 logits by the input's digest.
    """

    def __init__(self, records: RecordFile) -> None:
        self.answers: dict[bytes, bytes] = {}
        for line, record in enumerate(records.records, 2):
            if not (found := _RECORD.fullmatch(record)):
                raise DataError(
                    f"{records.path}: line {line} is no answer: a digest of 32 hexadecimal digits "
                    "and logits",
                    hint="begin anew with --discard",
                )
            digest, raw = found.groups()
            self.answers[bytes.fromhex(digest)] = bytes.fromhex(raw)
        self._records = records
        self._added = 0

    @classmethod
    def create(cls, path: Path, model_hash: str, *, discard: bool = False) -> QueryJournal:
        """A new journal of a model.

        Args:
            path: of the file.
            model_hash: of the model's graph.
            discard: throws away a file that is there.

        Raises:
            FileError: the file that is there holds answers, and is not to be discarded; or another
                program writes to it.
        """
        if not discard:
            check_replaceable(path)
        return cls(RecordFile.create(path, {"format": _FORMAT, "model": model_hash}))

    @classmethod
    def resume(cls, path: Path, model_hash: str) -> QueryJournal:
        """The journal of an interrupted run.

        Raises:
            DataError: it is none, or of another model.
        """
        records = RecordFile.resume(path)
        of = str(records.header.get("model"))
        if records.header.get("format") != _FORMAT:
            records.close()
            raise DataError(f"{path}: no journal of queries", hint="begin anew with --discard")
        if of != model_hash:
            records.close()
            raise DataError(
                f"{path}: holds the answers of model {of[:12]!r}, not of {model_hash[:12]}",
                hint="resume with the model that was under attack, or begin anew with --discard",
            )
        try:
            return cls(records)
        except DataError:
            records.close()
            raise

    def check_logits(self, count: int) -> None:
        """Raises DataError where an answer has another number of logits."""
        if wrong := {len(raw) for raw in self.answers.values()} - {count}:
            raise DataError(
                f"{self._records.path}: holds answers of {min(wrong)} logits, the model gives "
                f"{count}",
                hint="begin anew with --discard",
            )

    def add(self, digests: Sequence[bytes], answers: Sequence[bytes]) -> None:
        """Writes what was answered."""
        self._added += len(answers)
        pairs = zip(digests, answers, strict=True)
        self._records.append(f"{digest.hex()} {raw.hex()}" for digest, raw in pairs)

    @property
    def count(self) -> int:
        """Answers in the file, those of the interrupted run included."""
        return len(self.answers) + self._added

    def remove(self) -> None:
        """Deletes it: the attack is finished."""
        self._records.remove()

    def __exit__(self, *_: object) -> None:
        self._records.close()
