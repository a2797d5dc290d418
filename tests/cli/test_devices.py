"""``devices``, ``monitor`` and ``doctor``, with what is attached made up."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import failure, run_cli, run_json
from tinyedge.link.frames import Frame
from tinyedge.link.protocol import Message
from tinyedge.targets import attached, permissions
from tinyedge.targets.attached import Drive, Probe, SerialPort

pytestmark = pytest.mark.needs_tool

PORTS = [
    SerialPort("/dev/ttyACM0", "STM32 STLink", "0483:374b", "066B", ("nucleo-f401re", "nucleo-x")),
    SerialPort("/dev/ttyS0", "", None, None, ()),
]


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("serial_ports", "probes", "drives"):
        monkeypatch.setattr(attached, name, list)


@pytest.mark.usefixtures("nothing")
def test_nothing_is_attached(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_cli(capsys, "devices")
    assert (code, out) == (0, "no serial port, debug probe or firmware drive is attached\n")
    record = run_json(capsys, "devices")
    assert record["serial_ports"] == record["probes"] == record["drives"] == []


def test_what_is_attached_is_listed_with_the_boards_that_it_may_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "INFO_UF2.TXT").touch()
    drives = [
        Drive("/dev/sda", "NODE_F446RE", "066B", None),
        Drive("/dev/sdb", "FEATHER", "9", tmp_path),
        Drive("/dev/sdc", "photos", "", tmp_path / "elsewhere"),
    ]
    monkeypatch.setattr(attached, "serial_ports", lambda: PORTS)
    monkeypatch.setattr(attached, "probes", lambda: [Probe("STM32 STLink", "0483:374b", "066B")])
    monkeypatch.setattr(attached, "drives", lambda: drives)
    record = run_json(capsys, "devices")
    assert record["serial_ports"][0]["boards"] == ["nucleo-f401re", "nucleo-x"]
    assert record["serial_ports"][0]["serial"] == "066B"
    (probe,) = record["probes"]
    assert {"nucleo-f401re", "nucleo-f446re"} <= set(probe["boards"])
    assert [drive["boards"] for drive in record["drives"]] == [["nucleo-f446re"], []]
    assert [drive["of"] for drive in record["drives"]] == ["", "UF2"]
    code, out, _ = run_cli(capsys, "devices")
    assert code == 0
    for said in ("/dev/ttyS0", "0483:374b", "066B", "nucleo-f401re, nucleo-x", "(not mounted)"):
        assert said in out
    assert "photos" not in out


def test_ports_are_known_by_their_usb_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    from serial.tools import list_ports
    from serial.tools.list_ports_common import ListPortInfo

    port = ListPortInfo("/dev/ttyACM0")
    port.vid, port.pid, port.serial_number = 0x0D28, 0x0204, "9900"
    monkeypatch.setattr(list_ports, "comports", lambda: [port])
    (found,) = attached.serial_ports()
    assert (found.usb, found.serial, found.description) == ("0d28:0204", "9900", "")
    assert "microbit" in found.boards


@pytest.fixture
def sender() -> Iterator[tuple[str, socket.socket]]:
    """A port, and a socket whose first connection is the device behind it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"socket://127.0.0.1:{server.getsockname()[1]}", server


def send(server: socket.socket, data: bytes) -> threading.Thread:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(data)
            connection.recv(1)  # until the other side closes

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("options", "data", "said"),
    [
        ((), b"hello\r\n\x07", "hello\n\\x07\n"),
        (("--hex",), b"A", f"00000000  41{' ' * 47}A\n"),
        (
            ("--frames",),
            Frame(Message.ERROR, 2, 7, b"\1\0\0\0").encode(),
            "ERROR, session 00000002 number 7: unknown message type\n",
        ),
    ],
)
def test_monitor_shows_what_comes(
    options: tuple[str, ...],
    data: bytes,
    said: str,
    sender: tuple[str, socket.socket],
    capsys: pytest.CaptureFixture[str],
) -> None:
    port, server = sender
    for extra in ((), ("--json",)):
        thread = send(server, data)
        arguments = ("monitor", "-p", port, "--seconds", 0.5, *options, *extra)
        code, out, err = run_cli(capsys, *arguments)
        thread.join()
        assert code == 0, err
        if extra:
            record = json.loads(out)
            assert (record["bytes"], record["text"]) == (len(data), said)
        else:
            assert out == said


def test_monitor_needs_a_port_and_says_when_it_has_gone(
    sender: tuple[str, socket.socket],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attached, "serial_ports", lambda: PORTS)
    hint = failure(capsys, 6, "monitor")["hint"]
    assert "/dev/ttyACM0 (STM32 STLink, serial number 066B), /dev/ttyS0" in hint
    assert "cannot be opened" in failure(capsys, 6, "monitor", "-p", "/dev/ttyNone")["message"]
    port, server = sender

    def hang_up() -> None:
        connection, _ = server.accept()
        connection.sendall(b"last words")
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    code, out, err = run_cli(capsys, "monitor", "-p", port)
    thread.join()
    assert (code, out) == (6, "last words\n")
    assert "has gone" in err
    assert "Traceback" not in err


def test_monitor_ends_cleanly_with_ctrl_c() -> None:
    device, port = pty.openpty()
    name = os.ttyname(port)
    os.close(port)  # a port that another process has open is refused
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyedge", "monitor", "-p", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    assert "115200 baud" in process.stderr.readline()
    os.write(device, b"a line\n")
    assert process.stdout.readline() == "a line\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    os.close(device)
    assert (process.returncode, out, err) == (0, "", "")


def test_doctor_names_the_command_that_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(permissions, "in_group", lambda _: False)
    monkeypatch.setattr(permissions, "modem_manager_runs", lambda: True)
    folders = permissions.without_rule.__defaults__
    monkeypatch.setattr(permissions.without_rule, "__defaults__", ([tmp_path],))
    assert folders
    doctor = run_json(capsys, "doctor")
    missing = {check["name"]: check for check in doctor["checks"] if not check["found"]}
    assert missing["st-flash"]["remedy"] == "apt-get install stlink-tools"
    assert "nucleo-f446re" in missing["st-flash"]["for"]
    group = permissions.serial_group()
    assert missing[group]["remedy"] == f"sudo usermod -a -G {group} $USER, then log in again"
    assert "/etc/udev/rules.d/60-tinyedge.rules" in missing["0483:374b"]["remedy"]
    assert doctor["can"]["build firmware"] is ("ziglang" not in missing)
    assert "ModemManager" in doctor["notes"][0]
    (tmp_path / "st-flash").write_text("#!/bin/sh\n")
    (tmp_path / "st-flash").chmod(0o755)
    (tmp_path / "1.rules").write_text(permissions.udev_rules([]) + 'ATTRS{idVendor}=="0483"\n')
    doctor = run_json(capsys, "doctor")
    found = {check["name"] for check in doctor["checks"] if check["found"]}
    assert {"st-flash", "0483:374b"} <= found
    assert doctor["can"]["flash boards"]


def test_doctor_prints_rules(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_cli(capsys, "doctor", "--udev-rules")
    assert code == 0
    record = run_json(capsys, "doctor", "--udev-rules")
    assert record["rules"] == out
    assert not out.endswith("\n\n")
    assert 'ATTR{idVendor}=="0483", ATTR{idProduct}=="df11"' in out
