"""Where firmware runs: each target ends in a serial port, and nothing else of it is seen."""

from tinyedge.targets.emulators import (
    available_emulators,
    counting_stand_in,
    open_emulator,
    require_emulator,
)
from tinyedge.targets.target import Target

__all__ = [
    "Target",
    "available_emulators",
    "counting_stand_in",
    "open_emulator",
    "require_emulator",
]
