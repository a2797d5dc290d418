"""Opening the place that a user named."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tinyedge.evaluation.compare import Executor
from tinyedge.evaluation.devices import Fleet
from tinyedge.evaluation.executors import Run
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.host_twin import HostTwin
from tinyedge.firmware.project import kernel_note
from tinyedge.graph import reference
from tinyedge.link.journal import Journal
from tinyedge.places.devices import (
    attached,
    attached_record,
    emulated,
    emulated_record,
    measured_record,
)
from tinyedge.places.journalled import Journalled
from tinyedge.places.spec import PlaceSpec
from tinyedge.tflm.interpreter import Interpreter

Remark = Callable[[str], None]


class OpenPlace(NamedTuple):
    """A place that is open.

    Attributes:
        execute: runs int8 samples (n, *input shape); as often as wanted.
        about: what a record says of the place: ``on``, and of devices ``board``, ``emulator``,
            ``firmware``, ``compiler`` or ``port``.
        finish: gives what a record says of the place when all samples have run: of devices
            ``memory`` and ``arena`` or ``stack_peak``, and ``link``; of a cluster ``cluster``.
        host: runs the numpy reference, where that is not to be done in this process.
    """

    execute: Executor
    about: dict[str, Any]
    finish: Callable[[], dict[str, Any]]
    host: Executor | None = None


def _silent(_: str) -> None:
    """Nobody listens."""


@contextlib.contextmanager
def open_place(
    model: ConvertedModel,
    spec: PlaceSpec,
    journal: Journalled | None = None,
    remark: Remark = _silent,
) -> Iterator[OpenPlace]:
    """Opens a place, and closes it in the end.

    Args:
        model: what runs there.
        spec: where.
        journal: of devices: keeps every answer, so that an interrupted run can go on.
        remark: told what is worth knowing meanwhile, in a line each.

    Raises:
        DoesNotFitError, ToolchainError: the firmware or the twin cannot be built.
        MissingDependencyError: TFLite-Micro is not installed.
        DeviceError: a port is not named, missing or busy.
        LinkError: nobody answers there, or a device with another model.
        DataError, FileError: the journal is of another run, damaged, or in use.
    """
    about = {"on": spec.on}
    match spec.on:
        case "numpy":
            yield OpenPlace(
                lambda x, done=None: Run(reference.run(model.graph, x, done)), about, dict
            )
        case "twin":
            twin = HostTwin(model)
            yield OpenPlace(lambda x, done=None: Run(twin.run(x, done)), about, dict)
        case "tflite-micro":
            micro = Interpreter(model.tflite.read_bytes())
            yield OpenPlace(
                lambda x, done=None: Run(micro.run_graph(model.graph, x, done)), about, dict
            )
        case _ if journal:
            with (
                journal.opened(model, spec, remark) as kept,
                _devices(model, spec, kept, remark) as place,
            ):
                yield place
        case _:
            with _devices(model, spec, None, remark) as place:
                yield place


@contextlib.contextmanager
def _devices(
    model: ConvertedModel, spec: PlaceSpec, journal: Journal | None, remark: Remark
) -> Iterator[OpenPlace]:
    """An emulator, or attached boards."""
    # A device that goes on with a session goes on with its states too.
    session = journal.session if journal and not model.graph.states else None
    if spec.on == "emulator":
        if note := kernel_note(model, spec.required_board):
            remark(note)
        with emulated(model, spec, session) as device:
            fleet = Fleet([device.device], journal)
            yield OpenPlace(
                fleet,
                emulated_record(device),
                lambda: measured_record(device) | {"link": fleet.record()},
            )
    else:
        with attached(model, spec, session) as devices:
            fleet = Fleet(devices, journal)
            yield OpenPlace(
                fleet,
                attached_record(devices),
                lambda: {"stack_peak": fleet.stack_peak(), "link": fleet.record()},
            )
    for told in fleet.restarts():
        remark(told)
    for port, failure in fleet.failed.items():
        remark(f"{port} failed, others took its samples over: {failure}")
