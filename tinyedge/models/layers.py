"""Keras layers of one network in several precisions: float, 8 bits, binary, ternary or mixed.

A network is written once, against ``NetworkLayers``; its siblings differ in quantizers alone. They
have the same layers under the same names, with weights of the same shapes, so the weights of one
can be put into another (``training.transfer``).
"""

from __future__ import annotations

from typing import Any, Literal

from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.names import Precision

Role = Literal["edge", "inner"]
"""The form that ``stq`` gives a kernel: ``edge`` keeps 8 bits, ``inner`` is ternary."""

TERNARY = "stochastic_ternary(alpha='auto')"
BINARY = "stochastic_binary(alpha='auto')"
EIGHT_BIT = "quantized_bits(8, 0, symmetric=1, alpha='auto')"

RELU_INTEGER_BITS = 2
"""A normalized value behind a ReLU lies in [0, 4), in steps of 1/64."""
SUM_INTEGER_BITS = 3
"""A sum of two branches behind a ReLU lies in [0, 8), in steps of 1/32."""
LOGIT_INTEGER_BITS = 3
"""Logits lie in [-8, 8) at temperature 1, in steps of 1/16."""

_KERNELS: dict[Precision, dict[Role, str | None]] = {
    "float": {"edge": None, "inner": None},
    "int8": {"edge": EIGHT_BIT, "inner": EIGHT_BIT},
    "binary": {"edge": BINARY, "inner": BINARY},
    "ternary": {"edge": TERNARY, "inner": TERNARY},
    "stq": {"edge": EIGHT_BIT, "inner": TERNARY},
}

layers = tf_keras.layers


class NetworkLayers:
    """Adds layers to a network.

    Args:
        precision: of the kernels. Activations have 8 bits, in ``float`` they are floats.
        width: multiplies the number of channels.
        temperature: T of the softmax that the network is trained with (Papernot et al. 2016,
            arXiv 1511.04508). The last layer's result is multiplied by it, so that training sees
            the same values at every T; the logits, and so their int8 range, grow with it.
    """

    def __init__(self, precision: Precision, width: float = 1.0, temperature: float = 1.0) -> None:
        self._kernels = _KERNELS[precision]
        self._quantized = precision != "float"
        self._width = width
        self._temperature = temperature

    def channels(self, count: int) -> int:
        """So many channels at width 1, at this network's width; at least 4."""
        return max(4, round(count * self._width))

    def conv(
        self, x: Any, filters: int, kernel: Any, name: str, stride: Any = 1, role: Role = "inner"
    ) -> Any:
        """A convolution without bias, SAME padding; ``filters`` as they are."""
        common: dict[str, Any] = {
            "strides": stride,
            "padding": "same",
            "use_bias": False,
            "kernel_initializer": "he_normal",
            "name": name,
        }
        if not self._quantized:
            return layers.Conv2D(filters, kernel, **common)(x)
        return qkeras.QConv2D(filters, kernel, kernel_quantizer=self._kernels[role], **common)(x)

    def depthwise(
        self, x: Any, kernel: Any, name: str, stride: Any = 1, role: Role = "edge"
    ) -> Any:
        """A depthwise convolution without bias, SAME padding."""
        common: dict[str, Any] = {
            "strides": stride,
            "padding": "same",
            "use_bias": False,
            "depthwise_initializer": "he_normal",
            "name": name,
        }
        if not self._quantized:
            return layers.DepthwiseConv2D(kernel, **common)(x)
        return qkeras.QDepthwiseConv2D(kernel, depthwise_quantizer=self._kernels[role], **common)(x)

    def separable(self, x: Any, filters: int, kernel: Any, name: str, stride: Any = 1) -> Any:
        """A separable convolution without bias, SAME padding: depthwise edge, pointwise inner."""
        common: dict[str, Any] = {
            "strides": stride,
            "padding": "same",
            "use_bias": False,
            "depthwise_initializer": "he_normal",
            "pointwise_initializer": "he_normal",
            "name": name,
        }
        if not self._quantized:
            return layers.SeparableConv2D(filters, kernel, **common)(x)
        return qkeras.QSeparableConv2D(
            filters,
            kernel,
            depthwise_quantizer=self._kernels["edge"],
            pointwise_quantizer=self._kernels["inner"],
            **common,
        )(x)

    def dense(self, x: Any, units: int, name: str, role: Role = "inner", *, bias: bool) -> Any:
        """A matrix product."""
        common: dict[str, Any] = {
            "use_bias": bias,
            "kernel_initializer": "he_normal",
            "name": name,
        }
        if not self._quantized:
            return layers.Dense(units, **common)(x)
        return qkeras.QDense(units, kernel_quantizer=self._kernels[role], **common)(x)

    def normalize(self, x: Any, name: str, *, relu: bool = True) -> Any:
        """Batch normalization, then a ReLU, or for a branch of a sum only 8 bits."""
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        if relu:
            return self._relu(x, RELU_INTEGER_BITS, f"{name}_act")
        if not self._quantized:
            return x
        return qkeras.QActivation(f"quantized_bits(8, {RELU_INTEGER_BITS}, 1)", name=f"{name}_act")(
            x
        )

    def add(self, x: Any, y: Any, name: str, *, relu: bool = True) -> Any:
        """The sum of two branches, and a ReLU or only 8 bits."""
        x = layers.Add(name=name)([x, y])
        if relu:
            return self._relu(x, SUM_INTEGER_BITS, f"{name}_act")
        if not self._quantized:
            return x
        return qkeras.QActivation(f"quantized_bits(8, {SUM_INTEGER_BITS}, 1)", name=f"{name}_act")(
            x
        )

    def mean(self, x: Any, name: str = "mean") -> Any:
        """The mean over rows and columns."""
        x = layers.GlobalAveragePooling2D(name=name)(x)
        return self._relu(x, RELU_INTEGER_BITS, f"{name}_act")

    def model(self, inputs: Any, features: Any, classes: int, name: str) -> Any:
        """The classifier, the logits and their softmax, behind a vector of features."""
        x = self.dense(features, classes, "classifier", role="edge", bias=True)
        integer_bits = LOGIT_INTEGER_BITS
        if self._temperature != 1.0:
            x = layers.Rescaling(self._temperature, name="temperature")(x)
            integer_bits += max(0, int(self._temperature - 1e-9).bit_length())
        if self._quantized:
            x = qkeras.QActivation(f"quantized_bits(8, {integer_bits}, 1)", name="logits")(x)
        return tf_keras.Model(inputs, layers.Softmax(name="probabilities")(x), name=name)

    def _relu(self, x: Any, integer_bits: int, name: str) -> Any:
        if not self._quantized:
            return layers.ReLU(name=name)(x)
        return qkeras.QActivation(f"quantized_relu(8, {integer_bits})", name=name)(x)
