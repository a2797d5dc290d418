"""The quantized kernels of a training step: sampled, or partly still in full precision.

QKeras' layers quantize their kernels in each call. For the length of a training step that call is
replaced; outside it, and in the file that is saved, the layers keep QKeras' own quantizers.
Randomness is stateless: the same seed gives the same step, whatever went before, so that a resumed
run repeats an uninterrupted one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import numpy as np

from tinyedge.keras.environment import qkeras
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.quantizers import weight_codes
from tinyedge.models.kernels import quantized_kernels, replaced_quantizers

PORTIONS = (0.5, 0.75, 0.875, 1.0)
"""Shares of quantized filters, in order (Dong et al. 2017, arXiv 1708.01001)."""

_EPSILON = 1e-7


class TrainingKernel(Protocol):
    """A kernel as a step computes with it: differentiable, straight through."""

    def __call__(self, quantizer: Any, kernel: Any, axis: int, seed: Any) -> Any:
        """Gives the kernel of one step.

        Args:
            quantizer: QKeras' quantizer of the kernel.
            kernel: the float kernel.
            axis: of its output channels.
            seed: int32 (2,), its own for each kernel and step.
        """


def deterministic(quantizer: Any, kernel: Any, axis: int = -1, seed: Any = None) -> Any:  # noqa: ARG001
    """The kernel as inference has it, whatever Keras' learning phase."""
    if isinstance(quantizer, qkeras.ternary):
        return qkeras.ternary.__call__(quantizer, kernel)
    if isinstance(quantizer, qkeras.binary):
        return qkeras.binary.__call__(quantizer, kernel)
    return quantizer(kernel)


def sampled(quantizer: Any, kernel: Any, axis: int, seed: Any) -> Any:
    """A sample of QKeras' ``stochastic_ternary`` or ``stochastic_binary``; others as they are.

    A weight is +1 with probability ``s(w - t) s(w + t)`` and -1 with ``(1 - s(w - t)) (1 - s(w +
    t))``, where s is a sigmoid of slope ``temperature``, w the weight in standard deviations of its
    channel and t half the scale. Both probabilities are those of QKeras, whose own sampling
    draws from a stateful generator, and only in Keras' learning phase 1.
    """
    ternary = isinstance(quantizer, qkeras.stochastic_ternary)
    if not ternary and not isinstance(quantizer, qkeras.stochastic_binary):
        return deterministic(quantizer, kernel, axis)
    rest = list(range(len(kernel.shape) - 1))
    quantized = tf.stop_gradient(deterministic(quantizer, kernel, axis))
    scale = quantizer.scale
    deviation = tf.math.reduce_std(kernel, axis=rest, keepdims=True) + _EPSILON
    normalized = kernel / deviation
    draws = tf.random.stateless_uniform((2 if ternary else 1, *quantized.shape), seed)
    if ternary:
        threshold = scale / (2.0 * deviation)
        upper = tf.sigmoid(quantizer.temperature * (normalized - threshold)) > draws[0]
        lower = tf.sigmoid(quantizer.temperature * (normalized + threshold)) > draws[1]
        codes = 0.5 * (_sign(upper) + _sign(lower))
    else:
        codes = _sign(tf.sigmoid(quantizer.temperature * normalized) > draws[0])
    return kernel + tf.stop_gradient(scale * codes - kernel)


def _sign(positive: Any) -> Any:
    return 2.0 * tf.cast(positive, tf.float32) - 1.0


def partly_quantized(quantizer: Any, kernel: Any, axis: int, seed: Any, *, portion: Any) -> Any:
    """A share of the filters quantized, the others in full precision.

    The filters are drawn without replacement, each with a probability inversely proportional to
    its error ``||W - Q||_1 / ||W||_1`` (Dong et al. 2017, arXiv 1708.01001, equations 3 and 4).

    Args:
        quantizer: as ``TrainingKernel`` takes it.
        kernel: likewise.
        axis: likewise.
        seed: likewise.
        portion: share of quantized filters, a scalar tensor in [0, 1].
    """
    quantized = deterministic(quantizer, kernel, axis)
    error = filter_errors(kernel, quantized, axis)
    selected = select_filters(error, portion, seed)
    shape = [1] * len(kernel.shape)
    shape[axis] = -1
    mask = tf.reshape(tf.cast(selected, tf.float32), shape)
    return kernel + tf.stop_gradient(mask * (quantized - kernel))


def filter_errors(kernel: Any, quantized: Any, axis: int) -> Any:
    """``||W - Q||_1 / ||W||_1`` of every filter, float32 (filters,)."""
    rest = [at for at in range(len(kernel.shape)) if at != axis % len(kernel.shape)]
    difference = tf.reduce_sum(tf.abs(kernel - quantized), axis=rest)
    return difference / (tf.reduce_sum(tf.abs(kernel), axis=rest) + _EPSILON)


def select_filters(error: Any, portion: Any, seed: Any) -> Any:
    """Draws filters without replacement, with probabilities inversely proportional to their errors.

    The largest of ``log p + Gumbel noise`` are such a sample (Kool et al. 2019, arXiv 1903.06059).

    Args:
        error: (filters,), not negative.
        portion: share of filters to draw; their number is rounded to the nearest.
        seed: int32 (2,).

    Returns:
        bool (filters,).
    """
    count = tf.cast(tf.round(portion * float(error.shape[0])), tf.int32)
    uniform = tf.random.stateless_uniform(error.shape, seed, minval=_EPSILON)
    keys = -tf.math.log(error + _EPSILON) - tf.math.log(-tf.math.log(uniform))
    order = tf.argsort(keys, direction="DESCENDING")
    ranks = tf.math.invert_permutation(order)
    return ranks < count


@contextlib.contextmanager
def training_kernels(model: Any, kernel: TrainingKernel, seed: Any) -> Iterator[None]:
    """Replaces what a model's layers make of their kernels, inside the ``with`` block.

    Args:
        model: whose layers are called inside the block, in the function that is being traced.
        kernel: replaces the quantizers.
        seed: int32 (2,); each kernel gets its own, derived from it.
    """
    # Once for the block, in which the model may be called several times.
    replacements = [
        (
            site,
            partial(
                _given,
                kernel(
                    site.quantizer,
                    tf.convert_to_tensor(site.variable),
                    site.axis,
                    tf.random.experimental.stateless_fold_in(seed, number),
                ),
            ),
        )
        for number, site in enumerate(quantized_kernels(model))
    ]
    with replaced_quantizers(replacements):
        yield


def _given(quantized: Any, _kernel: Any) -> Any:
    return quantized


def write_quantized(model: Any) -> None:
    """Puts the quantized kernels where the float ones are, in ternary and binary layers.

    Their quantizers leave them as they are, so the model computes what it did before.
    """
    for site in quantized_kernels(model):
        if isinstance(site.quantizer, qkeras.ternary | qkeras.binary):
            codes, scales = weight_codes(site.layer.name, site.role, site.quantizer, site.variable)
            site.variable.assign((codes * scales).astype(np.float32))
