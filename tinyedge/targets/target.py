"""What every target looks like from outside."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass
class Target(AbstractContextManager["Target"]):
    """A place where firmware runs, as a context manager that stops it.

    Attributes:
        name: ``qemu``, ``unicorn`` or ``board``.
        port: serial device or pyserial URL.
        ticks_per_instruction: what the device's counter counts in one instruction, where it counts
            instructions; None where it counts cycles, or nothing.
        process: the emulator, if it is one.
    """

    name: str
    port: str
    ticks_per_instruction: float | None = None
    process: subprocess.Popen[Any] | None = field(default=None, repr=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
