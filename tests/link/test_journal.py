"""Journals that we did not write: each fault is one line that names the file and the key."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyedge.errors import DataError, FileError
from tinyedge.link.journal import Entry, Journal

IDENTITY = {"model": "a"}
GOOD = {"sample": 0, "input_crc": 1, "ticks": 5, "tick_hz": 10, "logits": "00ff", "device": "p"}


def write(path: Path, *lines: bytes | dict[str, Any], session: Any = 7) -> Path:
    """A journal whose checksums are right, whatever its lines say."""
    header = {"format": "tinyedge run 1", "session": session, **IDENTITY}
    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    said = [json.dumps(header).encode(), *texts]
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in said))
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        Journal(path, IDENTITY, resume=True)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 1000
    return message


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    entry = Entry(2**32 - 1, 2**63 - 1, 1, np.array([-128, 127], np.int8), "socket://x:1")
    with Journal(tmp_path / "j", IDENTITY, resume=False) as journal:
        journal.record(0, entry)
        journal.record(2**29, entry)
    with Journal(tmp_path / "j", IDENTITY, resume=True) as journal:
        assert list(journal.entries) == [0, 2**29]
        assert np.array_equal(journal.entries[0].logits, entry.logits)


def test_a_long_sequence_is_read_again_and_a_longer_one_is_not_written(tmp_path: Path) -> None:
    logits = np.arange(3 * 2**20).astype(np.int8)
    with Journal(tmp_path / "j", IDENTITY, resume=False) as journal:
        journal.record(0, Entry(1, 0, 0, logits, "p"))
        longer = np.zeros(2**23, np.int8)
        with pytest.raises(FileError, match=r"a record of 16,.* bytes, allowed: up to 16,777,216"):
            journal.record(1, Entry(1, 0, 0, longer, "p"))
        journal.record(2, Entry(1, 0, 0, logits[:2], "p"))
    with Journal(tmp_path / "j", IDENTITY, resume=True) as journal:
        assert list(journal.entries) == [0, 2]
        assert np.array_equal(journal.entries[0].logits, logits)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sample": -1}, "line 2: sample is -1, allowed: an integer from 0"),
        ({"sample": True}, "sample is True"),
        ({"sample": 1.0}, "sample is 1.0"),
        ({"sample": 2**40}, "sample is 1099511627776"),
        ({"sample": "0"}, "sample is '0'"),
        ({"input_crc": 2**32}, "input_crc is 4294967296"),
        ({"ticks": -5}, "ticks is -5"),
        ({"ticks": 2**63}, "ticks is 9223372036854775808"),
        ({"ticks": float("nan")}, "ticks is nan"),
        ({"ticks": float("inf")}, "ticks is inf"),
        ({"tick_hz": 0}, "tick_hz is 0, allowed: an integer from 1"),
        ({"tick_hz": None}, "tick_hz is None"),
        ({"logits": ""}, "logits is ''"),
        ({"logits": "0g"}, "logits is '0g'"),
        ({"logits": "00f"}, "logits is '00f'"),
        ({"logits": [0, 255]}, "logits is"),
        ({"device": "x" * 5000}, "device"),
        ({"\x1b[2J": 1}, "unknown key"),
    ],
)
def test_a_record_of_another_kind_is_refused(
    tmp_path: Path, wrong: dict[str, Any], told: str
) -> None:
    assert told in refused(write(tmp_path / "j", GOOD | wrong))


@pytest.mark.parametrize("line", [b"[]", b"1", b'"x"', b"null", b"{", b"\xff", b"[" * 100_000])
def test_a_line_that_is_no_record_is_refused(tmp_path: Path, line: bytes) -> None:
    assert "line 2" in refused(write(tmp_path / "j", line))
    assert "line 3" in refused(write(tmp_path / "j", GOOD, line))


@pytest.mark.parametrize("session", [0, -1, 2**32, "7", None, 1.5, True])
def test_a_session_of_another_kind_is_refused(tmp_path: Path, session: Any) -> None:
    assert "session is" in refused(write(tmp_path / "j", GOOD, session=session))


@pytest.mark.parametrize("header", [b"[]", b"3", b"{", b"[" * 50_000, b"\xff", b'"' + b"x" * 2**17])
def test_a_first_line_that_is_no_header_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(header), header))
    assert "not a file of records" in refused(path)


def test_an_endless_line_costs_little(tmp_path: Path) -> None:
    path = write(tmp_path / "j", GOOD)
    with path.open("ab") as file:
        file.truncate(900 * 2**20)  # zeros that take no room
    tracemalloc.start()
    assert "line 3 is damaged" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()
    with path.open("ab") as file:
        file.truncate(2**40)
    assert "allowed are 1073741824" in refused(path)


def test_what_has_no_lines_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"\0" * 2**17)
    assert "not a file of records" in refused(path)
