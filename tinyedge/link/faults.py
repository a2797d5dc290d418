"""Why a firmware has stopped: what the device tells of a fault, in words."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from tinyedge.errors import LinkError

_EXCEPTIONS = {
    2: "NMI",
    3: "HardFault",
    4: "MemManage",
    5: "BusFault",
    6: "UsageFault",
    7: "SecureFault",
    11: "SVCall",
    12: "DebugMonitor",
    14: "PendSV",
}
_HARD_FAULT = 3

# Bits of the configurable fault status register, as the Armv7-M and Armv8-M manuals have them.
_MEM_MANAGE, _BUS_FAULT, _USAGE_FAULT = range(8), range(8, 16), range(16, 32)
_MMFAR_VALID, _BFAR_VALID = 7, 15
_CAUSES = {
    0: "an instruction fetch that is not allowed",
    1: "a data access that is not allowed",
    3: "returning from an exception",
    4: "the stack, on entering an exception",
    5: "saving the FPU's registers",
    8: "an instruction fetch that the bus refused",
    9: "a data access that the bus refused",
    10: "an earlier write that the bus refused",
    11: "returning from an exception",
    12: "the stack, on entering an exception",
    13: "saving the FPU's registers",
    16: "undefined instruction",
    17: "no Thumb instruction",
    18: "a wrong return from an exception",
    19: "no such coprocessor, or the FPU is off",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}


@dataclass(frozen=True)
class Fault:
    """A fault, as the firmware's handler found the core.

    Attributes:
        exception: its number: 3 is HardFault.
        pc: address of the instruction; 0 where the stack could not be read.
        lr: address that the function returns to, or what the core has put in its place.
        xpsr: program status.
        sp: of what the exception has put on the stack.
        cfsr: causes; 0 on a Cortex-M0, which tells none.
        hfsr: what has become a HardFault.
        mmfar: address of the access, where ``cfsr`` says that it is valid.
        bfar: the same of a BusFault.
        stack_overflowed: whether the stack has ever taken all its memory.
        firmware_hash: SHA-256 of the firmware's sources, hexadecimal.
    """

    exception: int
    pc: int
    lr: int
    xpsr: int
    sp: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    stack_overflowed: bool
    firmware_hash: str

    @classmethod
    def parse(cls, payload: bytes) -> Fault:
        """Reads the payload; raises LinkError where it is too short."""
        layout = struct.Struct("<10I32s")
        if len(payload) < layout.size:
            raise LinkError(f"the device's FAULT holds {len(payload)} bytes")
        exception, pc, lr, xpsr, sp, *more, firmware_hash = layout.unpack_from(payload)
        cfsr, hfsr, mmfar, bfar, overflowed = more
        return cls(
            *(exception, pc, lr, xpsr, sp),
            *(cfsr, hfsr, mmfar, bfar),
            stack_overflowed=bool(overflowed),
            firmware_hash=firmware_hash.hex(),
        )

    @property
    def name(self) -> str:
        """As ``BusFault``: what a HardFault was before it could not be handled, if it is known."""
        if self.exception == _HARD_FAULT:
            for name, bits in (
                ("MemManage", _MEM_MANAGE),
                ("BusFault", _BUS_FAULT),
                ("UsageFault", _USAGE_FAULT),
            ):
                if any(self.cfsr >> bit & 1 for bit in bits):
                    return name
        return _EXCEPTIONS.get(self.exception, f"exception {self.exception}")

    @property
    def address(self) -> int | None:
        """The address that was to be accessed, where the core knows it."""
        if self.cfsr >> _BFAR_VALID & 1:
            return self.bfar
        return self.mmfar if self.cfsr >> _MMFAR_VALID & 1 else None

    def describe(self, locate: Callable[[int], str | None]) -> str:
        """One line.

        Args:
            locate: gives the function that an address of code is in, if it knows it.
        """
        causes = [text for bit, text in _CAUSES.items() if self.cfsr >> bit & 1]
        told = f"{self.name} ({', '.join(causes)})" if causes else self.name
        if self.address is not None:
            told += f" of address 0x{self.address:08x}"
        if self.pc:
            told += f" at 0x{self.pc:08x}"
            function = locate(self.pc)
            caller = locate(self.lr & ~1)
            told += f" in {function}" if function else ""
            # Where a function has called others, the register tells of itself.
            if function and caller and _name(function) != _name(caller):
                told += f", called from {_name(caller)}"
        return told + ("; the stack has overflowed" if self.stack_overflowed else "")


def _name(function: str) -> str:
    return function.partition("+")[0]
