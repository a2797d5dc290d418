"""HGQ2's fixed-point quantizers, with bits for each element, channel or tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.keras.grids import Float64
from tinyedge.keras.keras3 import HGQ2
from tinyedge.keras.weights import numbered

Float32 = NDArray[np.float32]

_ROUNDINGS: Mapping[str, Any] = {
    "RND": lambda x: np.floor(x + np.float32(0.5)),
    "RND_CONV": np.round,
    "RND_INF": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "RND_MIN_INF": lambda x: -np.floor(np.float32(0.5) - x),
    "RND_ZERO": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
    "TRN": np.floor,
    "TRN_ZERO": np.trunc,
}
_OVERFLOWS = ("SAT", "SAT_SYM", "WRAP")
_ORDERS = {
    ("kbi", False): "bik",
    ("kbi", True): "bki",
    ("kif", False): "ifk",
    ("kif", True): "fki",
}
"""A quantizer's weights in the file, by its type and whether it wraps; trainable ones first."""
_MOST_BITS = 64
"""Most bits of a fraction or an integer part; a bias of zero has a fraction of 47."""
_EXACT = 2.0**52


@dataclass(frozen=True)
class Fixed:
    """A fixed-point quantizer: multiples of ``scaler * 2**-fraction``.

    Attributes:
        negative, integer, fraction: whether there are negative values, and bits before and behind
            the point, without the sign; integers of a shape that what is quantized has too, or that
            is broadcast to it.
        rounding: HGQ2's name; ``TRN`` and ``TRN_ZERO`` do not go to the nearest value.
        overflow: ``SAT``, ``SAT_SYM`` (as far below zero as above) or ``WRAP`` (modulo).
        scaler: what values are divided by before, and multiplied with behind;
            positive.
        wraps_weights: whether ``WRAP`` is heeded for weights; HGQ2 only rounds them, as a rule.
    """

    negative: Float64
    integer: Float64
    fraction: Float64
    rounding: str
    overflow: str
    scaler: float = 1.0
    wraps_weights: bool = True

    @classmethod
    def read(cls, where: str, given: Any, group: Any, shape: tuple[int, ...]) -> Fixed | None:
        """A quantizer of a file.

        Args:
            where: layer and role, for messages.
            given: its configuration.
            group: of the file, with its bits.
            shape: of what is quantized, without the batch.

        Returns:
            None for one that leaves values as they are.

        Raises:
            ModelError: it is none of fixed point, or one of settings that are not read.
        """
        kind = str(given["class_name"]).removeprefix(HGQ2)
        settings = given["config"]
        family = str(settings.get("q_type"))
        if kind == "QuantizerConfig" and family == "dummy":
            return None
        if kind != "QuantizerConfig" or family not in ("kbi", "kif"):
            raise ModelError(
                f"{where}: quantizer {kind} of type {family[:40]!r}",
                hint="supported: QuantizerConfig of type 'kbi' or 'kif'",
            )
        if settings.get("affine") is not None or settings.get("bw_mapper") is not None:
            raise ModelError(
                f"{where}: a quantizer with affine or bw_mapper", hint="leave both at None"
            )
        overflow = str(settings["overflow_mode"]).upper()
        rounding = str(settings["round_mode"]).upper().removeprefix("S_")
        if overflow not in _OVERFLOWS or rounding not in _ROUNDINGS:
            raise ModelError(
                f"{where}: round_mode {rounding[:40]!r}, overflow_mode {overflow[:40]!r}",
                hint=f"supported: {', '.join(_ROUNDINGS)}; {', '.join(_OVERFLOWS)}",
            )
        arrays = [np.asarray(each, np.float64) for each in numbered(group["quantizer"])]
        order = _ORDERS[family, overflow == "WRAP"]
        found: dict[str, Float64] = {
            name: np.rint(array) for name, array in zip(order, arrays, strict=False)
        }
        bits = np.broadcast_shapes(*(array.shape for array in found.values()))
        whole = (1,) * (len(bits) - len(shape)) + shape
        if np.broadcast_shapes(bits, whole) != whole:
            raise ModelError(f"{where}: bits of shape {bits} for values of shape {shape}")
        fraction = found["b"] - found["i"] if family == "kbi" else found["f"]
        result = cls(
            (found["k"] > 0).astype(np.float64),
            found["i"],
            fraction,
            rounding,
            overflow,
            1.0 if settings.get("scaler") is None else float(settings["scaler"]),
            not (
                settings.get("is_weight")
                and settings.get("trainable")
                and (family == "kif" or rounding == "RND")
            ),
        )
        sizes = np.stack(np.broadcast_arrays(result.integer, fraction, result.negative))
        if not (np.abs(sizes) <= _MOST_BITS).all():
            raise ModelError(f"{where}: bits that are not numbers, or more than {_MOST_BITS}")
        if not 2.0**-_MOST_BITS <= result.scaler <= 2.0**_MOST_BITS:
            raise ModelError(
                f"{where}: a scaler of {result.scaler:g}",
                hint=f"scalers from 2^-{_MOST_BITS} to 2^{_MOST_BITS} can be read",
            )
        return result

    @property
    def to_nearest(self) -> bool:
        """Whether it rounds to the nearest value."""
        return not self.rounding.startswith("TRN")

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Where it has bits: other values are zero."""
        return self.negative + self.integer + self.fraction > 0

    @property
    def steps(self) -> tuple[Float64, Float64]:
        """Smallest and largest multiples of the step."""
        power = np.exp2(np.maximum(self.integer, -self.fraction) + self.fraction)
        symmetric = self.overflow == "SAT_SYM"
        return -self.negative * (power - symmetric), power - 1

    def constants(self, values: Float32) -> Float64:
        """Weights or a bias as HGQ2 computes with them, by its operations in float32."""
        fraction, integer = (
            part.astype(np.float32)
            for part in (self.fraction, np.maximum(self.integer, -self.fraction))
        )
        scale = np.exp2(fraction)
        x = values / np.float32(self.scaler)
        if self.overflow != "WRAP":
            low, high = self.steps
            x = np.clip(x, low.astype(np.float32) / scale, high.astype(np.float32) / scale)
        x = _ROUNDINGS[self.rounding](x * scale) / scale
        if self.overflow == "WRAP" and not self.wraps_weights:
            return np.asarray(x, np.float64).reshape(values.shape) * self.scaler
        if self.overflow == "WRAP":
            offset = self.negative.astype(np.float32) * np.exp2(integer)
            x = (x + offset) % np.exp2(integer + self.negative.astype(np.float32)) - offset
        alive = np.where(self.alive, x, 0.0).reshape(values.shape)
        return alive.astype(np.float64) * self.scaler


def codes_of(real: Float64, finest: float) -> tuple[NDArray[np.int64], Float64]:
    """Splits weights on fixed-point grids into the smallest codes.

    Args:
        real: (out, ...), each a multiple of ``finest``.
        finest: positive.

    Returns:
        Codes of that shape and scales (out,); of a channel of zeros it is 1.
    """
    multiples = np.rint(real / finest)
    if not (np.abs(multiples) < _EXACT).all():
        raise ModelError("weights that are not finite, or of more than 52 bits")
    integers = multiples.astype(np.int64)
    bits = np.bitwise_or.reduce(integers.reshape(len(integers), -1), axis=1)
    lowest = np.where(bits == 0, 1, bits & -bits)
    codes = integers // lowest.reshape(-1, *[1] * (integers.ndim - 1))
    return codes, np.where(bits == 0, 1.0, lowest * finest)
