"""A process that runs a Cortex-M's firmware in Unicorn, its serial port on a TCP socket.

Prints the socket's port on stdout, and serves one connection after another until it is killed.
Unicorn is licensed under the GPL, version 2: it is loaded here, in a process of its own, and
nowhere else.

Clock and pin registers read as zero, as in QEMU; there is no SysTick and so no latency.
Firmware starts at the program's entry, which boot ROMs and boot loaders find in their own ways.
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc, UcError, arm_const

from tinyedge.boards.emulators import SerialRegisters
from tinyedge.boards.families import FAMILIES

_CPUS = {
    "cortex-m0": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm_const.UC_CPU_ARM_CORTEX_M7,
    "cortex-m33": arm_const.UC_CPU_ARM_CORTEX_M33,
}
_PAGE = 0x1000
_PERIPHERALS = (0x40000000, 0x20000000)
_SYSTEM = (0xE000E000, _PAGE)


class _SerialPort:
    """A serial port whose line is a socket: always ready to send, receiving what has arrived.

    While nobody is connected, what it sends is lost.
    """

    def __init__(self, registers: SerialRegisters, server: socket.socket) -> None:
        self._registers = registers
        self._server = server
        self._line: socket.socket | None = None
        self._received = b""
        self._at = 0
        self._sent = bytearray()
        self._idle_polls = 0

    def connect(self) -> None:
        """Waits for the next connection."""
        self._line, _ = self._server.accept()
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, offset: int) -> int:
        registers = self._registers
        if offset == registers.status:
            return registers.ready | (registers.arrived if self._arrived() else registers.empty)
        if offset == registers.received:
            self._idle_polls = 0
            if self._at < len(self._received):
                self._at += 1
                return self._received[self._at - 1]
        return int(offset == registers.sendable)

    def _arrived(self) -> bool:
        if self._at >= len(self._received):
            # Two polls in a row without data: the firmware waits to receive, so wait with it. A
            # firmware that is about to send polls once.
            self._idle_polls += 1
            if self._idle_polls < 2:
                return False
            self._flush()
            self._received, self._at = self._receive(), 0
        return True

    def write(self, offset: int, value: int) -> None:
        if offset == self._registers.sent:
            self._idle_polls = 0
            self._sent.append(value & 0xFF)
            if not value:
                self._flush()

    def _receive(self) -> bytes:
        while True:
            if not self._line:
                self.connect()
            assert self._line
            try:
                if received := self._line.recv(65536):
                    return received
            except OSError:
                pass
            self._disconnect()

    def _flush(self) -> None:
        if self._sent and self._line:
            try:
                self._line.sendall(self._sent)
            except OSError:
                self._disconnect()
        self._sent.clear()

    def _disconnect(self) -> None:
        if self._line:
            self._line.close()
        self._line = None


def _map_peripherals(machine: Any, port: _SerialPort, base: int) -> None:
    """Maps the peripheral space: the serial port where it is, zeros elsewhere."""

    def read(_machine: Any, offset: int, _size: int, _data: Any) -> int:
        at = _PERIPHERALS[0] + offset - base
        return port.read(at) if 0 <= at < _PAGE else 0

    def write(_machine: Any, offset: int, _size: int, value: int, _data: Any) -> None:
        at = _PERIPHERALS[0] + offset - base
        if 0 <= at < _PAGE:
            port.write(at, value)

    machine.mmio_map(*_PERIPHERALS, read, None, write, None)


def _load(machine: Any, elf: Path) -> int:
    """Loads a program; returns its entry."""
    with elf.open("rb") as file:
        program = ELFFile(file)
        for segment in program.iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                machine.mem_write(segment["p_paddr"], segment.data())
        entry: int = program["e_entry"]
    return entry


def _span(region: list[int]) -> tuple[int, int]:
    origin, size = region
    return origin, -(-size // _PAGE) * _PAGE


def main() -> None:
    """Runs the server; see the module."""
    parser = argparse.ArgumentParser(description="a firmware in Unicorn")
    parser.add_argument("elf", type=Path)
    parser.add_argument("--cpu", choices=_CPUS, required=True)
    parser.add_argument("--flash", type=int, nargs=2, required=True, metavar=("ORIGIN", "SIZE"))
    parser.add_argument("--ram", type=int, nargs=2, required=True, metavar=("ORIGIN", "SIZE"))
    parser.add_argument(
        "--region", type=int, nargs=2, action="append", default=[], metavar=("ORIGIN", "SIZE")
    )
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--uart", type=int, required=True, metavar="BASE")
    arguments = parser.parse_args()
    registers = FAMILIES[arguments.family].serial_registers
    assert registers

    machine = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(_CPUS[arguments.cpu])
    for region in (arguments.flash, arguments.ram, *arguments.region):
        machine.mem_map(*_span(region))
    machine.mem_map(*_SYSTEM)
    at = _load(machine, arguments.elf)

    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        port = _SerialPort(registers, server)
        port.connect()
        _map_peripherals(machine, port, arguments.uart)
        try:
            while True:  # it stops where the firmware waits for an interrupt, which never comes
                machine.emu_start(at, 0xFFFFFFFF)
                at = machine.reg_read(arm_const.UC_ARM_REG_PC) | 1
        except UcError as error:
            pc = machine.reg_read(arm_const.UC_ARM_REG_PC)
            raise SystemExit(f"the firmware faulted at 0x{pc:08x}: {error}") from error


if __name__ == "__main__":
    main()
