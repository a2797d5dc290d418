from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

import tinyedge
from tests.cli.commands import run_json
from tinyedge.errors import DeviceError, UsageError


@pytest.fixture
def port() -> Iterator[str]:
    """A port behind which a device greets whoever opens it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"hello\n")
                    connection.recv(1)  # until the other side closes

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_the_function_gives_what_the_command_prints(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_json(capsys, "monitor", "-p", port, "--seconds", "0.5")
    assert record["text"] == "hello\n"
    shown: list[str] = []
    given = tinyedge.monitor(port=port, seconds=0.5, show=shown.append)
    assert given | {"text": "".join(shown), "version": 1, "status": "ok"} == record
    assert given["text"] == ""


def test_arguments_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        tinyedge.monitor(port="socket://127.0.0.1:1", hex=True, frames=True)
    with pytest.raises(DeviceError, match="has to be named"):
        tinyedge.monitor()


def test_whoever_reads_may_go(port: str) -> None:
    """The port is still there: a pipe that is closed is not its fault."""

    def closed(text: str) -> None:
        raise BrokenPipeError(text)

    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            tinyedge.monitor(port=port, seconds=5, show=closed)


@pytest.mark.parametrize("baud", [1.5, True, 0])
def test_a_speed_that_is_none_is_refused(baud: object) -> None:
    with pytest.raises(UsageError, match=r"^baud="):
        tinyedge.monitor(port="socket://127.0.0.1:1", baud=baud)  # type: ignore[arg-type]
