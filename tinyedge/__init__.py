"""tinyedge: deeply quantized networks on microcontrollers, proven on the device itself.

In Python, ``convert`` begins: ``tinyedge.convert(model).build(board).run(samples)``. What is named
here is imported when it is first used, so that importing the package takes no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tinyedge.api import (
        Firmware,
        Footprint,
        Model,
        Result,
        attack,
        convert,
        convert_to_hls4ml,
        load,
        load_suites,
    )
    from tinyedge.commands.arena import arena
    from tinyedge.commands.boards import fit_boards, list_boards, show_board, validate_boards
    from tinyedge.commands.build import build
    from tinyedge.commands.bundle import bundle, verify
    from tinyedge.commands.check import check
    from tinyedge.commands.devices import devices
    from tinyedge.commands.doctor import doctor
    from tinyedge.commands.emulate import Emulation, emulate
    from tinyedge.commands.export import export
    from tinyedge.commands.flash import flash
    from tinyedge.commands.footprint import footprint
    from tinyedge.commands.gate import gate
    from tinyedge.commands.monitor import monitor
    from tinyedge.commands.quantize import quantize
    from tinyedge.commands.report import report
    from tinyedge.commands.resources import resources
    from tinyedge.commands.run import run
    from tinyedge.commands.selftest import selftest
    from tinyedge.commands.sweep import sweep
    from tinyedge.commands.train import train
    from tinyedge.evaluation.suites import Suite

_HOMES = {
    "Emulation": "tinyedge.commands.emulate",
    "Firmware": "tinyedge.api",
    "Footprint": "tinyedge.api",
    "Model": "tinyedge.api",
    "Result": "tinyedge.api",
    "Suite": "tinyedge.evaluation.suites",
    "arena": "tinyedge.commands.arena",
    "attack": "tinyedge.api",
    "build": "tinyedge.commands.build",
    "bundle": "tinyedge.commands.bundle",
    "check": "tinyedge.commands.check",
    "convert": "tinyedge.api",
    "convert_to_hls4ml": "tinyedge.api",
    "devices": "tinyedge.commands.devices",
    "doctor": "tinyedge.commands.doctor",
    "emulate": "tinyedge.commands.emulate",
    "export": "tinyedge.commands.export",
    "fit_boards": "tinyedge.commands.boards",
    "flash": "tinyedge.commands.flash",
    "footprint": "tinyedge.commands.footprint",
    "gate": "tinyedge.commands.gate",
    "list_boards": "tinyedge.commands.boards",
    "load": "tinyedge.api",
    "load_suites": "tinyedge.api",
    "monitor": "tinyedge.commands.monitor",
    "quantize": "tinyedge.commands.quantize",
    "report": "tinyedge.commands.report",
    "resources": "tinyedge.commands.resources",
    "run": "tinyedge.commands.run",
    "selftest": "tinyedge.commands.selftest",
    "show_board": "tinyedge.commands.boards",
    "sweep": "tinyedge.commands.sweep",
    "train": "tinyedge.commands.train",
    "validate_boards": "tinyedge.commands.boards",
    "verify": "tinyedge.commands.bundle",
}

__all__ = [
    "Emulation",
    "Firmware",
    "Footprint",
    "Model",
    "Result",
    "Suite",
    "arena",
    "attack",
    "build",
    "bundle",
    "check",
    "convert",
    "convert_to_hls4ml",
    "devices",
    "doctor",
    "emulate",
    "export",
    "fit_boards",
    "flash",
    "footprint",
    "gate",
    "list_boards",
    "load",
    "load_suites",
    "monitor",
    "quantize",
    "report",
    "resources",
    "run",
    "selftest",
    "show_board",
    "sweep",
    "train",
    "validate_boards",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tinyedge' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
