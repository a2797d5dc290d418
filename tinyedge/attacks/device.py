"""Opening what an attack asks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tinyedge.boards import Board
from tinyedge.evaluation.compare import Executor
from tinyedge.evaluation.executors import Run, run_reference
from tinyedge.evaluation.session import LinkOptions, attached_devices, emulated_device
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.names import CompilerName, EmulatorName, OraclePlace


@contextlib.contextmanager
def opened(
    model: ConvertedModel,
    place: OraclePlace,
    board: Board,
    port: str | None = None,
    emulator: EmulatorName | None = None,
    compiler: CompilerName | None = None,
    link: LinkOptions | None = None,
) -> Iterator[tuple[Executor, dict[str, Any]]]:
    """An executor that stays open for many small calls, and what a report says of it.

    Raises:
        DoesNotFitError, ToolchainError, DeviceError, LinkError: see ``evaluation.session``.
    """
    from tinyedge.firmware.twin import Twin

    about: dict[str, Any] = {"on": place}
    match place:
        case "numpy":
            yield lambda samples, progress=None: run_reference(model, samples, progress), about
        case "twin":
            twin = Twin(model)
            yield lambda samples, progress=None: Run(twin.run(samples, progress)), about
        case "emulator":
            with emulated_device(model, board, emulator, compiler, link=link) as emulated:
                about |= {
                    "board": board.name,
                    "emulator": emulated.device.target.name,
                    "compiler": emulated.firmware.compiler,
                }
                yield emulated.device.run, about
        case "board":
            with attached_devices(model, board, [port] if port else [], link) as [device]:
                yield device.run, about | {"board": device.hello.board}
