"""The quantized kernels of a QKeras model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["kernel", "depthwise", "pointwise"]


@dataclass(frozen=True)
class QuantizedKernel:
    """A kernel with a quantizer.

    Attributes:
        layer: that has it.
        role: which of the layer's kernels.
        quantizer: QKeras' quantizer object.
    """

    layer: Any
    role: Role
    quantizer: Any

    @property
    def attribute(self) -> str:
        """Where the layer keeps what it calls to quantize the kernel."""
        return f"{self.role}_quantizer_internal"

    @property
    def variable(self) -> Any:
        """The float kernel."""
        return getattr(self.layer, "kernel" if self.role == "kernel" else f"{self.role}_kernel")

    @property
    def axis(self) -> int:
        """Axis of the kernel's output channels."""
        return len(self.variable.shape) - (2 if self.role == "depthwise" else 1)


def quantized_kernels(model: Any) -> list[QuantizedKernel]:
    """All of them, in the order of the layers."""
    roles: tuple[Role, ...] = ("kernel", "depthwise", "pointwise")
    return [
        QuantizedKernel(layer, role, quantizer)
        for layer in model.layers
        for role in roles
        if (quantizer := getattr(layer, f"{role}_quantizer_internal", None)) is not None
    ]


@contextlib.contextmanager
def replaced_quantizers(
    replacements: Sequence[tuple[QuantizedKernel, Callable[[Any], Any]]],
) -> Iterator[None]:
    """Lets layers call other functions of their kernels, inside the ``with`` block."""
    # A plain attribute: assigned as usual, Keras would begin to track it.
    put = object.__setattr__
    try:
        for kernel, replacement in replacements:
            put(kernel.layer, kernel.attribute, replacement)
        yield
    finally:
        for kernel, _ in replacements:
            put(kernel.layer, kernel.attribute, kernel.quantizer)
