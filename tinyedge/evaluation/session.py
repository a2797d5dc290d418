"""Opening the executor that a user named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import DeviceError, ModelError
from tinyedge.evaluation.cycles import CycleCounter, cycle_counter
from tinyedge.evaluation.devices import Device
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.functions import function_at
from tinyedge.firmware.project import Firmware, build_firmware, read_build
from tinyedge.link.client import Client
from tinyedge.names import CompilerName, EmulatorName
from tinyedge.targets import Target, open_emulator, require_emulator
from tinyedge.targets.attached import describe_ports

_TIMEOUT_S = 10.0
_SLOWEST_MACS_PER_S = 1e6


@dataclass(frozen=True)
class LinkOptions:
    """The options of a link that a user may set.

    Attributes:
        timeout_s: the longest that a device may be silent; ``inference_timeout_s`` by default.
        baud: bits per second; the board's by default.
        session: one that goes on.
    """

    timeout_s: float | None = None
    baud: int | None = None
    session: int | None = None


def inference_timeout_s(model: ConvertedModel) -> float:
    """Seconds after which an inference on any device or emulator is given up."""
    return _TIMEOUT_S + float(model.manifest["macs"]) / _SLOWEST_MACS_PER_S


@dataclass(frozen=True)
class EmulatedDevice:
    """A device in an emulator, and the firmware that was built for it.

    Attributes:
        device: opened.
        firmware: that runs there.
        cycles: what it does address by address, where that is counted.
    """

    device: Device
    firmware: Firmware
    cycles: CycleCounter | None = None


@contextlib.contextmanager
def emulated_device(
    model: ConvertedModel,
    board: Board,
    emulator: EmulatorName | None = None,
    compiler: CompilerName | None = None,
    folder: Path | None = None,
    link: LinkOptions | None = None,
    *,
    count: bool = False,
) -> Iterator[EmulatedDevice]:
    """Builds the firmware of a model, starts it in an emulator, and opens the link.

    Raises:
        DoesNotFitError, ToolchainError, DeviceError, LinkError: see what each step raises.
    """
    require_emulator(board, emulator)  # before anything is built
    firmware = build_firmware(model, board, compiler, folder)
    with emulated_firmware(model, firmware, emulator, link, count=count) as emulated:
        yield emulated


@contextlib.contextmanager
def emulated_firmware(
    model: ConvertedModel,
    firmware: Firmware,
    emulator: EmulatorName | None = None,
    link: LinkOptions | None = None,
    *,
    count: bool = False,
) -> Iterator[EmulatedDevice]:
    """Starts a firmware that was built in an emulator, and opens the link.

    Args:
        model: what the firmware computes.
        firmware: that was built.
        emulator: by default the one that ``require_emulator`` gives.
        link: what is to be said of it.
        count: whether QEMU counts at each address, so that cycles can be modelled.

    Raises:
        ToolchainError, DeviceError, LinkError: see what each step raises.
    """
    board = firmware.board
    with contextlib.ExitStack() as opened:
        cycles = opened.enter_context(cycle_counter(board, firmware.elf)) if count else None
        counter = cycles.counter if cycles else None
        target = opened.enter_context(open_emulator(board, firmware.elf, emulator, counter))
        client = opened.enter_context(
            _client(model, board, target.port, link, [firmware.elf.parent])
        )
        yield EmulatedDevice(Device(client, target, model), firmware, cycles)


@contextlib.contextmanager
def attached_devices(
    model: ConvertedModel, board: Board, ports: Sequence[str], link: LinkOptions | None = None
) -> Iterator[list[Device]]:
    """Opens the links to flashed boards.

    Raises:
        DeviceError: no port was named, or one does not open.
        LinkError: nobody answers there, or another model.
    """
    if not ports:
        raise DeviceError(
            "the board's serial port has to be named",
            hint=f"-p PORT; this machine has: {describe_ports(board)}",
        )
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(_client(model, board, port, link)) for port in ports]
        yield [Device(client, Target("board", client.port), model) for client in clients]


def _client(
    model: ConvertedModel,
    board: Board,
    port: str,
    link: LinkOptions | None,
    builds: Sequence[Path] = (),
) -> Client:
    """A client, which looks for the firmware in folders of builds, by default the model's."""
    link = link or LinkOptions()
    timeout_s = link.timeout_s or inference_timeout_s(model)

    def locate(firmware_hash: str, address: int) -> str | None:
        for folder in builds or sorted(path for path in model.folder.iterdir() if path.is_dir()):
            with contextlib.suppress(ModelError):  # a damaged build tells nothing
                build = read_build(folder)
                if build and build.hash == firmware_hash:
                    return function_at(build.elf, address)
        return None

    return Client(port, link.baud or board.uart.baud, timeout_s, link.session, locate)
