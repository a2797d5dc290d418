"""Emulators and attached boards: opening them, and what a record says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from tinyedge.evaluation.devices import Device
from tinyedge.evaluation.session import (
    EmulatedDevice,
    attached_devices,
    emulated_device,
    emulated_firmware,
)
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.footprint import memory_record
from tinyedge.places.spec import PlaceSpec


@contextlib.contextmanager
def emulated(
    model: ConvertedModel, spec: PlaceSpec, session: int | None = None, *, count: bool = False
) -> Iterator[EmulatedDevice]:
    """Starts a place's firmware, which is built unless there is one, in its emulator.

    Args:
        model: what runs there.
        spec: where.
        session: of the link, one that goes on.
        count: whether QEMU counts at each address, so that cycles can be modelled.

    Raises:
        DoesNotFitError, ToolchainError, DeviceError, LinkError: see what each step raises.
    """
    link = spec.link(session)
    if spec.firmware:
        opened = emulated_firmware(model, spec.firmware, spec.emulator, link, count=count)
    else:
        opened = emulated_device(
            model, spec.required_board, spec.emulator, spec.compiler, link=link, count=count
        )
    with opened as device:
        yield device


@contextlib.contextmanager
def attached(
    model: ConvertedModel, spec: PlaceSpec, session: int | None = None
) -> Iterator[list[Device]]:
    """Opens the links to a place's boards.

    Args:
        model: what runs there.
        spec: where.
        session: of the links, one that goes on.

    Raises:
        DeviceError, LinkError: see ``session.attached_devices``.
    """
    link = spec.link(session)
    with attached_devices(model, spec.required_board, spec.ports, link) as devices:
        yield devices


def emulated_record(device: EmulatedDevice) -> dict[str, Any]:
    """Where a run on an emulator takes place."""
    firmware = device.firmware
    return {
        "on": "emulator",
        "board": firmware.board.name,
        "emulator": device.device.target.name,
        "compiler": firmware.compiler,
        "firmware": firmware.hash,
    }


def attached_record(devices: Sequence[Device]) -> dict[str, Any]:
    """Where a run on attached boards, which hold the same firmware, takes place."""
    hello = devices[0].hello
    return {
        "on": "board",
        "board": hello.board,
        "emulator": None,
        "port": ", ".join(device.client.port for device in devices),
        "firmware": hello.firmware_hash,
    }


def place_line(about: dict[str, Any]) -> str:
    """Names a place to people: board, emulator and compiler, or the port; empty on this machine.

    Args:
        about: what a record says of the place.
    """
    if about.get("emulator"):
        return f"{about['board']}, emulated by {about['emulator']}, compiled by {about['compiler']}"
    return f"{about['board']} at {about['port']}" if about.get("port") else ""


def measured_record(device: EmulatedDevice) -> dict[str, Any]:
    """Memory of a firmware that has run in an emulator: ``memory`` and ``arena`` of its record."""
    firmware, stats = device.firmware, device.device.stats()
    return {
        "memory": memory_record(firmware.footprint, firmware.board, stats.stack_peak),
        "arena": {
            "smallest": stats.arena_smallest,
            "total": stats.arena_head + stats.arena_tail,
            "head": stats.arena_head,
            "tail": stats.arena_tail,
        },
    }
