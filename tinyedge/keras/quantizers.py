"""The integer meaning of QKeras' quantizers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.keras.grids import Float64, Grid

WEIGHT_QUANTIZERS = (
    "quantized_bits",
    "ternary",
    "stochastic_ternary",
    "binary",
    "stochastic_binary",
    "quantized_po2",
)
ACTIVATION_QUANTIZERS = ("quantized_relu", "quantized_bits")

_TOLERANCE = 1e-3
"""How far a quantized weight may lie from its code, in codes: float32 rounding stays far below."""


def quantizer_name(quantizer: Any) -> str:
    """The name to tell the user."""
    return getattr(quantizer, "__name__", None) or type(quantizer).__name__


def weight_codes(
    layer_name: str, role: str, quantizer: Any, kernel: Any
) -> tuple[NDArray[np.int16], Float64]:
    """Splits a quantized kernel into integer codes and scales.

    Args:
        layer_name: for messages.
        role: which kernel of the layer, for messages.
        quantizer: QKeras' quantizer object, or None.
        kernel: the float kernel, output channel last.

    Returns:
        Codes, int16 and of the kernel's shape (8 bits fill int8; a folded sign may make one 128),
        and scales, broadcast to the kernel's shape: ``quantized = codes * scales``.

    Raises:
        ModelError: the quantizer is missing or not supported.
    """
    name = quantizer_name(quantizer) if quantizer is not None else None
    if name not in WEIGHT_QUANTIZERS:
        raise ModelError(
            f"layer '{layer_name}': {role} quantizer {name or 'missing'}",
            hint=f"supported: {', '.join(WEIGHT_QUANTIZERS)}",
        )
    # Called eagerly, in Keras' learning phase 0: stochastic quantizers are deterministic there.
    quantized = np.asarray(quantizer(kernel), dtype=np.float64)
    if name == "quantized_po2":
        scale = _smallest(quantized)
    else:
        scale = np.asarray(quantizer.scale, dtype=np.float64)
    if name == "quantized_bits":
        bits = int(quantizer.bits)
        if not 1 <= bits <= 8:
            raise ModelError(
                f"layer '{layer_name}': {role} quantizer quantized_bits of {bits} bits",
                hint="supported: 1 to 8 bits",
            )
        magnitude_bits = bits - int(quantizer.keep_negative)
        if magnitude_bits > 0:
            scale = scale * 2.0 ** (int(quantizer.integer) - magnitude_bits)
    scales = np.broadcast_to(scale, quantized.shape)
    safe = np.where(scales > 0, scales, 1.0)
    codes = np.where(scales > 0, np.rint(quantized / safe), 0.0)
    error = np.abs(quantized - codes * scales) / safe
    low, high = (0, 255) if not getattr(quantizer, "keep_negative", True) else (-128, 127)
    if not np.all(np.isfinite(quantized)) or error.max(initial=0.0) > _TOLERANCE:
        raise ModelError(f"layer '{layer_name}': its {role} is not on the grid of {name}")
    if codes.size and (codes.min() < low or codes.max() > min(high, 127)):
        raise ModelError(
            f"layer '{layer_name}': {role} codes from {codes.min():.0f} to {codes.max():.0f}",
            hint="weights have to fit in 8 bits with a sign",
        )
    return codes.astype(np.int16), scales


def _smallest(powers: Float64) -> Float64:
    """The smallest power of two in each output channel, of which the others are multiples."""
    sizes = np.where(powers == 0, np.inf, np.abs(powers))
    smallest = sizes.reshape(-1, powers.shape[-1]).min(axis=0, initial=np.inf)
    return np.where(np.isinf(smallest), 1.0, smallest)


def activation_grid(layer_name: str, quantizer: Any) -> Grid:
    """The int8 grid of an activation quantizer.

    ``quantized_relu(b, i)`` gives multiples of 2**(i-b), ``quantized_bits(b, i)`` multiples of
    2**(i-b+1).

    Raises:
        ModelError: the quantizer, or one of its settings, is not supported.
    """
    name = quantizer_name(quantizer)
    if name not in ACTIVATION_QUANTIZERS:
        raise ModelError(
            f"layer '{layer_name}': activation {name}",
            hint=f"supported: {', '.join(ACTIVATION_QUANTIZERS)} of 2 to 8 bits, relu, linear, "
            "and softmax at the end",
        )
    bits, integer = int(quantizer.bits), int(quantizer.integer)
    if not 2 <= bits <= 8:
        raise ModelError(
            f"layer '{layer_name}': activation {name} of {bits} bits", hint="supported: 2 to 8 bits"
        )
    if float(quantizer.qnoise_factor) != 1.0:
        raise ModelError(f"layer '{layer_name}': activation {name} with qnoise_factor below 1")
    if name == "quantized_relu":
        return _relu_grid(layer_name, quantizer, bits, integer)
    # QKeras rounds to the steps without alpha, and multiplies the result by it.
    if quantizer.alpha is not None and (
        isinstance(quantizer.alpha, str) or not np.all(np.equal(quantizer.alpha, 1.0))
    ):
        raise ModelError(
            f"layer '{layer_name}': activation {name} with alpha {quantizer.alpha!r}",
            hint="supported as an activation: alpha=None or 1.0; for another scale put a Rescaling "
            "layer behind it",
        )
    signed = int(quantizer.keep_negative)
    low = (-(2 ** (bits - 1)) + int(quantizer.symmetric)) if signed else 0
    high = 2 ** (bits - signed) - 1
    return Grid.of_steps(2.0 ** (integer - bits + signed), low, high)


def _relu_grid(layer_name: str, quantizer: Any, bits: int, integer: int) -> Grid:
    if quantizer.use_sigmoid or quantizer.negative_slope:
        raise ModelError(
            f"layer '{layer_name}': activation quantized_relu with use_sigmoid or negative_slope",
            hint="supported: both left at 0",
        )
    step, high = 2.0 ** (integer - bits), 2**bits - 1
    if not quantizer.is_quantized_clip and quantizer.relu_upper_bound is not None:
        steps = float(quantizer.relu_upper_bound) / step
        if steps != int(steps):
            raise ModelError(
                f"layer '{layer_name}': relu_upper_bound {quantizer.relu_upper_bound} is not a "
                f"multiple of the step {step}"
            )
        high = min(high, int(steps))
    return Grid.of_steps(step, 0, high)
