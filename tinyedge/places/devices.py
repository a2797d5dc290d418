"""Emulators and attached boards: opening them, and what a record says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from tinyedge.errors import DeviceError
from tinyedge.evaluation.devices import Device
from tinyedge.evaluation.session import (
    EmulatedDevice,
    attached_devices,
    emulated_device,
    emulated_firmware,
)
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.footprint import memory_record
from tinyedge.firmware.project import Firmware, build_firmware
from tinyedge.places.flashed import flash_unless_held
from tinyedge.places.spec import PlaceSpec
from tinyedge.targets.labgrid import acquired


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
    """Opens the links to a place's boards, which are flashed first if that is wanted.

    Args:
        model: what runs there.
        spec: where.
        session: of the links, one that goes on.

    Raises:
        DeviceError, LinkError: see ``session.attached_devices``, and ``acquired``.
        DoesNotFitError, ToolchainError: there is no firmware, or no tool that writes it.
    """
    link, ports = spec.link(session), spec.ports
    # Built before a lab's board is taken from others.
    firmware = _firmware(model, spec) if spec.flash else None
    with contextlib.ExitStack() as opened:
        writer = None
        if spec.labgrid:
            place = opened.enter_context(acquired(spec.labgrid))
            ports, writer = (place.port,), place
            place.reset()
        if firmware:
            for port in ports:
                flash_unless_held(firmware, port, spec.baud, spec.probe, writer)
        devices = opened.enter_context(attached_devices(model, spec.required_board, ports, link))
        for device in devices:
            if firmware and device.hello.firmware_hash != firmware.hash:
                raise DeviceError(
                    f"{device.client.port}: holds firmware {device.hello.firmware_hash[:12]} after "
                    f"{firmware.hash[:12]} was written",
                    hint="is this the port of the board that was flashed?",
                )
        yield devices


def _firmware(model: ConvertedModel, spec: PlaceSpec) -> Firmware:
    """The firmware that attached boards have to hold."""
    return spec.firmware or build_firmware(model, spec.required_board, spec.compiler)


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
