"""Compiling the firmware of a converted model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyedge.commands.arguments import AnyPath, Paths, board_of, optional_path
from tinyedge.commands.firmware import Program, Protocol, Runtime
from tinyedge.commands.notes import noted
from tinyedge.exporters.converted import load_converted
from tinyedge.firmware.footprint import memory_record
from tinyedge.names import CompilerName, MlperfInput, RuntimeName
from tinyedge.names import Protocol as ProtocolName
from tinyedge.progress import NOBODY, Listener


@noted()
def build(
    folder: AnyPath,
    *,
    board: AnyPath,
    compiler: CompilerName | None = None,
    output: AnyPath | None = None,
    protocol: ProtocolName = "tinyedge",
    mlperf_model: str | None = None,
    mlperf_input: MlperfInput | None = None,
    observe: bool = False,
    runtime: RuntimeName = "tinyedge",
    tflm_include: Paths = (),
    tflm_lib: AnyPath | None = None,
    tflm_arena: int | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Compiles the firmware of a converted model for a board.

    Args:
        folder: what ``convert`` wrote.
        board: its name, or the path of a ``.toml`` file.
        compiler: ``gcc`` where installed by default, else ``zig``.
        output: folder to write; one in ``folder`` by default.
        protocol: what the firmware speaks: ``tinyedge``'s link, or ``mlperf``'s commands.
        mlperf_model: its name for MLPerf Tiny's runner; by the model's shapes by default.
        mlperf_input: ``int8``, ``uint8`` or ``float32``: what the runner's data set holds.
        observe: whether ``run`` can watch its layers.
        runtime: what computes the model: ``tinyedge``'s own C code, or ``tflm``.
        tflm_include: trees of TFLite-Micro, one or several.
        tflm_lib: ``libtensorflow-microlite.a``.
        tflm_arena: TFLite-Micro's arena in bytes; all RAM by default.
        listener: told how far it is.

    Returns:
        ``board``, ``runtime``, ``protocol``, ``observe``, ``compiler``; the paths ``elf`` and
        ``image``; the firmware's ``hash``; ``memory`` in bytes.

    Raises:
        BoardError: the board is unknown.
        DoesNotFitError: its flash or RAM is too small.
        ModelError: the folder is none that ``convert`` wrote, or damaged.
        ToolchainError: there is no compiler, or it fails.
        UsageError: arguments that do not go together.
    """
    program = Program(
        board_of(board),
        compiler,
        Runtime.of(runtime, tflm_include, tflm_lib, tflm_arena),
        Protocol(protocol, mlperf_model, mlperf_input, observe),
    )
    firmware = program.built(load_converted(Path(folder)), listener, optional_path(output))
    return {
        "board": program.board.name,
        "runtime": runtime,
        "protocol": protocol,
        "observe": observe,
        "compiler": firmware.compiler,
        "elf": str(firmware.elf),
        "image": str(firmware.image),
        "hash": firmware.hash,
        "memory": memory_record(firmware.footprint, program.board, None),
    }
