"""TFLite-Micro beside tinyedge's own code."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.evaluation.session import emulated_firmware
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.places.devices import emulated_record, measured_record
from tinyedge.places.opening import OpenPlace, open_place
from tinyedge.places.spec import PlaceSpec
from tinyedge.tflm.arena import measure_arena
from tinyedge.tflm.firmware import TflmLibrary, build_tflm_firmware


@contextlib.contextmanager
def open_tflm(
    model: ConvertedModel,
    board: Board,
    includes: tuple[Path, ...] = (),
    library: Path | None = None,
    arena: int | None = None,
) -> Iterator[OpenPlace]:
    """Opens a firmware with TFLite-Micro in an emulator.

    Args:
        model: what runs.
        board: what is emulated.
        includes: folders of TFLite-Micro's headers.
        library: its ``libtensorflow-microlite.a``; without one its interpreter on this machine
            stands in, with logits and arena.
        arena: bytes of TFLite-Micro's arena; the least is found by trial by default.

    Raises:
        MissingDependencyError, DoesNotFitError, ToolchainError, DeviceError, LinkError: see what
            each step raises.
    """
    if library is None:
        with open_place(model, PlaceSpec("tflite-micro")) as here:
            yield here._replace(
                finish=lambda: {"arena": dataclasses.asdict(measure_arena(model.tflite))}
            )
        return
    firmware = build_tflm_firmware(model, board, TflmLibrary.find(includes, library), arena)
    with emulated_firmware(model, firmware) as device:
        about = emulated_record(device)
        del about["firmware"]
        about["library"] = str(library)
        yield OpenPlace(device.device.run, about, lambda: measured_record(device))
