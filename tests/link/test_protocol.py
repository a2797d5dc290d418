"""A device's description of itself is checked before it is believed."""

from __future__ import annotations

import re
import struct

import pytest

from tests.link.fakes import hello_payload
from tinyedge.errors import LinkError
from tinyedge.link import protocol
from tinyedge.link.protocol import Answer, Hello
from tinyedge.templates import data_folder


def test_hello_is_read_as_it_was_meant() -> None:
    hello = Hello.parse(hello_payload(shape=(8, 6, 3), output=5, tick_hz=0))
    assert hello.input_shape == (8, 6, 3)
    assert (hello.output_size, hello.tick_hz, hello.board) == (5, 0, "board")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rank": 0}, "0 for the input's rank; allowed are 1 to 4"),
        ({"rank": 5}, "5 for the input's rank"),
        ({"rank": 2**32 - 1}, "4294967295 for the input's rank"),
        ({"shape": (0, 3)}, "0 for the input's size"),
        ({"shape": (2**16, 2**16, 2**16)}, "for the input's size; allowed are 1 to 16777216"),
        ({"size": 2**31}, "2147483648 bytes of input, and a shape of 4x4"),
        ({"output": 0}, "0 for the number of logits"),
        ({"output": 2**32 - 1}, "4294967295 for the number of logits"),
        ({"buffer": 2**32 - 1}, "for the receive buffer"),
        ({"answers": 2**32 - 1}, "for the answers remembered"),
        ({"board": b"\x1b[2Jboard"}, "HELLO is '.*2Jboard', which holds U\\+001B"),
        ({"board": b"a\nb"}, "HELLO is '.*', which holds U\\+000A"),
    ],
)
def test_what_no_device_can_mean_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(LinkError, match=told) as caught:
        Hello.parse(hello_payload(**wrong))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_ticks_beyond_any_record_are_refused() -> None:
    assert Answer.parse(struct.pack("<IQ", 1, 2**63 - 1) + b"\1").ticks == 2**63 - 1
    with pytest.raises(LinkError, match="ticks; allowed are 0 to"):
        Answer.parse(struct.pack("<IQ", 1, 2**63) + b"\1")


def test_both_halves_have_the_same_numbers() -> None:
    """Messages and errors have the names and the version that ``te_server.c`` gives them."""
    source = (data_folder("firmware_templates") / "harness" / "te_server.c").read_text()
    numbers = {
        name: int(value, 0) for name, value in re.findall(r"^ +([A-Z_]+) = (\w+),", source, re.M)
    }
    version = re.search(r"#define PROTOCOL_VERSION (\d+)", source)
    assert version
    assert int(version[1]) == protocol.PROTOCOL_VERSION
    messages = {name[8:]: at for name, at in numbers.items() if name.startswith("MESSAGE_")}
    known = {message.name: int(message) for message in protocol.Message}
    only_the_host_s = {"PROBE", "FAULT"}
    assert messages == {name: at for name, at in known.items() if name not in only_the_host_s}
    errors = {name: at for name, at in numbers.items() if name.startswith("ERROR_")}
    shared = {name for name in errors if hasattr(protocol, name)}
    assert shared == {name for name in vars(protocol) if name.startswith("ERROR_")}
    assert all(getattr(protocol, name) == errors[name] for name in shared)
    assert set(errors.values()) == set(protocol.ERRORS)
