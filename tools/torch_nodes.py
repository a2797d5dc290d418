#!/usr/bin/env python3
"""Carries a QKeras network over to PyTorch: its nodes as a file, and layers made of them.

    python tools/torch_nodes.py experiments/fashion_mnist/stq-fgsm/model.h5 -o nodes.npz

runs in tinyedge's environment, and writes integer weights, scales, biases and grids. ``Network``
builds PyTorch's layers of them where PyTorch is, which tinyedge does not need.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinyedge.names import DatasetName

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    pass


def write(model: Path, path: Path, images: dict[str, Any]) -> None:
    """Writes a network's nodes: a list in JSON, and arrays by the number of their node."""
    from tinyedge.importers import nodes as n
    from tinyedge.importers.qkeras.layers import trace
    from tinyedge.keras.load import load_keras_model

    nodes = trace(load_keras_model(model))
    arrays: dict[str, Any] = {}
    listed = []
    for number, node in enumerate(nodes):
        described: dict[str, Any] = {
            "is": type(node).__name__,
            "of": [nodes.index(source) for source in node.inputs],
            "shape": list(node.shape),
        }
        given: dict[str, Any] = {}
        match node:
            case n.Linear():
                described |= {"kind": node.kind, "stride": node.stride, "padding": node.padding}
                given = {"codes": node.codes, "scales": node.scales, "bias": node.bias}
            case n.Affine():
                given = {"scale": node.scale, "offset": node.offset}
            case n.Activation():
                assert node.grid is not None
                zero = node.grid.quantization.zero_point
                described["scale"] = node.grid.quantization.scale
                described["clamp"] = [end - zero for end in node.grid.clamp]
            case n.Pool():
                described |= {"kind": node.kind, "kernel": node.kernel, "stride": node.stride}
        arrays |= {
            f"{number} {name}": values if name == "codes" else values.astype(np.float32)
            for name, values in given.items()
        }
        listed.append(described)
    np.savez(path, nodes=json.dumps(listed), **arrays, **images)


def tested(model: Path, dataset: DatasetName, drawn: int, samples: int) -> dict[str, Any]:
    """Images from 0 to 1, their labels, and Keras' logits: the first of those a record's drawn."""
    from tinyedge.attacks.classifier import FloatModel
    from tinyedge.datasets import load_test_set
    from tinyedge.evaluation.suites import Suite

    network = FloatModel(model)
    test = load_test_set(dataset, channels="rgb" if network.shape[-1] == 3 else "grey")
    suite = Suite("clean", test.x, test.y).drawn(drawn, 0)
    x = suite.inputs[:samples]
    x = x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x
    return {"x": x, "y": suite.labels[:samples], "logits": network.logits(x)}


