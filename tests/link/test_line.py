"""Ports of other machines: connections that drop, hosts that are not there."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from tests.link.native import NativeDevice, compile_native, dense_model, random_samples
from tests.link.remote import SerialServer
from tests.link.ser2net import Ser2net
from tinyedge.errors import DeviceError, LinkError
from tinyedge.evaluation.devices import Device, Fleet
from tinyedge.graph import reference
from tinyedge.link import line as line_module
from tinyedge.link.client import Client
from tinyedge.targets.target import Target

Scheme = Literal["socket", "rfc2217"]
SCHEMES: tuple[Scheme, ...] = ("socket", "rfc2217")
BAUD = 460_800


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("line")
    model = dense_model(folder / "model", 16)
    return model, compile_native(model, folder / "native")


@pytest.mark.needs_tool
@pytest.mark.parametrize("scheme", SCHEMES)
def test_twenty_drops_change_nothing_and_no_sample_is_computed_twice(
    scheme: Scheme, small: tuple[Any, Path]
) -> None:
    model, program = small
    samples = random_samples(model, 300)
    with (
        NativeDevice(program) as device,
        SerialServer(device.port, scheme, drops=20) as server,
        Client(server.port, BAUD) as client,
    ):
        fleet = Fleet([Device(client, Target("board", client.port), model)])
        logits = fleet(samples).logits
        assert server.dropped == 20
        assert client.statistics.reconnections == 20
        assert device.inferences == len(samples)
        if scheme == "rfc2217":
            assert BAUD in server.bauds
    assert np.array_equal(logits, reference.run(model.graph, samples))


@pytest.mark.needs_tool
@pytest.mark.parametrize("scheme", SCHEMES)
def test_ser2net_drops_twenty_times_and_nothing_changes(
    scheme: Scheme, small: tuple[Any, Path], tmp_path: Path
) -> None:
    model, program = small
    samples = random_samples(model, 300)
    with (
        NativeDevice(program) as device,
        Ser2net(tmp_path, device.port, scheme, drops=20) as server,
        Client(server.port, BAUD) as client,
    ):
        fleet = Fleet([Device(client, Target("board", client.port), model)])
        logits = fleet(samples).logits
        assert server.dropped == 20
        assert client.statistics.reconnections == 20
        assert device.inferences == len(samples)
    assert np.array_equal(logits, reference.run(model.graph, samples))


@pytest.mark.needs_tool
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_that_stays_away_is_named(scheme: Scheme, small: tuple[Any, Path]) -> None:
    model, program = small
    with (
        NativeDevice(program) as device,
        SerialServer(device.port, scheme) as server,
        Client(server.port, BAUD, timeout_s=0.5) as client,
    ):
        client.hello()
        server.__exit__()
        with pytest.raises(LinkError) as raised:
            list(client.stream((n, sample) for n, sample in enumerate(random_samples(model, 5))))
    assert server.port in str(raised.value)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("address", ["", "host", ":3333", "host:x", "host:70000", "host:0"])
def test_an_address_that_lacks_something_is_refused_at_once(scheme: str, address: str) -> None:
    start = time.monotonic()
    with pytest.raises(DeviceError, match=f"expected {scheme}://HOST:PORT"):
        line_module.open_line(f"{scheme}://{address}", BAUD)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_host_where_nobody_listens_is_named(scheme: Scheme) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(DeviceError) as raised:
            line_module.open_line(f"{scheme}://127.0.0.1:{number}", BAUD, deadline_s=0.3)
    assert time.monotonic() - start < 3
    assert str(raised.value).startswith(f"{scheme}://127.0.0.1:{number}: cannot be opened: ")
    assert f"offer port {number}" in raised.value.hint


def test_a_server_that_speaks_no_rfc_2217_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        number = silent.getsockname()[1]
        with pytest.raises(DeviceError, match="cannot be opened") as raised:
            line_module.open_line(f"rfc2217://127.0.0.1:{number}", BAUD, deadline_s=0.1)
    assert f"socket://127.0.0.1:{number} is for one that only passes bytes on" in raised.value.hint
