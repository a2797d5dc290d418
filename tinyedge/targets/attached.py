"""The devices attached to this machine: serial ports, debug probes, drives that take firmware."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tinyedge.boards import Board, board_names, load_board

USB_DEVICES = Path("/sys/bus/usb/devices")

STLINK_V2 = "0483:3748"
_PROBES = (
    *("0483:374?", "0483:375[23457]"),  # ST-Links
    *("0d28:0204", "1366:*"),  # DAPLink, J-Links
)
"""Patterns of vendor:product. A CMSIS-DAP probe tells by its product's name."""

_DRIVE_FILES = {"INFO_UF2.TXT": "UF2", "MBED.HTM": "ST-Link or DAPLink", "DETAILS.TXT": "DAPLink"}
"""Files by which such drives are known."""
_LSBLK = ("lsblk", "--json", "--output", "PATH,LABEL,MOUNTPOINTS,SERIAL")


@dataclass(frozen=True)
class SerialPort:
    """A serial port.

    Attributes:
        device: its path.
        description: what its driver or USB device says of itself, or empty.
        usb: vendor:product of its USB device, or None.
        serial: of that device, or None.
        boards: names of the boards that it may be, by ``usb``.
    """

    device: str
    description: str
    usb: str | None
    serial: str | None
    boards: tuple[str, ...]


@dataclass(frozen=True)
class Probe:
    """A debug probe.

    Attributes:
        name: product.
        usb: vendor:product.
        serial: what ``--probe`` takes; may be empty.
    """

    name: str
    usb: str
    serial: str


@dataclass(frozen=True)
class Drive:
    """A drive, mounted or not.

    Attributes:
        device: its path.
        label: of its file system.
        serial: of its USB device, or empty.
        mount_point: or None.
    """

    device: str
    label: str
    serial: str
    mount_point: Path | None

    @property
    def takes_firmware(self) -> str:
        """The owner of the drive, where the files on it tell; else empty."""
        here = self.mount_point
        found = (kind for name, kind in _DRIVE_FILES.items() if here and (here / name).is_file())
        return next(found, "")


def serial_ports() -> list[SerialPort]:
    """The serial ports of this machine, each with the boards that it may be."""
    from serial.tools import list_ports

    boards = [load_board(name) for name in board_names()]
    found = []
    for port in sorted(list_ports.comports()):
        usb = None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"
        names = tuple(board.name for board in boards if usb and board.usb == usb)
        said = "" if port.description == "n/a" else port.description
        found.append(SerialPort(port.device, said, usb, port.serial_number, names))
    return found


def describe_ports(board: Board | None = None) -> str:
    """The serial ports in a line, those that may be the board marked; for hints."""
    said = []
    for port in serial_ports():
        known = [f"serial number {port.serial}"] if port.serial else []
        likely = [f"may be {board.name}"] if board and board.name in port.boards else []
        notes = [*filter(None, [port.description]), *known, *likely]
        said.append(f"{port.device} ({', '.join(notes)})" if notes else port.device)
    return ", ".join(said) or "no serial port"


def probes(devices: Path = USB_DEVICES) -> list[Probe]:
    """The debug probes on USB, as Linux knows them."""
    found = []
    for device in sorted(devices.glob("*/idVendor")):
        vendor, product = _attribute(device), _attribute(device.with_name("idProduct"))
        usb, name = f"{vendor}:{product}", _attribute(device.with_name("product"))
        if any(fnmatchcase(usb, known) for known in _PROBES) or "CMSIS-DAP" in name:
            found.append(Probe(name, usb, _attribute(device.with_name("serial"))))
    return found


def drives() -> list[Drive]:
    """All drives with a label; none where ``lsblk`` is not there to tell."""
    try:
        listed = subprocess.run(_LSBLK, capture_output=True, text=True, timeout=30, check=True)
        return list(_drives(json.loads(listed.stdout)["blockdevices"], ""))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return []


def _drives(devices: list[dict[str, Any]], serial: str) -> Iterator[Drive]:
    for device in devices:
        own = device["serial"] or serial
        if device["label"]:
            mounted = next(filter(None, device["mountpoints"]), None)
            where = Path(mounted) if mounted else None
            yield Drive(device["path"], device["label"], own, where)
        yield from _drives(device.get("children", []), own)  # partitions


def _attribute(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