if "torch" in globals():

    class Rounded(nn.Module):
        """A value on a grid; the gradient passes where a ReLU's does, else everywhere."""

        def __init__(self, node: dict[str, Any]) -> None:
            super().__init__()
            self.scale, (self.low, self.high) = node["scale"], node["clamp"]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """The nearest value of the grid."""
            kept = x if self.low else x.clamp(0, self.high * self.scale)
            on_grid = (kept / self.scale).round().clamp(self.low, self.high) * self.scale
            return kept + (on_grid - kept).detach()

    class Network(nn.Module):
        """The nodes of a file in their order, channels first.

        Subclasses make weights and activations of other layers.

        Attributes:
            shape: of an input, channels first.
        """

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.file = np.load(path)
            self.nodes = json.loads(str(self.file["nodes"]))
            rows, columns, channels = self.nodes[0]["shape"]
            self.shape = (channels, rows, columns)
            self.layers = nn.ModuleList(
                self._layer(number, node) for number, node in enumerate(self.nodes)
            )

        def array(self, number: int, name: str) -> torch.Tensor:
            """One of a node's arrays."""
            return torch.tensor(self.file[f"{number} {name}"])

        def weighted(self, node: dict[str, Any], codes: Any, scales: torch.Tensor) -> nn.Module:
            """A layer with the weights ``codes * scales``; its bias is set later."""
            layer = self.plain(node, codes, nn.Linear, nn.Conv2d)
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(codes) * scales)
            return layer

        @staticmethod
        def plain(node: dict[str, Any], codes: Any, dense: Any, conv: Any, **options: Any) -> Any:
            """A layer of the right shape, of either class."""
            if node["kind"] == "dense":
                return dense(codes.shape[1], codes.shape[0], bias=True, **options)
            top, bottom, left, right = node["padding"]
            groups = len(codes) if node["kind"] == "depthwise" else 1
            return conv(
                codes.shape[1] * groups,
                len(codes),
                codes.shape[2:],
                stride=tuple(node["stride"]),
                padding=(top, left) if (top, left) == (bottom, right) else 0,
                groups=groups,
                bias=True,
                **options,
            )

        def activation(self, node: dict[str, Any]) -> nn.Module:
            """A value on the node's grid."""
            return Rounded(node)

        def _linear(self, number: int, node: dict[str, Any]) -> nn.Module:
            codes = self.file[f"{number} codes"]
            if node["kind"] == "conv2d":
                codes = codes.transpose(0, 3, 1, 2)
            elif node["kind"] == "depthwise":
                codes = codes[:, np.newaxis]
            elif len(shape := self._shape_before(node["of"][0])) == 3:
                # Columns in the order of channels first.
                codes = codes.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(codes.shape)
            scales = self.array(number, "scales").reshape(-1, *[1] * (codes.ndim - 1))
            layer: Any = self.weighted(node, codes, scales)
            with torch.no_grad():
                layer.bias.copy_(self.array(number, "bias"))
            top, bottom, left, right = node["padding"]
            if node["kind"] == "dense" or (top, left) == (bottom, right):
                return layer
            return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), layer)

        def _shape_before(self, number: int) -> list[int]:
            """Rows, columns and channels of an image that a matrix product reads as one row."""
            while self.nodes[number]["is"] in ("Reshape", "Activation"):
                number = self.nodes[number]["of"][0]
            return list(self.nodes[number]["shape"])

        def _layer(self, number: int, node: dict[str, Any]) -> nn.Module:
            match node["is"]:
                case "Linear":
                    return self._linear(number, node)
                case "Affine":  # its variance and epsilon together are one, and its mean zero
                    scale = self.array(number, "scale")
                    kind = nn.BatchNorm2d if len(node["shape"]) == 3 else nn.BatchNorm1d
                    norm = kind(len(scale), eps=0.0)
                    with torch.no_grad():
                        norm.weight.copy_(scale)
                        norm.bias.copy_(self.array(number, "offset"))
                    return norm
                case "Activation":
                    return self.activation(node)
                case "Pool":
                    pool = nn.MaxPool2d if node["kind"] == "max" else nn.AvgPool2d
                    return pool(tuple(node["kernel"]), tuple(node["stride"]))
                case "Mean":
                    return nn.AdaptiveAvgPool2d(1)
                case "Input" | "Add" | "Reshape":
                    return nn.Identity()
                case other:
                    raise NotImplementedError(other)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """The output (n, classes) of images (n, channels, rows, columns)."""
            values = [x]
            for layer, node in zip(self.layers[1:], self.nodes[1:], strict=True):
                given = [values[source] for source in node["of"]]
                if node["is"] == "Add":
                    values.append(given[0] + given[1])
                elif node["is"] == "Reshape":
                    values.append(given[0].flatten(1))
                else:
                    values.append(layer(given[0]))
            return values[-1]


def main() -> None:
    """Writes a file of nodes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--dataset", help="add images of its test set, labels and logits")
    parser.add_argument("--drawn", type=int, default=1000, help="so many, as --samples of attack")
    parser.add_argument("--samples", type=int, default=200, help="the first so many of them")
    arguments = parser.parse_args()
    images = {}
    if arguments.dataset:
        images = tested(arguments.model, arguments.dataset, arguments.drawn, arguments.samples)
    write(arguments.model, arguments.output, images)


if __name__ == "__main__":
    main()
