"""Writing the firmware of a converted model to a board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyedge.boards import Board
from tinyedge.commands.arguments import AnyPath, Paths, board_of, one_of
from tinyedge.commands.firmware import Program, Protocol, Runtime
from tinyedge.commands.notes import noted
from tinyedge.errors import UsageError
from tinyedge.exporters.converted import load_converted
from tinyedge.names import FLASH_TOOLS, CompilerName, FlashToolName, MlperfInput, RuntimeName
from tinyedge.names import Protocol as ProtocolName
from tinyedge.progress import NOBODY, Listener
from tinyedge.targets import flashing
from tinyedge.targets.labgrid import acquired


@noted()
def flash(
    folder: AnyPath,
    *,
    board: AnyPath,
    compiler: CompilerName | None = None,
    tool: FlashToolName | None = None,
    port: str | None = None,
    probe: str | None = None,
    labgrid: str | None = None,
    dry_run: bool = False,
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
    """Builds the firmware of a converted model and writes it to the attached board.

    Args:
        folder: what ``convert`` wrote.
        board: its name, or the path of a ``.toml`` file.
        compiler: ``gcc`` where installed by default, else ``zig``.
        tool: the first of the board's description that is installed by default.
        port: serial port, for tools that write through one.
        probe: serial number of the debug probe or drive, of several.
        labgrid: place of labgrid's in which the board is, whose drivers write it; instead of
            ``tool``, ``port`` and ``probe``.
        dry_run: only say what would be done.
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
        ``board``, ``tool``, ``commands`` that write it and the first as ``command`` (None where
        labgrid writes), and whether it was ``flashed`` and ``verified``.

    Raises:
        BoardError: the board is unknown.
        DeviceError: it, its probe or its port is missing, or one of several.
        DoesNotFitError: its flash or RAM is too small.
        ModelError: the folder is none that ``convert`` wrote, or damaged.
        ToolchainError: a compiler or a tool is missing, or fails.
        UsageError: arguments that do not go together.
    """
    one_of("tool", tool, FLASH_TOOLS)
    program = Program(
        board_of(board),
        compiler,
        Runtime.of(runtime, tflm_include, tflm_lib, tflm_arena),
        Protocol(protocol, mlperf_model, mlperf_input, observe),
    )
    if labgrid is not None:
        given = {"tool": tool, "port": port, "probe": probe, "dry-run": dry_run}
        if excluded := [option for option, value in given.items() if value]:
            raise UsageError(f"--{excluded[0]} does not go with --labgrid")
        firmware = program.built(load_converted(Path(folder)), listener)
        with acquired(labgrid) as place, listener.step(f"flashing {program.board.title}"):
            place.reset()
            place.write(firmware.image)
            place.reset()
        return _record(program.board, "labgrid", [], flashed=True, verified=False)
    flashing.choose_tool(program.board, tool, port, probe)  # before anything is built
    firmware = program.built(load_converted(Path(folder)), listener)
    planned = flashing.plan(program.board, firmware.image, tool, port, probe)
    commands = planned.commands
    if not dry_run:
        with listener.step(f"flashing {program.board.title} by {planned.tool.name}"):
            commands = flashing.flash(planned)
        if not planned.verifies:
            listener.remark(f"{planned.tool.name} does not show that the flash holds the image")
    verified = planned.verifies and not dry_run
    return _record(
        program.board, planned.tool.name, commands, flashed=not dry_run, verified=verified
    )


def _record(
    board: Board, tool: str, commands: list[list[str]], *, flashed: bool, verified: bool
) -> dict[str, Any]:
    return {
        "board": board.name,
        "tool": tool,
        "command": commands[0] if commands else None,
        "commands": commands,
        "flashed": flashed,
        "verified": verified,
    }
