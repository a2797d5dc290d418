"""The options that C code can be made for."""

from __future__ import annotations

from tinyedge.boards.cores import CORES
from tinyedge.exporters.c import CodeOptions
from tinyedge.names import OBJECTIVES

OPTIONS = tuple(
    CodeOptions(core.name, objective) for core in CORES.values() for objective in OBJECTIVES
)
