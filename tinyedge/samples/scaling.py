"""From the values of a file to a model's input: one way for every command."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, as_batch
from tinyedge.naming import member_names

Int8 = NDArray[np.int8]
Float32 = NDArray[np.float32]
Range = tuple[float, float]

PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))
"""The pairs of values that 0 and 255 of a pixel commonly stand for."""
CLIPPED = 0.01
"""Share of clipped values from which on the user is warned."""

_BYTES = 256
_FEWEST_RECONSTRUCTED = 16
"""Values from which on a model with as many outputs as inputs is an autoencoder: classes of so many
features are seldom just as many."""


@dataclass(frozen=True)
class ModelInput:
    """How a model takes samples.

    Attributes:
        shape: of one sample, NHWC without the batch; None where any will do.
        quantization: of the int8 input; None of a float model.
        classes: that labels count; None where they are not known.
        takes_bytes: whether the model's own file takes uint8, so that a byte is the input itself.
        pixels: what 0 and 255 of a pixel stand for, where the user or a float model says so.
        sequences: whether a sample may be a sequence of frames, as the model has states.
        several: whether the model has several outputs.
        places: whether its output tells the class itself, in int32.
        name: of the input, as an array of samples is called.
        parts: of a model with several inputs each of them; a sample is their values behind each
            other.
    """

    shape: tuple[int, ...] | None = None
    quantization: Quantization | None = None
    classes: int | None = None
    takes_bytes: bool = False
    pixels: Range | None = None
    sequences: bool = False
    several: bool = False
    places: bool = False
    name: str = ""
    parts: tuple[ModelInput, ...] = ()

    @classmethod
    def of(cls, graph: Graph, pixels: Range | None = None, *, sequences: bool = True) -> ModelInput:
        """That of an integer graph, whose one output, if there is one only, tells two classes.

        Without ``sequences`` samples are single frames, whatever the model.
        """
        tensor = graph.input_tensor
        streams = sequences and bool(graph.states)
        kinds = str(graph.source.get("input_type", "")).split()
        parts: list[ModelInput] = []
        if len(graph.inputs) > 1:
            kinds = kinds if len(kinds) == len(graph.inputs) else [""] * len(graph.inputs)
            names = member_names(each.name for each in graph.inputs)
            for each, kind, name in zip(graph.inputs, kinds, names, strict=True):
                bytes_in = kind == "uint8"
                parts.append(
                    cls(each.shape, each.quantization, None, bytes_in, pixels, streams, name=name)
                )
        return cls(
            tensor.shape,
            tensor.quantization,
            max(graph.output_tensor.size, 2),
            all(kind == "uint8" for kind in kinds) and bool(kinds),
            pixels,
            streams,
            len(graph.results) > 1,
            graph.output in graph.int32_results,
            parts=tuple(parts),
        )

    def split(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """Samples (…, values) of a model with several inputs: those of each, (…, *shape)."""
        shapes = [part.shape or () for part in self.parts]
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        cut = np.split(x, ends, axis=-1)
        return [
            each.reshape(*x.shape[:-1], *shape) for each, shape in zip(cut, shapes, strict=True)
        ]

    def joined(self, arrays: Sequence[NDArray[Any]], what: str) -> NDArray[Any]:
        """The reverse: checked samples of each input, as a sample is; of several types as floats.

        Raises:
            DataError: there are not as many of each.
        """
        counts = [x.shape[: x.ndim - len(part.shape or ())] for x, part in self._each(arrays)]
        if len(set(counts)) > 1:
            named = zip(self.parts, counts, strict=True)
            told = ", ".join(f"{part.name}: {count}" for part, count in named)
            raise DataError(f"{what}: inputs of different numbers of samples ({told})")
        given = arrays
        if len({x.dtype for x in arrays}) > 1:
            given = [part.real(x) for x, part in self._each(arrays)]
        return np.concatenate([x.reshape(*counts[0], -1) for x in given], axis=-1)

    def _each(self, arrays: Sequence[NDArray[Any]]) -> Iterator[tuple[NDArray[Any], ModelInput]]:
        return zip(arrays, self.parts, strict=True)

    @property
    def bytes_are_input(self) -> bool:
        """Whether uint8 values are the input itself."""
        return self.takes_bytes and self.pixels is None and self.quantization is not None

    @property
    def pixel_range(self) -> Range:
        """Gives the values that 0 and 255 of a pixel stand for."""
        if self.pixels:
            return self.pixels
        return pixel_range(self.quantization) if self.quantization else PIXEL_RANGES[0]

    @property
    def reconstructs(self) -> bool:
        """Whether the outputs are no classes but as many values as the input's: an autoencoder."""
        if self.shape is None or self.classes is None or self.classes < _FEWEST_RECONSTRUCTED:
            return False
        if self.several or self.places or self.parts:
            return False
        return self.classes == math.prod(self.shape)

    def check_classes(self, what: str) -> None:
        """Raises DataError where the model tells no classes, so that labels mean nothing to it."""
        if self.several:
            raise DataError(
                f"{what} has labels, but the model has several outputs, and no accuracy",
                hint="run samples without labels (--data and --logits; in Python an array x)",
            )
        if self.places:
            raise DataError(
                f"{what} has labels, but the model gives the largest output's place as int32, and "
                "no logits: it has no accuracy here",
                hint="run samples without labels, and compare what --logits writes with them",
            )
        if self.reconstructs:
            raise DataError(
                f"{what} has labels, but the model gives {self.classes} values for as many inputs, "
                "and no classes: it has no accuracy",
                hint="run samples without labels (--data and --logits; in Python an array x)",
            )

    def batch(self, x: NDArray[Any], what: str) -> NDArray[Any]:
        """Samples as (n, *shape), or sequences (n, frames, *shape).

        Raises:
            DataError: they are of another shape.
        """
        if self.shape is None:
            return x
        if self.sequences and x.ndim == len(self.shape) + 2 and x.shape[2:] == self.shape:
            if not x.shape[1]:
                raise DataError(f"{what} of shape {x.shape}: sequences of no frames")
            return x
        return as_batch(x, self.shape, what)

    def real(self, x: NDArray[Any]) -> Float32:
        """Checked samples as the float32 values that the model's input stands for."""
        if self.parts:
            each = [part.real(values) for values, part in self._each(self.split(x))]
            return self.joined(each, "samples")
        if x.dtype == np.uint8:
            floats: Float32 = _table(self)[x]
            return floats
        if x.dtype == np.int8:
            if self.quantization is None:
                raise DataError(
                    "int8 samples, but the model takes floats",
                    hint="give floats, or name a converted model",
                )
            return self.quantization.dequantize(x)
        return x

    def int8(self, x: NDArray[Any]) -> Int8:
        """Checked samples as a device receives them."""
        if x.dtype == np.int8:
            return x
        if self.parts:
            return self.joined(
                [p.int8(values) for values, p in self._each(self.split(x))], "samples"
            )
        assert self.quantization
        if x.dtype == np.uint8:
            if self.bytes_are_input:
                return x.view(np.int8) ^ np.int8(-128)
            quantized: Int8 = self.quantization.quantize(_table(self))[x]
            return quantized
        return self.quantization.quantize(x)

    def reading(self, x: NDArray[Any]) -> str:
        """How the values of checked samples are read, as a sentence; empty for floats."""
        if x.dtype == np.int8:
            return "int8 values are the input itself"
        if x.dtype != np.uint8:
            return ""
        if self.parts:
            each = [part.reading(values) for values, part in self._each(self.split(x))]
            told = zip(self.parts, each, strict=True)
            return "; ".join(f"{part.name}: {text}" for part, text in told)
        if self.bytes_are_input:
            return "bytes are the input itself, as the model's own file takes uint8"
        low, high = self.pixel_range
        return f"pixels from 0 to 255 stand for {low:g} to {high:g}"

    def clipping(self, x: NDArray[Any]) -> str:
        """A warning of floats that the input clips, with the likely factor; empty below 1 %."""
        if self.parts:
            each = [part.clipping(values) for values, part in self._each(self.split(x))]
            told = zip(self.parts, each, strict=True)
            return "; ".join(f"{part.name}: {text}" for part, text in told if text)
        if self.quantization is None or not np.issubdtype(x.dtype, np.floating) or not x.size:
            return ""
        low, high = (float(value) for value in self.quantization.dequantize([-128, 127]))
        half = self.quantization.scale / 2
        share = float(((x < low - half) | (x > high + half)).mean())
        if share < CLIPPED:
            return ""
        return (
            f"{100 * share:.0f} % of the values lie outside {low:.4g} to {high:.4g}, which the "
            f"model's input spans, and are clipped{_likely(x, self.pixel_range)}"
        )


