"""A kernel that was chosen for an operator, as the generated code needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinyedge.boards.cores import CORES, Core
from tinyedge.names import CoreName, Objective

Fields = Mapping[str, "int | str | Sequence[int | Fields] | Fields"]
"""Members of a C struct, nested where the struct is."""


@dataclass(frozen=True)
class CodeOptions:
    """The core and the objective that C code is made for.

    Attributes:
        core: whose instructions the kernels are chosen by. The code runs on every core, and gives
            the same bytes; on others it may be slower.
        optimize: for ``speed``, with no larger an arena than TFLite-Micro's where weights have 8
            bits; ``fastest``, whatever scratch that takes; for the ``size`` of the flash image; or
            for the least ``ram``.
    """

    core: CoreName = "cortex-m4"
    optimize: Objective = "speed"

    @property
    def features(self) -> Core:
        """The instructions of the core."""
        return CORES[self.core]


@dataclass(frozen=True, eq=False)
class Array:
    """A constant array of a layer, ``<identifier>_<name>`` in C.

    Attributes:
        name: what it holds.
        ctype: of its elements.
        values: its elements; of structs, a row of members each.
        comment: said in the code.
        weights: whether a footprint counts it among the weights.
    """

    name: str
    ctype: str
    values: NDArray[np.integer]
    comment: str = ""
    weights: bool = False


@dataclass(frozen=True)
class Kernel:
    """One call of the generated code.

    Attributes:
        function: C function, defined in ``<function>.c`` of the runtime.
        struct: type of its first argument, the layer's constants.
        fields: members of that struct.
        arrays: constants that the members point to.
        packing: how weights are stored, where the operator has weights.
        scratch: bytes of scratch buffer; None for a kernel without a scratch argument.
        leads: for each input, how many bytes beyond its address the output's may lie at most, where
            the output may overwrite it: 0 lets both start at one place, a negative number lets the
            output start so far before. None, or no entry: they have to lie apart.
        header: that declares function and struct.
        unpack: the runtime's files that read the packing.
        takes_array: whether the inputs are passed as one array of pointers.
    """

    function: str
    struct: str
    fields: Fields
    arrays: tuple[Array, ...] = field(default=(), repr=False)
    packing: str | None = None
    scratch: int | None = None
    leads: tuple[int | None, ...] = ()
    header: str = "te_runtime.h"
    unpack: tuple[str, ...] = ()
    takes_array: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The runtime's source files that this call needs."""
        return (f"{self.function}.c", *self.unpack)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return sum(int(array.values.nbytes) for array in self.arrays if array.weights)
