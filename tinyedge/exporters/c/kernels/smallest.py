"""The choice of kernels that takes the least flash: weights, constants, and the kernels' own code.

A kernel's code counts once, however many layers it serves, so layers are not chosen for one by one.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tinyedge.boards.cores import CORES, Core
from tinyedge.exporters.c.kernels.kernel import Kernel

_TABLE = Path(__file__).with_name("code_bytes.json")
_WORD = 4
_WIDTHS = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4}

Kind = tuple[str, ...]
"""The runtime's files that a kernel needs."""


def smallest(found: Mapping[str, Sequence[Kernel]], core: Core) -> dict[str, Kernel]:
    """One kernel for each operator: a choice that one kind more or less makes no smaller.

    Args:
        found: the kernels that can compute an operator, by its name, the one to prefer first.
        core: that they are compiled for.
    """
    code = _code_bytes(core)
    kinds = sorted({kernel.sources for kernels in found.values() for kernel in kernels})
    plain = {kernels[-1].sources for kernels in found.values()}
    fewest = {name: sorted(kernels, key=constant_bytes) for name, kernels in found.items()}
    results = [_descend(fewest, kinds, start, code) for start in (set(kinds), plain)]
    return min(results, key=lambda chosen: total_bytes(chosen.values(), code))


def _descend(
    found: Mapping[str, Sequence[Kernel]],
    kinds: Sequence[Kind],
    allowed: set[Kind],
    code: Mapping[str, int],
) -> dict[str, Kernel]:
    """The best choice that one kind more or less does not improve, from the allowed ones on."""
    chosen = _of(found, allowed)
    assert chosen is not None
    least = total_bytes(chosen.values(), code)
    while True:
        best = None
        for kind in kinds:
            tried = _of(found, allowed ^ {kind})
            if tried and (size := total_bytes(tried.values(), code)) < least:
                best, least = (allowed ^ {kind}, tried), size
        if best is None:
            return chosen
        allowed, chosen = best


def _of(found: Mapping[str, Sequence[Kernel]], allowed: set[Kind]) -> dict[str, Kernel] | None:
    """The first kernels that are allowed; None where an operator has none."""
    chosen = {}
    for name, kernels in found.items():
        mine = next((kernel for kernel in kernels if kernel.sources in allowed), None)
        if mine is None:
            return None
        chosen[name] = mine
    return chosen


def total_bytes(kernels: Iterable[Kernel], code: Mapping[str, int]) -> int:
    """Bytes of flash: constants of all, and each file's code once."""
    chosen = list(kernels)
    files = {file for kernel in chosen for file in kernel.sources}
    return sum(map(constant_bytes, chosen)) + sum(code[file] for file in files)


def constant_bytes(kernel: Kernel) -> int:
    """Bytes of a layer's weights, other arrays and struct."""
    arrays = sum(array.values.size * _WIDTHS.get(array.ctype, _WORD) for array in kernel.arrays)
    return arrays + _WORD * _words(kernel.fields)


def _words(fields: object) -> int:
    """The members of a struct, each of which takes a word."""
    if isinstance(fields, Mapping):
        return sum(map(_words, fields.values()))
    if isinstance(fields, (list, tuple, np.ndarray)):
        return sum(map(_words, fields))
    return 1


@functools.cache
def _tables() -> dict[str, dict[str, int]]:
    """Code of every file of the runtime, in bytes, by core; ``tools/measure_code.py`` writes it."""
    tables: dict[str, dict[str, int]] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return tables


def _code_bytes(core: Core) -> dict[str, int]:
    """The table of the core that has the same kernels; of a Cortex-M0 where none has."""
    for name, table in _tables().items():
        if CORES[name].has_kernels_of(core):
            return table
    return _tables()["cortex-m0"]
