"""Faults of hls4ml 1.3 that are worked round; each has a test that fails once it is mended.

- Its front door asks the ``keras`` package for its version, and takes a ``tf_keras`` model for one
  of Keras 3 where both are installed: ``read_layers`` goes in behind it.
- It drops the scale (alpha ``auto``) of a depthwise kernel, raises for that of a separable one, and
  folds batch normalization into ternary depthwise kernels: ``rewrite`` gives it integer kernels
  with the scale in batch normalization behind them, and types for all of them, which it does not
  fold.
- It takes ``symmetric`` of ``quantized_bits`` for nothing: ``saturation`` puts it into the type.
- It pads the maximum of unsigned values with half their range: ``pad_maximum``.
- It allows no layer of the name ``input``, and makes a C++ name of every layer's: ``safe_name``.
- It takes a dilation for nothing, and its code stops at a depth multiplier: ``dilated`` and
  ``expanded`` write the zeros into the kernel.
- Its streams have no pooling with padding, and find that out when they run: ``layers`` refuses
  it, but for maxima, which ``pad_maximum`` pads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.hls4ml.environment import hls4ml
from tinyedge.keras.environment import tf_keras

RESERVED = ("input",)


def read_layers(model: Any) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The parts of a Keras 2 model that hls4ml reads: layers, names of inputs and outputs."""
    reader = hls4ml.converters.KerasModelReader(model)
    layers, inputs, outputs, _ = hls4ml.converters.parse_keras_model(
        json.loads(model.to_json()), reader
    )
    return layers, inputs, outputs


def safe_name(name: str, taken: Collection[str]) -> str:
    """A name for a layer: a C identifier, allowed by hls4ml and not taken yet."""
    safe = re.sub(r"\W", "_", name, flags=re.ASCII)
    while safe in RESERVED or safe in taken:
        safe += "_"
    return safe


def saturation(modes: str, *, symmetric: bool) -> str:
    """Rounding and saturation of a type, without its smallest value if that is not to be taken."""
    return f"{modes}_SYM" if symmetric else modes


def dilated(kernel: NDArray[Any], rate: tuple[int, int]) -> NDArray[Any]:
    """A kernel (rows, columns, ...) with the zeros that a dilation leaves between its cells."""
    rows, columns = kernel.shape[:2]
    shape = ((rows - 1) * rate[0] + 1, (columns - 1) * rate[1] + 1, *kernel.shape[2:])
    result = np.zeros(shape, kernel.dtype)
    result[:: rate[0], :: rate[1]] = kernel
    return result


def expanded(kernel: NDArray[Any]) -> NDArray[Any]:
    """A depthwise kernel (rows, columns, in, multiplier) as that of a convolution.

    Returns:
        (rows, columns, in, in * multiplier), zero where an output has nothing of an input.
    """
    *window, channels, multiplier = kernel.shape
    result = np.zeros((*window, channels, channels, multiplier), kernel.dtype)
    every = np.arange(channels)
    result[:, :, every, every] = kernel
    return result.reshape(*window, channels, channels * multiplier)


def pad_maximum(layer: Any, tensor: Any, name: str) -> tuple[Any, Any]:
    """A maximum over windows of values none of which is negative, padded by a layer of its own.

    Args:
        layer: MaxPooling2D with padding SAME.
        tensor: its input.
        name: of the maximum.

    Returns:
        The maximum as a layer without padding, and the padded tensor.
    """
    rows, columns = tensor.shape[1:3]
    padding = []
    for size, window, stride in zip((rows, columns), layer.pool_size, layer.strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        padding.append((total // 2, total - total // 2))
    padded = tf_keras.layers.ZeroPadding2D(tuple(padding), name=f"{name}_padded")(tensor)
    return tf_keras.layers.MaxPooling2D(layer.pool_size, layer.strides, name=name), padded
