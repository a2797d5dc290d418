"""QKeras' activation quantizers in few operators: the same values, the same gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyedge.keras.environment import qkeras
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.quantizers import ACTIVATION_QUANTIZERS, activation_grid, quantizer_name


@contextlib.contextmanager
def lean_activations(model: Any) -> Iterator[None]:
    """Replaces a model's activation quantizers, inside the ``with`` block.

    QKeras makes some twenty operators of one activation, which take a tenth of a training step.
    Values are equal bit for bit, and so is the straight-through gradient.

    Args:
        model: whose ``QActivation`` layers are called inside the block, in the function that is
            being traced.

    Raises:
        ModelError: an activation has settings that no integer grid has.
    """
    # A plain attribute: assigned as usual, Keras would begin to track it.
    put = object.__setattr__
    replaced = []
    try:
        for layer in model.layers:
            if not isinstance(layer, qkeras.QActivation):
                continue
            if quantizer_name(layer.quantizer) in ACTIVATION_QUANTIZERS:
                replaced.append((layer, layer.quantizer))
                put(layer, "quantizer", _lean(layer))
        yield
    finally:
        for layer, quantizer in replaced:
            put(layer, "quantizer", quantizer)


def _lean(layer: Any) -> Callable[[Any], Any]:
    """Rounding to the grid of a ``QActivation``, halves to even as QKeras does."""
    quantizer = layer.quantizer
    grid = activation_grid(layer.name, quantizer)
    step, (low, high) = grid.quantization.scale, np.array(grid.clamp) - grid.quantization.zero_point
    rectified = quantizer_name(quantizer) == "quantized_relu"

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def rounded(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        def gradient(upstream: Any) -> Any:
            if not rectified:
                return upstream  # QKeras lets it through outside of the range, too
            inside = tf.logical_and(x > 0.0, x <= high * step)
            return tf.where(inside, upstream, 0.0)

        return tf.clip_by_value(tf.round(x / step), low, high) * step, gradient

    function: Callable[[Any], Any] = rounded
    return function
