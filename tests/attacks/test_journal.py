"""Journals of queries that we did not write."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from tinyedge.attacks.journal import QueryJournal
from tinyedge.errors import DataError


def write(path: Path, *records: str) -> Path:
    texts = ['{"format": "tinyedge queries 1", "model": "m"}', *records]
    lines = [b"%08x %s\n" % (zlib.crc32(text.encode()), text.encode()) for text in texts]
    path.write_bytes(b"".join(lines))
    return path


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    with QueryJournal.create(tmp_path / "j", "m") as journal:
        journal.add([bytes(range(16))], [b"\x80\x7f"])
    with QueryJournal.resume(tmp_path / "j", "m") as journal:
        assert journal.answers == {bytes(range(16)): b"\x80\x7f"}
        journal.check_logits(2)
        with pytest.raises(DataError, match="holds answers of 2 logits, the model gives 10"):
            journal.check_logits(10)


@pytest.mark.parametrize(
    "record",
    ["", "00", "a b c", f"{'0' * 32} ", f"{'0' * 32} 0", f"{'0' * 32} 0g", f"{'0' * 30} 00", "ü ü"],
)
def test_what_is_no_answer_is_refused(tmp_path: Path, record: str) -> None:
    path = write(tmp_path / "j", f"{'0' * 32} 00ff", record)
    with pytest.raises(DataError, match="line 3 is no answer"):
        QueryJournal.resume(path, "m")
    write(path, f"{'0' * 32} 00ff")  # nobody holds it any more
    QueryJournal.resume(path, "m").remove()