def pixel_range(quantization: Quantization) -> Range:
    """The common range of pixels that the range of a model's int8 input comes closest to."""
    low, high = (float(value) for value in quantization.dequantize([-128, 127]))

    def distance(candidate: Range) -> float:
        width = candidate[1] - candidate[0]
        apart = (abs(candidate[0] - low) + abs(candidate[1] - high)) / width
        return apart + abs(math.log((high - low) / width))

    return min(PIXEL_RANGES, key=distance)


def scaled_pixels(x: NDArray[np.uint8], low: float, high: float) -> Float32:
    """Pixels as floats, of which ``low`` and ``high`` are what 0 and 255 stand for."""
    table = low + np.arange(_BYTES) * ((high - low) / 255.0)
    return table.astype(np.float32)[x]


def checked_values(where: Path | str, x: NDArray[Any], *, batched: bool = True) -> NDArray[Any]:
    """Samples, after all that can be wrong with their values was looked for.

    Args:
        where: file and key, for messages.
        x: int8, uint8 or floats.
        batched: whether the first axis counts samples.

    Returns:
        int8 and uint8 as they are, floats as float32.

    Raises:
        DataError: the values are of another type, or one is NaN or infinite; names the sample.
    """
    check_type(where, x.dtype)
    if x.dtype in (np.int8, np.uint8):
        return x
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
        floats: Float32 = x.astype(np.float32, copy=False)
    finite = np.isfinite(floats)
    if finite.all():
        return floats
    at = tuple(int(index[0]) for index in np.nonzero(~finite))
    sample = f"sample {at[0]}" if batched and at else "the sample"
    raise DataError(
        f"{where}: {sample} holds {x[at]}, finite floats are taken",
        hint="remove or mend that sample",
    )


