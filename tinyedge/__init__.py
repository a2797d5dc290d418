"""tinyedge: deeply quantized networks on microcontrollers, proven on the device itself.

In Python, ``convert`` begins: ``tinyedge.convert(model).build(board).run(samples)``. What is named
here is imported when it is first used, so that importing the package takes no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tinyedge.api import Firmware, Footprint, Model, Result, attack, convert, load
    from tinyedge.commands.arena import arena
    from tinyedge.commands.check import check
    from tinyedge.commands.export import export
    from tinyedge.commands.footprint import footprint
    from tinyedge.commands.quantize import quantize
    from tinyedge.commands.report import report
    from tinyedge.commands.resources import resources
    from tinyedge.commands.train import train
    from tinyedge.evaluation.suites import Suite, load_suites

_HOMES = {
    "Firmware": "tinyedge.api",
    "Footprint": "tinyedge.api",
    "Model": "tinyedge.api",
    "Result": "tinyedge.api",
    "Suite": "tinyedge.evaluation.suites",
    "arena": "tinyedge.commands.arena",
    "attack": "tinyedge.api",
    "check": "tinyedge.commands.check",
    "convert": "tinyedge.api",
    "export": "tinyedge.commands.export",
    "footprint": "tinyedge.commands.footprint",
    "load": "tinyedge.api",
    "load_suites": "tinyedge.evaluation.suites",
    "quantize": "tinyedge.commands.quantize",
    "report": "tinyedge.commands.report",
    "resources": "tinyedge.commands.resources",
    "train": "tinyedge.commands.train",
}

__all__ = [
    "Firmware",
    "Footprint",
    "Model",
    "Result",
    "Suite",
    "arena",
    "attack",
    "check",
    "convert",
    "export",
    "footprint",
    "load",
    "load_suites",
    "quantize",
    "report",
    "resources",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tinyedge' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
