"""The firmware of a converted model on an emulated board, for other programs."""

from __future__ import annotations

import contextlib
import socket
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tinyedge.boards import DEFAULT_BOARD
from tinyedge.commands.arguments import AnyPath, Paths, board_of, one_of, optional_path
from tinyedge.commands.firmware import Program, Protocol, Runtime
from tinyedge.commands.notes import noted
from tinyedge.errors import ToolchainError
from tinyedge.exporters.converted import load_converted
from tinyedge.names import EMULATORS, CompilerName, EmulatorName, MlperfInput, RuntimeName
from tinyedge.names import Protocol as ProtocolName
from tinyedge.progress import NOBODY, Listener
from tinyedge.targets import open_emulator, require_emulator
from tinyedge.targets.terminal import bridge, connect, open_terminal

_GREETINGS = {"tinyedge": b"", "mlperf": b"m-ready\r\n"}
"""The bytes that a firmware sends by itself when it listens."""


class Emulation(AbstractContextManager["Emulation"]):
    """An emulated board that runs until it is closed; ``emulate`` starts it.

    Attributes:
        record: what ``tinyedge emulate --json`` prints, without ``version`` and ``status``.
        port: path of the board's serial port.
    """

    def __init__(
        self, record: dict[str, Any], line: socket.socket, terminal: int, opened: ExitStack
    ) -> None:
        self.record = record
        self.port: str = record["port"]
        self._line = line
        self._terminal = terminal
        self._opened = opened
        self._ended = Event()
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # one of both ends has gone
            bridge(self._line, self._terminal)
        self._ended.set()

    def wait(self) -> None:
        """Waits as long as the emulator runs.

        Raises:
            ToolchainError: it has ended by itself.
        """
        self._ended.wait()
        raise ToolchainError(f"{self.record['emulator']} has ended")

    def close(self) -> None:
        """Ends the emulator, and removes its port and the link to it."""
        with contextlib.suppress(OSError):  # the emulator has ended already
            self._line.shutdown(socket.SHUT_RDWR)
        try:
            self._ended.wait()
        finally:  # a second Ctrl-C ends the emulator all the same
            self._opened.close()

    def __exit__(self, *_: object) -> None:
        self.close()


@noted()
def emulate(
    folder: AnyPath,
    *,
    board: AnyPath | None = None,
    link: AnyPath | None = None,
    compiler: CompilerName | None = None,
    emulator: EmulatorName | None = None,
    protocol: ProtocolName = "tinyedge",
    mlperf_model: str | None = None,
    mlperf_input: MlperfInput | None = None,
    observe: bool = False,
    runtime: RuntimeName = "tinyedge",
    tflm_include: Paths = (),
    tflm_lib: AnyPath | None = None,
    tflm_arena: int | None = None,
    listener: Listener = NOBODY,
) -> Emulation:
    """Runs the firmware of a converted model on an emulated board, to the end of a ``with`` block.

    Args:
        folder: what ``convert`` wrote.
        board: its name, or the path of a ``.toml`` file.
        link: a symbolic link to make to the serial device.
        compiler: see ``build``, also for those below that are not named.
        emulator: by name; the first that is installed and knows the board by default.
        protocol: what the firmware speaks.
        mlperf_model: its name for MLPerf Tiny's runner.
        mlperf_input: what the runner's data set holds.
        observe: whether ``run`` can watch its layers.
        runtime: what computes the model.
        tflm_include: trees of TFLite-Micro, one or several.
        tflm_lib: ``libtensorflow-microlite.a``.
        tflm_arena: TFLite-Micro's arena in bytes; all RAM by default.
        listener: told how far it is.

    Raises:
        BoardError, DoesNotFitError, ModelError, UsageError: see ``build``.
        FileError: the link cannot be made.
        ToolchainError: there is no compiler or emulator, or one of them fails.
    """
    one_of("emulator", emulator, EMULATORS)
    program = Program(
        board_of(board or DEFAULT_BOARD),
        compiler,
        Runtime.of(runtime, tflm_include, tflm_lib, tflm_arena),
        Protocol(protocol, mlperf_model, mlperf_input, observe),
    )
    model = load_converted(Path(folder))
    name = require_emulator(program.board, emulator)  # before anything is built
    firmware = program.built(model, listener)
    linked = optional_path(link)
    with ExitStack() as stack:
        terminal, path = stack.enter_context(open_terminal(linked))
        target = stack.enter_context(open_emulator(program.board, firmware.elf, name))
        line = stack.enter_context(connect(target, _GREETINGS[protocol]))
        opened = stack.pop_all()
    record = {
        "board": program.board.name,
        "emulator": name,
        "protocol": protocol,
        "port": path,
        "link": str(linked) if linked else None,
        "elf": str(firmware.elf),
    }
    return Emulation(record, line, terminal, opened)
