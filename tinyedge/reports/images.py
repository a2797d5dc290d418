"""Samples as pictures: PNG, as data URLs."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError
from tinyedge.records.parts import Tensor
from tinyedge.samples.scaling import PIXEL_RANGES

_NEAR = 0.02
"""How close an input's range has to come to a range of pixels, as a share of it."""
_INNER = (2, 98)
"""Percentiles at the ends of a heat map."""
_HEAT = ((20, 11, 52), (101, 21, 110), (187, 55, 84), (249, 142, 9), (252, 255, 164))
"""From low to high, by lightness too."""
_SIGNED = ((33, 102, 172), (247, 247, 247), (178, 24, 43))
"""Less, the same, more."""

Bytes = NDArray[np.uint8]


def is_picture(tensor: Tensor) -> bool:
    """Whether an input is an image: one or three channels, in a range that pixels have."""
    low, high = (tensor.scale * (end - tensor.zero_point) for end in (-128, 127))
    close = (
        abs(low - first) + abs(high - last) < _NEAR * (last - first) for first, last in PIXEL_RANGES
    )
    return tensor.shape[-1] in (1, 3) and any(close)


def drawable(tensor: Tensor | None) -> bool:
    """Whether samples of an input can be shown: an image, or a map of one channel."""
    return tensor is not None and len(tensor.shape) == 3 and tensor.shape[-1] in (1, 3)


def draw(sample: NDArray[np.int8], tensor: Tensor, scale: tuple[float, float] = (-128, 127)) -> str:
    """A sample (height, width, channels): an image as it is, anything else as a heat map.

    Args:
        sample: as the device receives it.
        tensor: the model's input.
        scale: of a heat map: the values at its ends, see ``scale_of``.
    """
    if is_picture(tensor):
        return _png((sample.astype(np.int16) + 128).astype(np.uint8))
    low, high = scale
    return _png(_ramp((_upright(sample.astype(np.float64)) - low) / (high - low), _HEAT))


def scale_of(sample: NDArray[np.int8]) -> tuple[float, float]:
    """The range of a heat map: that of nearly all values, as a single one may outshine the rest."""
    low, high = np.percentile(sample, _INNER)
    return float(low), float(max(high, low + 1))


def draw_difference(
    before: NDArray[np.int8], after: NDArray[np.int8], tensor: Tensor
) -> tuple[str, int]:
    """Draws the change that an attack made, amplified; gives the factor too.

    Blue is less, red more; of three channels, grey is the same.
    """
    change = after.astype(np.int16) - before.astype(np.int16)
    gain = max(127 // (int(np.abs(change).max()) or 127), 1)
    shown = np.clip(0.5 + gain * change / 254, 0, 1)
    if change.shape[-1] == 3:
        return _png((shown * 255).astype(np.uint8)), gain
    if not is_picture(tensor):
        shown = _upright(shown)
    return _png(_ramp(shown, _SIGNED)), gain


def _upright(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps with time on their first axis: time to the right, coefficients upwards."""
    return sample.transpose(1, 0, 2)[::-1]


def _ramp(share: NDArray[np.float64], colours: tuple[tuple[int, int, int], ...]) -> Bytes:
    """Shares (height, width, 1) as colours between the given ones."""
    stops = np.linspace(0, 1, len(colours))
    channels = [
        np.interp(share[..., 0], stops, [colour[at] for colour in colours]) for at in range(3)
    ]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _png(pixels: Bytes) -> str:
    image = _pillow().fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            f"pictures need Pillow ({error})",
            hint=install_hint("report"),
        ) from error
    return Image
