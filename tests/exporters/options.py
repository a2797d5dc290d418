"""The options that C code can be made for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import pytest

from tinyedge.boards.cores import CORES, Core
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.c.kernels import Kernel, select
from tinyedge.names import OBJECTIVES

OPTIONS = tuple(
    CodeOptions(core.name, objective) for core in CORES.values() for objective in OBJECTIVES
)


def _densest(found: Mapping[str, Sequence[Kernel]], _core: Core) -> dict[str, Kernel]:
    return {
        name: min(kernels, key=lambda each: ("_mve_" not in each.function, each.weight_bytes))
        for name, kernels in found.items()
    }


@contextlib.contextmanager
def fast_and_dense() -> Iterator[None]:
    """For ``size`` fast kernels with the densest weights, whatever code that takes.

    A single layer is too small for them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "smallest", _densest)
        yield
