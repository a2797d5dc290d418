"""The options of the place where a model is to run."""

from __future__ import annotations

from dataclasses import dataclass

from tinyedge.boards import Board
from tinyedge.evaluation.session import LinkOptions
from tinyedge.firmware.project import Firmware
from tinyedge.names import CompilerName, EmulatorName, PlaceName


@dataclass(frozen=True)
class PlaceSpec:
    """Where a converted model is to run.

    Attributes:
        on: ``numpy``, ``twin`` or ``tflite-micro`` on this machine, ``emulator`` or ``board``.
        board: what is emulated or attached; places on this machine need none.
        ports: serial ports of attached boards, which share the samples.
        emulator: the first that is installed and knows the board by default.
        compiler: of the firmware that is emulated; ``gcc`` where installed by default, else
            ``zig``.
        firmware: what is emulated, if it has been built already.
        baud: bits per second; the board's by default.
        timeout_s: the longest, in seconds, that a device may be silent;
            ``session.inference_timeout_s`` by default.
        flash: whether attached boards that hold another firmware are flashed first.
        probe: serial number of the debug probe or drive that one board is flashed by.
        labgrid: place of labgrid's in which the board is, instead of ``ports``.
    """

    on: PlaceName
    board: Board | None = None
    ports: tuple[str, ...] = ()
    emulator: EmulatorName | None = None
    compiler: CompilerName | None = None
    firmware: Firmware | None = None
    baud: int | None = None
    timeout_s: float | None = None
    flash: bool = False
    probe: str | None = None
    labgrid: str | None = None

    @property
    def required_board(self) -> Board:
        """The board of a device."""
        assert self.board, "devices have a board"
        return self.board

    def link(self, session: int | None = None) -> LinkOptions:
        """How to talk to a device; ``session`` is one that goes on."""
        return LinkOptions(self.timeout_s, self.baud, session)