def wide_epsilon(epsilon: float, clip: Range) -> str:
    """A warning of a change that may lead from one end of the range to the other; else empty."""
    low, high = clip
    if epsilon < high - low:
        return ""
    likely = epsilon * (high - low) / 255
    return (
        f"epsilon {epsilon:g} spans the whole range {low:g} to {high:g} that samples stay in; "
        f"{epsilon:g} steps of a pixel are {likely:.3g}"
    )


def check_type(where: Path | str, dtype: np.dtype[Any]) -> None:
    """Raises DataError unless values of this type can be samples."""
    if dtype not in (np.int8, np.uint8) and not np.issubdtype(dtype, np.floating):
        raise DataError(
            f"{where}: values are {dtype}; int8, uint8 and floats are taken",
            hint="give x.astype(numpy.uint8) for pixels from 0 to 255, else floats",
        )


def _table(takes: ModelInput) -> Float32:
    """Gives the value that each byte stands for."""
    if takes.bytes_are_input:
        assert takes.quantization
        return takes.quantization.dequantize(np.arange(-128, 128))
    return scaled_pixels(np.arange(_BYTES, dtype=np.uint8), *takes.pixel_range)


def _likely(x: NDArray[Any], pixels: Range) -> str:
    """Gives the factor for floats of another common range, as the end of a sentence."""
    low, high = float(x.min()), float(x.max())
    if not -0.5 <= low <= high <= 255.5 or high <= 2.0 or pixels[1] > 2.0:
        return ""
    text = f"; pixels from 0 to 255 have to be divided by {255 / (pixels[1] - pixels[0]):g}"
    return text + (f", and {-pixels[0]:g} subtracted" if pixels[0] else "")
