"""Firmware that starts on a part whose clocks are ready as soon as they are switched on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tinyedge.boards import Board


class Svd:
    """Registers of some peripherals of a part, as ``cmsis-svd`` brings them from its vendor.

    Attributes:
        addresses: by ``PERIPHERAL.REGISTER``.
        reset: values after a reset, by address.
        fields: offset and width, by name, of the register at an address.
        interrupts: numbers, by name.
        named: values that have a name, by register's address.
    """

    def __init__(self, file: str, peripherals: set[str]) -> None:
        path = resources.files("cmsis_svd") / "data" / file
        root = ET.fromstring(path.read_bytes())  # noqa: S314 - a file of a pinned package
        self.addresses: dict[str, int] = {}
        self.reset: dict[int, int] = {}
        self.fields: dict[int, dict[str, tuple[int, int]]] = {}
        self.interrupts: dict[str, int] = {}
        self.named: dict[int, dict[str, int]] = {}
        every = {str(node.findtext("name")): node for node in root.iter("peripheral")}
        for name in peripherals:
            node = every[name]
            for interrupt in node.findall("interrupt"):
                self.interrupts[str(interrupt.findtext("name"))] = _number(interrupt, "value")
            for register in every.get(node.get("derivedFrom", ""), node).iter("register"):
                for register_name, offset in _repeated(register):
                    self._add(
                        f"{name}.{register_name}", _number(node, "baseAddress") + offset, register
                    )

    def _add(self, name: str, address: int, register: ET.Element) -> None:
        self.addresses[name] = address
        self.reset[address] = _number(register, "resetValue")
        self.fields[address] = {
            str(field.findtext("name")): _bits(field) for field in register.iter("field")
        }
        self.named[address] = {
            str(value.findtext("name")): _number(value, "value")
            for value in register.iter("enumeratedValue")
        }


def _number(node: ET.Element, tag: str) -> int:
    return int(node.findtext(tag) or "0", 0)


def _repeated(register: ET.Element) -> Iterator[tuple[str, int]]:
    name, offset = str(register.findtext("name")), _number(register, "addressOffset")
    if register.find("dim") is None:
        yield name, offset
        return
    for index in range(_number(register, "dim")):
        number = offset + index * _number(register, "dimIncrement")
        yield name.replace("[%s]", str(index)).replace("%s", str(index)), number


def _bits(field: ET.Element) -> tuple[int, int]:
    if field.find("lsb") is not None:
        low = _number(field, "lsb")
        return low, _number(field, "msb") - low + 1
    if found := re.fullmatch(r"\[(\d+):(\d+)\]", field.findtext("bitRange") or ""):
        return int(found[2]), int(found[1]) - int(found[2]) + 1
    return _number(field, "bitOffset"), _number(field, "bitWidth")


class Machine:
    """A firmware that has run until it waits for its first byte.

    Attributes:
        values: of the registers that were written or have a reset value, by address.
        writes: address and value, in order.
        enabled: the interrupts that the core lets through, a bit each.
    """

    def __init__(
        self,
        board: Board,
        elf: Path,
        reset: dict[int, int],
        respond: Callable[[dict[int, int], int, int], None],
    ) -> None:
        """Runs it.

        Args:
            board: what the firmware is for.
            elf: the firmware.
            reset: values of registers after a reset, by address.
            respond: what the part does after a write: gets all values, the address and the value.
        """
        from elftools.elf.elffile import ELFFile
        from unicorn import UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, Uc, arm_const

        self.values = dict(reset)
        self.writes: list[tuple[int, int]] = []
        cpus = {
            "cortex-m0": arm_const.UC_CPU_ARM_CORTEX_M0,
            "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
            "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
            "cortex-m33": arm_const.UC_CPU_ARM_CORTEX_M33,
        }
        machine: Any = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        machine.ctl_set_cpu_model(cpus[board.core])
        for region in (board.flash, board.ram):
            machine.mem_map(region.origin, region.size)
        base = 0x40000000
        self.enabled = 0

        def read(_machine: object, offset: int, _size: int, _data: object) -> int:
            return self.values.get(base + offset, 0)

        def write(_machine: object, offset: int, _size: int, value: int, _data: object) -> None:
            self.writes.append((base + offset, value))
            self.values[base + offset] = value
            respond(self.values, base + offset, value)

        def write_system(_m: object, offset: int, _size: int, value: int, _data: object) -> None:
            if 0x100 <= offset < 0x120:  # a one sets in ISER, and clears in ICER
                self.enabled |= value << (offset - 0x100) * 8
            if 0x180 <= offset < 0x1A0:
                self.enabled &= ~(value << (offset - 0x180) * 8)

        machine.mmio_map(base, 0x20000000, read, None, write, None)
        machine.mmio_map(0xE000E000, 0x1000, lambda *_: 0, None, write_system, None)
        with elf.open("rb") as file:
            program = ELFFile(file)
            for segment in program.iter_segments():
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                    machine.mem_write(segment["p_paddr"], segment.data())
            entry = program["e_entry"]
        machine.emu_start(entry, 0xFFFFFFFF, timeout=20_000_000)  # up to the first wfi

    def when(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> int:
        """The place among the writes of the first of a value, or of the bits of a mask."""
        return next(
            place
            for place, (written, content) in enumerate(self.writes)
            if written == address and content & mask == value
        )
