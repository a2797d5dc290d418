"""Small float classifiers of scikit-learn's digits: random convolutions, a trained readout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
CALIBRATION, TRAINED = 150, 1200


class Weights:
    """Weights as Keras lays them out: a convolution, a depthwise one, another, a matrix product."""

    def __init__(self) -> None:
        random = np.random.default_rng(3)
        self.first = random.normal(0, 0.5, (3, 3, 1, 12)).astype(np.float32)
        self.scale = random.uniform(0.5, 1.5, 12).astype(np.float32)
        self.depthwise = random.normal(0, 0.4, (3, 3, 12, 1)).astype(np.float32)
        self.second = random.normal(0, 0.2, (3, 3, 12, 24)).astype(np.float32)
        self.bias = random.normal(0, 0.1, 24).astype(np.float32)
        self.readout = np.zeros((4 * 24, 10), np.float32)

    def train(self, features: Callable[[Array], Array]) -> None:
        """Fits the readout to the digits, by least squares.

        Args:
            features: from images to what the readout takes, in the order of height, width, channel.
        """
        x, y = digits()
        seen = features(x[:TRAINED]).reshape(TRAINED, -1)
        targets = np.eye(10)[y[:TRAINED]]
        gram = seen.T @ seen + 1e-2 * np.eye(seen.shape[1])
        self.readout = np.linalg.solve(gram, seen.T @ targets).astype(np.float32)


def digits() -> tuple[Array, Array]:
    """Images (n, 8, 8, 1) from 0 to 1, and labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[..., np.newaxis] / 16).astype(np.float32), found.target


def files(folder: Path) -> tuple[Path, Path]:
    """Files of calibration images, and of labelled ones that the readout has not seen."""
    x, y = digits()
    calibration, test = folder / "calibration.npz", folder / "test.npz"
    np.savez(calibration, x=x[:CALIBRATION])
    np.savez(test, x=x[TRAINED:], y=y[TRAINED:])
    return calibration, test


def onnx_model(weights: Weights, *, last: str = "Softmax", output: str = "probabilities") -> Any:
    """As PyTorch would export it: channels first, an open batch."""
    constants: list[Any] = []
    nodes: list[Any] = []

    def constant(value: Array) -> str:
        name = f"constant{len(constants)}"
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        name = to or f"{kind.lower()}{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], f"{name}/node", **attributes))
        return name

    same: dict[str, Any] = {"pads": [1, 1, 1, 1]}
    x = node("Conv", "image", constant(weights.first.transpose(3, 2, 0, 1)), **same)
    zeros, ones = np.zeros(12, np.float32), np.ones(12, np.float32)
    normal = [constant(array) for array in (weights.scale, zeros, zeros, ones)]
    x = node("Relu", node("BatchNormalization", x, *normal, epsilon=1e-3))
    y = node("Conv", x, constant(weights.depthwise.transpose(2, 3, 0, 1)), group=12, **same)
    x = node("Add", x, node("Relu", y))
    x = node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = node("Conv", x, constant(weights.second.transpose(3, 2, 0, 1)), constant(weights.bias))
    x = node("Flatten", node("Relu", x, to="features"))
    columns = weights.readout.reshape(2, 2, 24, 10).transpose(2, 0, 1, 3).reshape(96, 10)
    x = node("Gemm", x, constant(columns))
    node(last, x, to=output)
    shape: list[str | int | None] = ["batch", 1, 8, 8]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 10])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def trained_onnx(path: Path) -> Path:
    """Writes the trained classifier as floats."""
    import onnxruntime

    weights = Weights()

    def features(images: Array) -> Array:
        model = onnx_model(weights)
        model.graph.output.add().name = "features"
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        found: Array = session.run(["features"], {"image": images.transpose(0, 3, 1, 2)})[0]
        return found.transpose(0, 2, 3, 1)

    weights.train(features)
    onnx.save(onnx_model(weights), path)
    return path


def trained_keras(keras: Any, path: Path) -> Path:
    """Writes the same in Keras 2 or 3."""
    layers, weights = keras.layers, Weights()
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(12, 3, padding="same", use_bias=False, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="normal")(x))
    y = layers.DepthwiseConv2D(
        3, padding="same", activation="relu", use_bias=False, name="depthwise"
    )(x)
    x = layers.MaxPooling2D()(layers.Add()([x, y]))
    x = features = layers.Conv2D(24, 3, activation="relu", name="second")(x)
    x = layers.Dense(10, use_bias=False, activation="softmax", name="readout")(layers.Flatten()(x))
    model = keras.Model(inputs, x)
    zeros, ones = np.zeros(12), np.ones(12)
    for name, values in {
        "first": [weights.first],
        "normal": [weights.scale, zeros, zeros, ones],
        "depthwise": [weights.depthwise],
        "second": [weights.second, weights.bias],
    }.items():
        model.get_layer(name).set_weights(values)
    weights.train(lambda images: np.asarray(keras.Model(inputs, features)(images)))
    model.get_layer("readout").set_weights([weights.readout])
    model.save(path)
    return path
