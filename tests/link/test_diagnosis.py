"""Lines with settings for text are named as such."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.link.native import NativeDevice, compile_native, dense_model, random_samples
from tinyedge.errors import LinkError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.link.client import Client
from tinyedge.link.diagnosis import diagnose
from tinyedge.link.line import open_line
from tinyedge.link.proxy import Faults, Proxy, Treated

pytestmark = pytest.mark.needs_tool

SWALLOWED = {b"\x11": b"", b"\x13": b""}
NEWLINES = {b"\n": b"\r\n"}
FLOW_CONTROL = r"swallows the bytes 0x11 and 0x13: software flow control \(XON/XOFF\)"
TRANSLATION = "newline translation is on"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[ConvertedModel, Path]:
    folder = tmp_path_factory.mktemp("diagnosis")
    model = dense_model(folder / "model", 784)
    return model, compile_native(model, folder / "native")


@pytest.mark.parametrize("way", ["there", "back", "both"])
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (SWALLOWED, FLOW_CONTROL),
        (NEWLINES, TRANSLATION),
        ({b"\r": b"\n"}, TRANSLATION),
        ({b"\r\n": b"\n", b"\r": b"\n"}, TRANSLATION),
        (SWALLOWED | NEWLINES, f"{FLOW_CONTROL}.*{TRANSLATION}"),
    ],
)
def test_what_a_line_does_to_bytes_is_named(
    image: tuple[ConvertedModel, Path], changes: dict[bytes, bytes], told: str, way: str
) -> None:
    model, program = image
    samples = random_samples(model, 200)
    there = Treated(changes) if way in ("there", "both") else None
    back = Treated(changes) if way in ("back", "both") else None
    with (
        NativeDevice(program) as device,
        Proxy(device.port, there, back) as proxy,
        Client(proxy.port, 115_200, timeout_s=5) as client,
    ):
        with pytest.raises(LinkError, match=told) as caught:
            for _ in client.stream(enumerate(samples)):
                pass
        assert "stty" in caught.value.hint
        assert "shorter cable" not in caught.value.hint


@pytest.mark.parametrize("rate", [0.0, 1e-3, 1e-2, 3e-2])
def test_a_line_that_is_merely_bad_is_not_accused(
    image: tuple[ConvertedModel, Path], rate: float
) -> None:
    with NativeDevice(image[1]) as device:
        for seed in range(5):
            with Proxy(device.port, Faults(rate, seed), Faults(rate, seed + 50)) as proxy:
                line = open_line(proxy.port, 0)
                try:
                    assert diagnose(line) == []
                finally:
                    line.close()


def test_the_device_goes_on_as_before_after_it_was_probed(
    image: tuple[ConvertedModel, Path],
) -> None:
    model, program = image
    sample = random_samples(model, 1)[0]
    with NativeDevice(program) as device, Client(device.port, 0, session=7) as client:
        [(_, before)] = client.stream([(1, sample)])
        assert diagnose(client._line) == []
        [(_, after)] = client.stream([(1, sample)])
        assert np.array_equal(before.logits, after.logits)
        assert device.inferences == 1
