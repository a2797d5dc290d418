"""The classifier that attacks see: a float model, compiled, its kernels quantized once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.environment import TensorFlowV2Classifier
from tinyedge.evaluation.metrics import class_logits
from tinyedge.keras.activations import lean_activations
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.load import load_keras_model, logits_model
from tinyedge.models.kernels import quantized_kernels, replaced_quantizers
from tinyedge.training.kernels import deterministic

Float32 = NDArray[np.float32]

_BATCH = 500
"""Samples a call: more do not make it faster, and take memory."""


class FloatModel:
    """A model file up to its logits, ready to be attacked.

    QKeras' layers quantize their kernels anew in each call. Here they are constants, and quantized
    activations take fewer operators; the values are the same up to the order of float additions,
    and so is the straight-through gradient.

    Args:
        path: of the model, as ``importers.qkeras`` takes it.

    Attributes:
        shape: of an input.
        classes: number of logits, at least 2: a model of one output is attacked by two, 0 and its
            own, of which the largest is the verdict too.
    """

    def __init__(self, path: Path) -> None:
        _take_one_thread()
        model = logits_model(load_keras_model(path))
        self.shape: tuple[int, ...] = tuple(model.input_shape[1:])
        outputs = int(model.output_shape[-1])
        self.classes = max(outputs, 2)

        def exact(x: Any) -> Any:
            return model(x, training=False)

        def frozen(x: Any) -> Any:
            with (
                _frozen_kernels(model),
                _frozen_normalization(model),
                lean_activations(model),
            ):
                logits = model(x, training=False)
            return logits if outputs > 1 else tf.pad(logits, [[0, 0], [1, 0]])

        signature = [tf.TensorSpec((None, *self.shape), tf.float32)]
        self.frozen = tf.function(frozen, input_signature=signature, autograph=False)
        self._exact = tf.function(exact, input_signature=signature, autograph=False)

    def logits(self, inputs: Float32) -> Float32:
        """A logit a class, float32 (n, classes)."""
        return class_logits(self.outputs(inputs))

    def outputs(self, inputs: Float32) -> Float32:
        """The logits as the model file gives them, float32 (n, outputs)."""
        return in_batches(self._exact, inputs)


def _take_one_thread() -> None:
    """Has TensorFlow compute with one thread, unless it has begun already in this process.

    The order of float additions, and so an attack's bytes, would depend on the number of them.
    """
    with contextlib.suppress(RuntimeError):  # it has begun
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def in_batches(function: Callable[..., Any], *arrays: NDArray[Any]) -> NDArray[Any]:
    """Applies a function of tensors to arrays, ``_BATCH`` samples at a time."""
    starts = range(0, max(1, len(arrays[0])), _BATCH)
    parts = [
        function(*(tf.constant(array[start : start + _BATCH]) for array in arrays)).numpy()
        for start in starts
    ]
    return np.concatenate(parts)


def _frozen_kernels(model: Any) -> AbstractContextManager[None]:
    """Makes constants of what a model's layers make of their kernels."""
    with tf.init_scope():
        frozen = [
            (site, partial(_constant, deterministic(site.quantizer, site.variable).numpy()))
            for site in quantized_kernels(model)
        ]
    return replaced_quantizers(frozen)


def _constant(value: Float32, _kernel: Any) -> Any:
    return tf.constant(value)


@contextlib.contextmanager
def _frozen_normalization(model: Any) -> Iterator[None]:
    """Makes one product and one sum of each batch normalization, inside the ``with`` block.

    TensorFlow's own operator computes gradients by its parameters too, which takes a fifth of a
    step.
    """
    # A plain attribute: assigned as usual, Keras would begin to track it.
    put, replaced = object.__setattr__, []
    try:
        for layer in model.layers:
            if isinstance(layer, tf_keras.layers.BatchNormalization) and _over_channels(layer):
                replaced.append((layer, layer.call))
                put(layer, "call", _normalization(layer))
        yield
    finally:
        for layer, call in replaced:
            put(layer, "call", call)


def _over_channels(layer: Any) -> bool:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    return list(axes) in ([-1], [len(layer.input_shape) - 1])


def _normalization(layer: Any) -> Callable[..., Any]:
    """Computes a batch normalization with the statistics of its training."""
    with tf.init_scope():
        variance, mean = (
            value.numpy().astype(np.float64) for value in (layer.moving_variance, layer.moving_mean)
        )
        slope = 1 / np.sqrt(variance + layer.epsilon)
        if layer.scale:
            slope *= layer.gamma.numpy()
        offset = (layer.beta.numpy() if layer.center else 0.0) - mean * slope
        by, more = (tf.constant(value.astype(np.float32)) for value in (slope, offset))

    def call(inputs: Any, **_: Any) -> Any:
        return inputs * by + more

    return call


class FrozenClassifier(TensorFlowV2Classifier):  # type: ignore[misc]
    """ART's view of a ``FloatModel``: logits, and gradients in one compiled call a batch.

    Args:
        model: to attack.
        clip: range of the inputs.
        temperature: that the logits are divided by, so that a network trained at it is attacked at
            the scale that attacks' constants are made for (C&W's, and the softmax of the others).

    Attributes:
        queries: samples that logits were asked for.
    """

    def __init__(
        self,
        model: FloatModel,
        clip: tuple[float, float],
        temperature: float = 1.0,
    ) -> None:
        def logits(x: Any) -> Any:
            return model.frozen(x) / temperature

        super().__init__(
            model=lambda x, training=False: logits(tf.cast(x, tf.float32)),  # noqa: ARG005
            nb_classes=model.classes,
            input_shape=model.shape,
            loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            clip_values=clip,
        )
        self.queries = 0
        inputs = tf.TensorSpec((None, *model.shape), tf.float32)
        labels = tf.TensorSpec((None,), tf.int32)

        def losses(x: Any, y: Any) -> Any:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(x))

        def gradient(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                total = tf.reduce_sum(losses(x, y))
            return tape.gradient(total, x)

        self._logits = tf.function(logits, input_signature=[inputs], autograph=False)
        self._gradient = tf.function(gradient, input_signature=[inputs, labels], autograph=False)

    def predict(self, x: Any, batch_size: int = 128, **_: Any) -> Float32:  # noqa: ARG002
        self.queries += len(x)
        return in_batches(self._logits, np.asarray(x, dtype=np.float32))

    def loss_gradient(self, x: Any, y: Any, **_: Any) -> Any:
        labels = tf.argmax(y, axis=1, output_type=tf.int32)
        if isinstance(x, tf.Tensor):
            return self._gradient(tf.cast(x, tf.float32), labels)
        return in_batches(self._gradient, np.asarray(x, dtype=np.float32), labels.numpy())
