"""Networks to train, by name, each in every precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinyedge.keras.environment import tf_keras
from tinyedge.models.layers import NetworkLayers
from tinyedge.names import NetworkName, Precision


def build_network(
    name: NetworkName,
    precision: Precision,
    shape: tuple[int, ...],
    classes: int,
    *,
    width: float = 1.0,
    temperature: float = 1.0,
) -> Any:
    """Builds an untrained network.

    Args:
        name: one of ``NETWORKS``.
        precision: one of ``PRECISIONS``; ``stq`` is ternary with 8 bits in the first and the last
            layer and in depthwise kernels.
        shape: of an input, (rows, columns, channels).
        classes: number of logits.
        width: multiplies all numbers of channels.
        temperature: of the softmax that the network is to be trained with.

    Returns:
        A ``tf_keras.Model`` from inputs (batch, *shape) to class probabilities (batch, classes) at
        temperature 1.
    """
    make = NetworkLayers(precision, width, temperature)
    inputs = tf_keras.layers.Input(shape, name="input")
    features = _FEATURES[name](make, inputs)
    return make.model(inputs, features, classes, f"{name}_{precision}")


def _stq(make: NetworkLayers, inputs: Any) -> Any:
    """The network of arXiv 2503.08973, by a layer table with exactly its four sizes.

    The table is inferred from those sizes (4495.7, 1123.9, 140.5 and 409.8 KiB), not the authors'.
    """
    width = make.channels
    first = make.normalize(make.conv(inputs, width(48), 3, "c1", role="edge"), "c1")
    x = make.normalize(make.conv(first, width(96), 3, "c2", 2, role="edge"), "c2")
    x = make.normalize(make.depthwise(x, 3, "c3"), "c3", relu=False)
    branch = make.normalize(make.conv(first, width(96), 1, "c4", 2), "c4", relu=False)
    x = make.add(x, branch, "sum1")
    shortcut = make.normalize(make.separable(x, width(320), 3, "c5", 2), "c5")
    x = make.normalize(make.conv(shortcut, width(320), 3, "c6"), "c6", relu=False)
    x = make.mean(make.add(x, shortcut, "sum2"))
    x = make.normalize(make.dense(x, width(320), "f1", role="edge", bias=False), "f1")
    return make.normalize(make.dense(x, width(128), "f2", bias=False), "f2")


def _resnet8(make: NetworkLayers, inputs: Any) -> Any:
    """ResNet8 of MLPerf Tiny (image classification)."""
    width = make.channels
    x = make.normalize(make.conv(inputs, width(16), 3, "stem", role="edge"), "stem")
    for index, (channels, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
        name = f"block{index}"
        y = make.conv(x, width(channels), 3, f"{name}_conv1", stride)
        y = make.normalize(y, f"{name}_conv1")
        y = make.conv(y, width(channels), 3, f"{name}_conv2")
        y = make.normalize(y, f"{name}_conv2", relu=False)
        if stride > 1:
            x = make.conv(x, width(channels), 1, f"{name}_shortcut", stride)
            x = make.normalize(x, f"{name}_shortcut", relu=False)
        x = make.add(y, x, f"{name}_sum")
    return make.mean(x)


def _ds_cnn(make: NetworkLayers, inputs: Any) -> Any:
    """DS-CNN of MLPerf Tiny (keyword spotting)."""
    channels = make.channels(64)
    x = make.normalize(make.conv(inputs, channels, (10, 4), "stem", 2, role="edge"), "stem")
    for index in range(1, 5):
        x = make.normalize(make.depthwise(x, 3, f"depthwise{index}"), f"depthwise{index}")
        x = make.normalize(make.conv(x, channels, 1, f"pointwise{index}"), f"pointwise{index}")
    return make.mean(x)


_MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repetitions and first stride of each stage (Sandler et al. 2018, arXiv
1801.04381, table 2), with the first two strides of 2 taken out, as inputs have 32 rows, not 224."""


def _mobilenet_v2(make: NetworkLayers, inputs: Any) -> Any:
    """MobileNetV2 for inputs of about 32 rows; the last convolution has 1280 channels or fewer."""
    width = make.channels
    x = make.normalize(make.conv(inputs, width(32), 3, "stem", role="edge"), "stem")
    for stage, (expansion, channels, count, first_stride) in enumerate(_MOBILENET_V2, 1):
        for index in range(1, count + 1):
            name, stride = f"block{stage}_{index}", first_stride if index == 1 else 1
            y, inner = x, x.shape[-1] * expansion
            if expansion > 1:
                y = make.normalize(make.conv(y, inner, 1, f"{name}_expand"), f"{name}_expand")
            y = make.depthwise(y, 3, f"{name}_depthwise", stride)
            y = make.normalize(y, f"{name}_depthwise")
            y = make.conv(y, width(channels), 1, f"{name}_project")
            y = make.normalize(y, f"{name}_project", relu=False)
            if stride == 1 and x.shape[-1] == y.shape[-1]:
                y = make.add(y, x, f"{name}_sum", relu=False)
            x = y
    x = make.normalize(make.conv(x, width(1280), 1, "head"), "head")
    return make.mean(x)


_FEATURES: dict[NetworkName, Callable[[NetworkLayers, Any], Any]] = {
    "stq": _stq,
    "resnet8": _resnet8,
    "ds_cnn": _ds_cnn,
    "mobilenet_v2": _mobilenet_v2,
}
