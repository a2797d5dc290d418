"""The classes and functions that a Keras file may name: none of them runs code of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tinyedge.errors import ModelError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MODELS = ("Functional", "Model", "Sequential")
LAYERS = _words(
    """
    Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D AveragePooling2D
    BatchNormalization Concatenate Conv1D Conv2D Conv2DTranspose Cropping1D Cropping2D Dense
    DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU Embedding Flatten GRU GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D
    GlobalMaxPooling2D GroupNormalization Identity InputLayer LSTM LayerNormalization LeakyReLU
    MaxPooling1D MaxPooling2D Maximum Minimum Multiply Normalization PReLU Permute ReLU
    RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN Softmax
    SpatialDropout1D SpatialDropout2D Subtract ThresholdedReLU UnitNormalization UpSampling1D
    UpSampling2D ZeroPadding1D ZeroPadding2D Bidirectional TimeDistributed
    QActivation QAdaptiveActivation QAveragePooling2D QBatchNormalization QConv1D QConv2D
    QConv2DBatchnorm QConv2DTranspose QDense QDepthwiseConv2D QDepthwiseConv2DBatchnorm QGRU
    QGlobalAveragePooling2D QLSTM QSeparableConv1D QSeparableConv2D QSimpleRNN
    """
)
_QUANTIZERS = _words(
    """
    bernoulli binary quantized_bits quantized_hswish quantized_po2 quantized_relu
    quantized_relu_po2 quantized_sigmoid quantized_tanh quantized_ulaw stochastic_binary
    stochastic_ternary ternary
    """
)
_FUNCTIONS = _words(
    """
    elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softmax softplus softsign swish
    tanh binary_sigmoid binary_tanh hard_tanh smooth_sigmoid smooth_tanh
    hard_sigmoid_of_keras_3 hard_silu leaky_relu relu6
    """
)
_PARTS = _words(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Ones Orthogonal
    QInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    L1 L1L2 L2 OrthogonalRegularizer
    Clip MaxNorm MinMaxNorm NonNeg UnitNorm
    Policy TensorShape __tuple__
    """
)
"""Initializers, regularizers, constraints, and what a configuration needs to hold its values."""
_CLASSES = LAYERS | _QUANTIZERS | _PARTS | frozenset(_MODELS)
_BY_PLAIN_NAME = frozenset(
    name.replace("_", "").lower() for name in _PARTS | _QUANTIZERS | _FUNCTIONS
)
_MODULES = ("keras", "tf_keras", "qkeras")

_MOST_LAYERS = 2000
_CALL = re.compile(r"\s*(\w+)\s*(\(.*\))?\s*", re.ASCII | re.DOTALL)
_FUNCTION_KEYS = re.compile(
    r"(.*_)?(activation|quantizer|initializer|regularizer|constraint)(_internal)?", re.ASCII
)
"""Keys whose strings Keras and QKeras look up: names, or calls of quantizers."""


def check_names(config: Any, file: str) -> None:
    """Checks a Keras model's configuration before Keras sees it.

    Every class, at whatever depth, and every function that it names has to be one of Keras' or
    QKeras' own that compute and nothing else: no ``Lambda``, no layer of a TensorFlow function, no
    lookup table that is read from a file, no module to import.

    Args:
        config: as JSON gives it.
        file: for messages.

    Raises:
        ModelError: a name is not allowed, with the layer that it stands in; or the model has
            more than 2,000 layers.
    """
    layers = 0
    for layer, key, value in _walk(config):
        if isinstance(value, dict) and "class_name" in value:
            _check_object(value, layer, file)
            layers += value["class_name"] in LAYERS
            if layers > _MOST_LAYERS:
                raise ModelError(f"{file}: more than {_MOST_LAYERS} layers")
        elif isinstance(value, dict) and "registered_name" in value:
            _refuse(file, layer, "class without a name")
        elif isinstance(value, str) and _FUNCTION_KEYS.fullmatch(key):
            _check_function(value, layer, file)


def _walk(config: Any) -> Iterator[tuple[str, str, Any]]:
    """All values of a configuration: the layer they stand in, their key, the value."""
    pending: list[tuple[str, str, Any]] = [("", "", config)]
    while pending:
        layer, key, value = pending.pop()
        yield layer, key, value
        if isinstance(value, dict):
            inner = value.get("config")
            if "class_name" in value and isinstance(inner, dict):
                name = inner.get("name")
                layer = name if isinstance(name, str) else layer
            pending += [(layer, str(key), item) for key, item in value.items()]
        elif isinstance(value, list):
            pending += [(layer, key, item) for item in value]


def _check_object(value: dict[str, Any], layer: str, file: str) -> None:
    inner = value.get("config")
    if isinstance(inner, dict) and isinstance(inner.get("name"), str):
        layer = inner["name"]
    name, module = value["class_name"], value.get("module")
    if name == "function" and (module in (None, "builtins") or _is_ours(module)):
        for function in (inner, value.get("registered_name")):
            if function not in (None, "function"):
                _check_function(function, layer, file)
        return
    if not isinstance(name, str) or name not in _CLASSES:
        _refuse(file, layer, f"layer or function {name!r}")
    if module is not None and not _is_ours(module):
        _refuse(file, layer, f"layer or function {name!r} of module {module!r}")
    registered = value.get("registered_name")
    if registered is not None and registered != name:
        _refuse(file, layer, f"layer or function {registered!r}")


def _is_ours(module: Any) -> bool:
    return isinstance(module, str) and module.split(".", 1)[0] in _MODULES


def _check_function(value: Any, layer: str, file: str) -> None:
    call = _CALL.fullmatch(value) if isinstance(value, str) else None
    name = call.group(1) if call else None
    if name is None or name.replace("_", "").lower() not in _BY_PLAIN_NAME:
        _refuse(file, layer, f"layer or function {value!r}")


def _refuse(file: str, layer: str, what: str) -> None:
    where = f"layer {layer[:80]!r}: " if layer else ""
    raise ModelError(
        f"{file}: {where}unsupported {what[:200]}",
        hint="docs/models.md lists the supported layers; own layers and Lambda are not read, as "
        "they run code",
    )
