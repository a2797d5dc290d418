"""How often a request is sent."""

from __future__ import annotations

import pytest

from tinyedge.link.protocol import Message
from tinyedge.link.window import Request, TooOftenError, Window


@pytest.mark.parametrize("size", [0, 784, 1000, 10_000, 27_648, 744_000, 2**24])
def test_attempts_are_bounded_whatever_the_size(size: int) -> None:
    allowed = Request(Message.INFER, 1, bytes(size), 16).attempts_allowed
    assert 24 <= allowed <= 100
    answer = Request(Message.OUTPUT, 1, b"", size).attempts_allowed
    assert 24 <= answer <= 100


def test_larger_requests_are_never_given_up_earlier() -> None:
    allowed = [Request(Message.INFER, 1, bytes(size)).attempts_allowed for size in range(3000)]
    assert allowed == sorted(allowed)
    assert Request(Message.INFER, 1, bytes(784), 22).attempts_allowed == 42


def test_what_is_never_answered_is_given_up() -> None:
    window = Window(iter([Request(Message.INFER, 1, bytes(10_000))]))
    for _ in range(100):
        request = window.next_to_send()
        assert request
        window.sent(request, 10_000, 0.0)
        window.lost(request)
    with pytest.raises(TooOftenError, match="no answer to INFER 1 after 100 attempts"):
        window.next_to_send()
