"""Reading Keras model files that hold QKeras layers."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinyedge.errors import ModelError
from tinyedge.keras.contents import LARGEST_VALUE, KerasContents, read_contents
from tinyedge.keras.environment import tensorflow, tf_keras
from tinyedge.keras.weights import load_keras_3_weights


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TensorFlow's and Keras' remarks about loading off the terminal."""
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        absl.setLevel(level)


def load_keras_model(path: Path) -> Any:
    """Loads a model with one input and one output, without its optimizer.

    Nothing of the file runs: ``read_contents`` has checked every name that it gives, Keras is in
    its safe mode, and weights of no more than the file's size are made.

    Raises:
        ModelError: the file is missing, damaged, holds unknown layers, or is not such a model.
    """
    contents = read_contents(path)
    if contents.hgq2:
        raise ModelError(
            f"{path}: a model of HGQ2, which Keras 2 does not compute",
            hint="'tinyedge convert' reads it; give the converted folder to other commands",
        )
    with quiet():
        from qkeras.utils import _add_supported_quantized_objects
        from tf_keras.src.saving.serialization_lib import SafeModeScope

        objects: dict[str, Any] = dict(_FUNCTIONS)
        _add_supported_quantized_objects(objects)
        try:
            with SafeModeScope(safe_mode=True), _limited(path, contents.room):
                model = _load(path, contents, objects)
                for layer in model._flatten_layers():  # noqa: SLF001 - Keras has no public way
                    layer.finalize_state()  # Keras 2 does so in the outermost model alone
        except ModelError:
            raise
        except Exception as error:  # Keras raises whatever its readers meet
            raise _unreadable(path, error) from error
    try:
        single = len(model.inputs) == 1 and len(model.outputs) == 1
    except (AttributeError, TypeError):
        single = False
    if not single:
        raise ModelError(
            f"{path}: not a Keras model with one input and one output",
            hint="save a functional or sequential model whose input shape is known",
        )
    if None in model.input_shape[1:]:
        raise ModelError(
            f"{path}: the input shape {model.input_shape[1:]} is not fixed",
            hint="give the input layer a full shape",
        )
    _check_sizes(path, model)
    return model


def _hard_sigmoid(x: Any) -> Any:
    return tensorflow.nn.relu6(x + 3.0) / 6.0


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "hard_sigmoid_of_keras_3": _hard_sigmoid,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
    "leaky_relu": tensorflow.nn.leaky_relu,
    "relu6": tensorflow.nn.relu6,
}
"""Functions that Keras 2 does not know by their names, or not as Keras 3 has them."""


def _load(path: Path, contents: KerasContents, objects: dict[str, Any]) -> Any:
    if contents.format != "savedmodel" and not contents.keras_3:
        return tf_keras.models.load_model(str(path), custom_objects=objects, compile=False)
    with tf_keras.utils.custom_object_scope(objects):
        model = tf_keras.models.model_from_config(contents.config)
    if contents.keras_3:
        load_keras_3_weights(path, contents, model)
        return model
    checkpoint = str(path / "variables" / "variables")
    shapes = tensorflow.train.load_checkpoint(checkpoint).get_variable_to_shape_map()
    if 4 * sum(math.prod(shape) for shape in shapes.values()) > contents.room:
        raise _too_large(path, contents.room)
    model.load_weights(checkpoint).assert_existing_objects_matched().expect_partial()
    return model


@contextlib.contextmanager
def _limited(path: Path, room: int) -> Iterator[None]:
    """Refuses variables of more bytes than ``room``, before they are allocated."""
    used = 0

    def create(make: Callable[..., Any], **arguments: Any) -> Any:
        nonlocal used
        shape = tensorflow.TensorShape(arguments.get("shape"))
        used += 4 * (shape.num_elements() or 0)
        if used > room:
            raise _too_large(path, room)
        return make(**arguments)

    with tensorflow.variable_creator_scope(create):
        yield


def _too_large(path: Path, room: int) -> ModelError:
    return ModelError(
        f"{path}: its layers claim weights of more than {room} bytes, which the file cannot hold",
        hint="the file is damaged; save the model again",
    )


def _check_sizes(path: Path, model: Any) -> None:
    """Refuses values too large for any computer that tinyedge is for.

    Raises:
        ModelError: a layer's value has more than ``LARGEST_VALUE`` elements.
    """
    for layer in model.layers:
        for call in layer.inbound_nodes:
            for value in tensorflow.nest.flatten(call.outputs):
                if math.prod(size or 1 for size in value.shape) > LARGEST_VALUE:
                    raise ModelError(
                        f"{path}: layer '{layer.name}': a value of shape {tuple(value.shape)[1:]}",
                        hint=f"values of up to {LARGEST_VALUE} elements can be read",
                    )


def _unreadable(path: Path, error: Exception) -> ModelError:
    message = str(error)
    if unknown := re.search(
        r"Unknown (?:layer|object|activation function)[^'\"]*['\"]([^'\"]+)", message
    ) or re.search(r"Could not locate (?:class|function) '([^']+)'", message):
        return ModelError(
            f"{path}: unsupported layer or function '{unknown.group(1)}'",
            hint="docs/models.md lists the supported layers",
        )
    if "Lambda" in message or "lambda" in message:
        return ModelError(
            f"{path}: unsupported layer 'Lambda'", hint="docs/models.md lists the supported layers"
        )
    first = (message.splitlines() or [type(error).__name__])[0]
    return ModelError(
        f"{path}: not a readable Keras model: {first[:200]}",
        hint="supported: .h5 and .keras of Keras 2 (tf_keras) and 3, SavedModel folders of Keras 2",
    )


def is_softmax(layer: Any) -> bool:
    """Whether a layer is nothing but a softmax over the last axis, or one output's sigmoid."""
    if isinstance(layer, tf_keras.layers.Softmax):
        return layer.axis in (-1, len(layer.output_shape) - 1)
    return isinstance(layer, tf_keras.layers.Activation) and _is_probability(
        layer, layer.activation
    )


def ends_in_softmax(layer: Any) -> bool:
    """Whether a layer applies a softmax to its own result, or a sigmoid to its one output.

    A recurrent layer's activation is within its steps, and no part of its end.
    """
    if hasattr(layer, "cell"):
        return False
    return not is_softmax(layer) and _is_probability(layer, getattr(layer, "activation", None))


def _is_probability(layer: Any, activation: Any) -> bool:
    """Whether an activation makes a probability of a logit: the verdicts are the logits'."""
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", "")
    return name == "softmax" or (name == "sigmoid" and math.prod(layer.output_shape[1:]) == 1)


def logits_model(model: Any) -> Any:
    """The model without its final softmax, or the sigmoid of its one output.

    Shares the layers, one of which it may change.
    """
    last = model.outputs[0]._keras_history.layer  # noqa: SLF001 - as Keras itself does
    if is_softmax(last):
        return tf_keras.Model(model.inputs, last.input)
    if ends_in_softmax(last):
        last.activation = None
    return model
