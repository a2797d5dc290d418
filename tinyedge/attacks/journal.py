"""The journal of an attack: what the model under attack has answered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tinyedge.errors import DataError
from tinyedge.record_file import RecordFile

_FORMAT = "tinyedge queries 1"


class QueryJournal(AbstractContextManager["QueryJournal"]):
    """Answers on disk as they come, so that an interrupted attack need not ask again.

    Attacks are deterministic: repeated with these answers, one takes the same way and goes on
    where it was interrupted. The integers are the same wherever the model runs, so that an attack
    may also go on elsewhere.

    Attributes:
        answers: of the interrupted run: raw int8 logits by the input's digest.
    """

    def __init__(self, records: RecordFile) -> None:
        pairs = (record.split(" ") for record in records.records)
        self.answers = {bytes.fromhex(digest): bytes.fromhex(raw) for digest, raw in pairs}
        self._records = records

    @classmethod
    def create(cls, path: Path, model_hash: str) -> QueryJournal:
        """A new journal of a model; one that exists is replaced."""
        return cls(RecordFile.create(path, {"format": _FORMAT, "model": model_hash}))

    @classmethod
    def resume(cls, path: Path, model_hash: str) -> QueryJournal:
        """The journal of an interrupted run.

        Raises:
            DataError: it is none, or of another model.
        """
        records = RecordFile.resume(path)
        of = records.header.get("model")
        if records.header.get("format") != _FORMAT:
            records.close()
            raise DataError(f"{path}: no journal of queries", hint="begin anew without --resume")
        if of != model_hash:
            records.close()
            raise DataError(
                f"{path}: holds the answers of model {str(of)[:12]}, not of {model_hash[:12]}",
                hint="resume with the model that was under attack, or begin anew without --resume",
            )
        return cls(records)

    def add(self, digests: Sequence[bytes], answers: Sequence[bytes]) -> None:
        """Writes what was answered."""
        pairs = zip(digests, answers, strict=True)
        self._records.append(f"{digest.hex()} {raw.hex()}" for digest, raw in pairs)

    def remove(self) -> None:
        """Deletes it: the attack is finished."""
        self._records.remove()

    def __exit__(self, *_: object) -> None:
        self._records.close()
