"""Writing a firmware to an attached board: one file a tool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import BoardError, DeviceError, ToolchainError, UsageError
from tinyedge.names import FlashToolName
from tinyedge.targets.attached import describe_ports, probes
from tinyedge.targets.flashing.arduino_cli import ArduinoCli
from tinyedge.targets.flashing.avrdude import Avrdude
from tinyedge.targets.flashing.bossac import Bossac
from tinyedge.targets.flashing.dfu import Dfu
from tinyedge.targets.flashing.drive import Drive
from tinyedge.targets.flashing.openocd import OpenOcd
from tinyedge.targets.flashing.pyocd import Pyocd
from tinyedge.targets.flashing.stlink import Stlink
from tinyedge.targets.flashing.tool import Job, Tool, run

TOOLS: dict[FlashToolName, Tool] = {
    tool.name: tool
    for tool in (
        *(ArduinoCli(), Avrdude(), Bossac(), Dfu()),
        *(Drive(), OpenOcd(), Pyocd(), Stlink()),
    )
}
_BY_PROBE = ("openocd", "pyocd", "stlink")


@dataclass(frozen=True)
class Plan:
    """How an image gets onto a board.

    Attributes:
        tool: that does it.
        job: what it is told.
        commands: what it will run; after a restart into a boot loader the port may be another.
    """

    tool: Tool
    job: Job
    commands: list[list[str]]

    @property
    def verifies(self) -> bool:
        """Whether the flash is compared with the image."""
        return self.tool.verifies(self.job)


def choose_tool(
    board: Board, name: str | None = None, port: str | None = None, probe: str | None = None
) -> Tool:
    """The tool to use: of those that the board's description has, the first that is installed.

    Args:
        board: the board.
        name: of another one of them.
        port: serial port, for a tool that takes one.
        probe: serial number of a debug probe or drive, where several are attached.

    Raises:
        BoardError: the description names no way to flash it.
        UsageError: it does not have the named one; or the tool takes no port, or no probe.
        DeviceError: a port has to be named.
    """
    tool = _described(board, name)
    for option, given in (("port", port), ("probe", probe)):
        if given and tool.takes != option:
            raise UsageError(f"{tool.name} takes no --{option}", hint="see 'tinyedge flash --help'")
    if tool.takes == "port" and not port:
        raise DeviceError(
            f"{tool.name} has to be told the board's serial port",
            hint=f"-p PORT; this machine has: {describe_ports(board)}",
        )
    return tool


def takes_port(board: Board, name: str | None = None) -> bool:
    """Whether the tool that ``choose_tool`` would give writes through a serial port.

    Raises:
        BoardError, UsageError: as ``choose_tool``.
    """
    return _described(board, name).takes == "port"


def _described(board: Board, name: str | None) -> Tool:
    described = [TOOLS[known] for known in board.flash_tool.names]
    if not described:
        raise BoardError(f"board '{board.name}' has no flash_tool", hint="docs/boards.md")
    if not name:
        return next((tool for tool in described if tool.installed()), described[0])
    for tool in described:
        if tool.name == name:
            return tool
    raise UsageError(
        f"--tool {name}: board '{board.name}' is not described for it",
        hint=f"it is for: {', '.join(tool.name for tool in described)}",
    )


def plan(
    board: Board,
    image: Path,
    tool_name: str | None = None,
    port: str | None = None,
    probe: str | None = None,
) -> Plan:
    """Plans the commands that write an image to a board.

    Args:
        board: the board.
        image: the bytes of its flash.
        tool_name: see ``choose_tool``.
        port: the same.
        probe: the same.

    Raises:
        BoardError: see ``choose_tool``; or a part of the firmware lies in another flash.
        UsageError: see ``choose_tool``.
        DeviceError: a port has to be named, or a probe; or no such drive is attached.
    """
    tool = choose_tool(board, tool_name, port, probe)
    for other in map(image.with_name, board.memory.other_images.values()):
        if other.exists():
            raise BoardError(
                f"{other}: is for a flash of its own, which {tool.name} is not told to write",
                hint="write this file and firmware.bin with the tools of the board's maker",
            )
    if tool.name in _BY_PROBE:
        _check_probe(probe)
    job = Job(board, image, port, probe)
    return Plan(tool, job, tool.commands(job))


def _check_probe(named: str | None) -> None:
    """Refuses to leave it to a tool which of several probes it takes."""
    found = probes()
    serials = [probe.serial for probe in found]
    listed = ", ".join(f"{probe.serial or '?'} ({probe.name}, {probe.usb})" for probe in found)
    if named and found and named not in serials:
        raise DeviceError(f"no debug probe {named} is attached", hint=f"attached: {listed}")
    if not named and len(found) > 1:
        raise DeviceError(
            f"{len(found)} debug probes are attached",
            hint="--probe SERIAL says which; a worker's TINYEDGE_BOARDS does by BOARD=PORT@SERIAL: "
            f"{listed}",
        )


def flash(planned: Plan) -> list[list[str]]:
    """Writes an image to the attached board; gives the commands that were run.

    Raises:
        ToolchainError: the tool is not installed, or fails.
        DeviceError: there is no board, or another one; it does not take the image, or does not
            hold it afterwards.
    """
    tool = planned.tool
    if not tool.installed():
        raise ToolchainError(f"{tool.program} is not installed", hint=tool.remedy)
    job = tool.prepare(planned.job)
    commands = tool.commands(job)
    run(tool, job, commands)
    return commands
