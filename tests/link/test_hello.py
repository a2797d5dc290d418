"""A device's description of itself."""

from __future__ import annotations

import pytest

from tinyedge.errors import LinkError
from tinyedge.link.protocol import PROTOCOL_VERSION, Hello


def payload(board: bytes) -> bytes:
    numbers = (PROTOCOL_VERSION, 1, 4, 1, 1, 1, 2, 4, 1_000_000, 1, 128, 8, 0)
    return Hello._LAYOUT.pack(*numbers, bytes(32), bytes(32), board)


def test_the_name_of_the_board_is_read() -> None:
    assert Hello.parse(payload(b"netduinoplus2")).board == "netduinoplus2"


@pytest.mark.parametrize("board", [b"\x1b[2J", b"a\nb", b"a\0b"])
def test_a_name_with_what_is_not_seen_is_refused(board: bytes) -> None:
    with pytest.raises(LinkError, match=r"HELLO.*U\+00"):
        Hello.parse(payload(board))
