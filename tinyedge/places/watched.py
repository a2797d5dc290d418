"""Places whose layers are watched, by ``run --profile`` and ``run --trace``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

from tinyedge.boards import Board
from tinyedge.errors import UsageError
from tinyedge.evaluation.cycles import CycleCounter, modelling_obstacle
from tinyedge.evaluation.devices import Device
from tinyedge.evaluation.executors import Int8
from tinyedge.evaluation.observation import (
    Counter,
    DeviceObserver,
    Observer,
    Ticks,
    TwinObserver,
    inference_ticks,
)
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.observation import observed_layers
from tinyedge.firmware.project import build_firmware
from tinyedge.names import EmulatorName
from tinyedge.places.devices import attached, attached_record, emulated, emulated_record
from tinyedge.places.spec import PlaceSpec
from tinyedge.targets import counting_stand_in, require_emulator

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
Step = Callable[[str], AbstractContextManager[None]]


class WatchedPlace(NamedTuple):
    """A place that is open, to be watched layer by layer.

    Attributes:
        observer: runs samples, and tells of each layer.
        about: what a record says of the place; see ``OpenPlace``.
        counter: what the place counts; None where that is nothing.
        whole: what each inference took, not watched; None where that was not asked for.
        cycles: what the firmware does address by address; None where cycles are not modelled.
        no_cycles: why they are not; None where they are, or were not asked for.
        instead_of: the board that was asked for, where another of the same core counts for it.
    """

    observer: Observer
    about: dict[str, Any]
    counter: Counter | None
    whole: Ticks | None
    cycles: CycleCounter | None = None
    no_cycles: str | None = None
    instead_of: str | None = None


@contextlib.contextmanager
def open_watched(
    model: ConvertedModel,
    spec: PlaceSpec,
    samples: Int8 | None,
    progress: ProgressBar,
    step: Step,
) -> Iterator[WatchedPlace]:
    """Opens a place to be watched, and closes it in the end.

    Args:
        model: what runs there.
        spec: where: ``twin``, ``emulator``, or one ``board`` that was flashed with ``--observe``.
        samples: int8 (n, *input shape), to find out first what whole inferences take on a device;
            None where that is not asked for.
        progress: opens a progress bar.
        step: surrounds a step of unknown length.

    Raises:
        UsageError: layers cannot be watched there.
        DoesNotFitError, ToolchainError, DeviceError, LinkError: see ``open_place``.
    """
    layers = observed_layers(model)

    def whole(device: Device) -> Ticks | None:
        if samples is None:
            return None
        with progress("whole inferences", len(samples)) as advance:
            return inference_ticks(device, samples, advance)

    match spec.on:
        case "twin":
            yield WatchedPlace(TwinObserver(model), {"on": "twin"}, None, None)
        case "board":
            with attached(model, spec) as [device]:
                ticks = whole(device)
                about, counter = attached_record([device]), Counter.of(device)
                yield WatchedPlace(DeviceObserver(device, layers), about, counter, ticks)
        case "emulator":
            board = spec.required_board
            chosen = replace(spec, emulator=require_emulator(board, spec.emulator))
            instead_of = None
            if counts_for := _stand_in(chosen, named=spec.emulator, measured=samples is not None):
                with step(f"compiling for {board.name}"):
                    build_firmware(model, board, spec.compiler)  # whether it fits
                instead_of, board = board.name, counts_for
                chosen = replace(chosen, board=board, emulator="qemu")
            ticks = None
            if samples is not None:
                # The ticks of the ordinary firmware, which knows nothing of layers, are the base.
                with emulated(model, chosen) as ordinary:
                    ticks = whole(ordinary.device)
            with step(f"compiling for {board.name}, to be watched"):
                firmware = build_firmware(model, board, spec.compiler, observe=True)
            obstacle = None
            if samples is not None:
                obstacle = (
                    modelling_obstacle(board)
                    if chosen.emulator == "qemu"
                    else f"{chosen.emulator} counts nothing address by address"
                )
            counted = samples is not None and obstacle is None
            with emulated(model, replace(chosen, firmware=firmware), count=counted) as watched:
                about, counter = emulated_record(watched), Counter.of(watched.device)
                observer = DeviceObserver(watched.device, layers)
                yield WatchedPlace(
                    observer, about, counter, ticks, watched.cycles, obstacle, instead_of
                )
        case _:
            raise UsageError(f"layers are not watched on {spec.on}", hint="twin, emulator or board")


def _stand_in(chosen: PlaceSpec, named: EmulatorName | None, *, measured: bool) -> Board | None:
    """The board on which a place's layers are counted, where its own emulator counts nothing.

    An emulator that was named stays, and so does one of which no figures are asked.
    """
    if named or not measured or not chosen.emulator:
        return None
    return counting_stand_in(chosen.required_board, chosen.emulator)
