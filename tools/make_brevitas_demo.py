#!/usr/bin/env python3
"""Rebuilds the demonstration's network in Brevitas, and exports it as QONNX.

    python tools/make_brevitas_demo.py --read /tmp/demo.npz
    python tools/make_brevitas_demo.py --write /tmp/demo.npz -o tests/data/brevitas_demo.onnx

The first runs in tinyedge's environment, and writes the weights, scales and grids of the QKeras
file. The second runs where PyTorch and Brevitas are, which tinyedge does not need: ``pip install
torch==2.13.0 brevitas==0.13.4``. It builds Brevitas' own layers with these numbers; nothing is
trained. The file that comes out depends on nothing else.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

OPSET = 17


def read(path: Path) -> None:
    """Writes the network's nodes: a list of JSON, and the arrays that it names."""
    from tinyedge import demo
    from tinyedge.importers import nodes as n
    from tinyedge.importers.qkeras.layers import trace
    from tinyedge.keras.load import load_keras_model

    nodes = trace(load_keras_model(demo.MODEL))
    arrays: dict[str, Any] = {}
    listed = []
    for number, node in enumerate(nodes):
        described: dict[str, Any] = {
            "is": type(node).__name__,
            "of": [nodes.index(source) for source in node.inputs],
            "shape": list(node.shape),
        }
        match node:
            case n.Linear():
                described |= {"kind": node.kind, "stride": node.stride, "padding": node.padding}
                arrays |= {
                    f"{number} codes": node.codes,
                    f"{number} scales": node.scales.astype(np.float32),
                    f"{number} bias": node.bias.astype(np.float32),
                }
            case n.Affine():
                arrays |= {
                    f"{number} scale": node.scale.astype(np.float32),
                    f"{number} offset": node.offset.astype(np.float32),
                }
            case n.Activation():
                assert node.grid is not None
                zero = node.grid.quantization.zero_point
                described["scale"] = node.grid.quantization.scale
                described["clamp"] = [end - zero for end in node.grid.clamp]
            case n.Pool():
                described |= {"kind": node.kind, "kernel": node.kernel, "stride": node.stride}
        listed.append(described)
    np.savez(path, nodes=json.dumps(listed), **arrays)


def layers(listed: list[dict[str, Any]], file: Any) -> Any:
    """Brevitas' layers for the nodes of ``read``, a ModuleList."""
    import torch
    from brevitas import nn as qnn
    from brevitas.inject.enum import ScalingImplType
    from brevitas.quant import (
        Int8ActPerTensorFloat,
        Int8WeightPerChannelFloat,
        Uint8ActPerTensorFloat,
    )
    from torch import nn

    def tensor(number: int, name: str) -> torch.Tensor:
        return torch.tensor(file[f"{number} {name}"])

    def shape_before(number: int) -> list[int]:
        """Rows, columns and channels of an image that a matrix product reads as one row."""
        while listed[number]["is"] == "Reshape":
            number = listed[number]["of"][0]
        return list(listed[number]["shape"])

    def linear(number: int, node: dict[str, Any]) -> nn.Module:
        codes, scales = file[f"{number} codes"], tensor(number, "scales")
        bits = 2 if np.abs(codes).max() <= 1 else 8
        if node["kind"] == "conv2d":
            codes = codes.transpose(0, 3, 1, 2)
        elif node["kind"] == "depthwise":
            codes = codes[:, np.newaxis]
        elif len(shape := shape_before(node["of"][0])) == 3:
            codes = codes.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(codes.shape)
        scales = scales.reshape(-1, *[1] * (codes.ndim - 1))

        class Quantizer(Int8WeightPerChannelFloat):
            """The file's scales; Brevitas divides what it is given by the largest integer."""

            scaling_impl_type = ScalingImplType.CONST
            scaling_init = scales * (2 ** (bits - 1) - 1)
            bit_width = bits

        options = {"bias": True, "weight_quant": Quantizer}
        layer: Any
        if node["kind"] == "dense":
            layer = qnn.QuantLinear(codes.shape[1], codes.shape[0], **options)
        else:
            top, bottom, left, right = node["padding"]
            groups = len(codes) if node["kind"] == "depthwise" else 1
            layer = qnn.QuantConv2d(
                codes.shape[1] * groups,
                len(codes),
                codes.shape[2:],
                stride=tuple(node["stride"]),
                padding=(top, left) if (top, left) == (bottom, right) else 0,
                groups=groups,
                **options,
            )
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(codes) * scales)
            layer.bias.copy_(tensor(number, "bias"))
        kept = layer.quant_weight()
        assert torch.equal(kept.int().to(torch.int64), torch.tensor(codes, dtype=torch.int64))
        assert torch.equal(kept.scale.reshape(scales.shape), scales)
        if node["kind"] != "dense" and (top, left) != (bottom, right):
            return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), layer)
        return layer

    def affine(number: int, node: dict[str, Any]) -> nn.Module:
        """Batch normalization, whose variance and epsilon together are one."""
        scale, offset = tensor(number, "scale"), tensor(number, "offset")
        norm = (nn.BatchNorm2d if len(node["shape"]) == 3 else nn.BatchNorm1d)(len(scale), eps=0.0)
        with torch.no_grad():
            norm.weight.copy_(scale)
            norm.bias.copy_(offset)
        return norm

    def activation(_: int, node: dict[str, Any]) -> nn.Module:
        low, high = node["clamp"]
        base = Int8ActPerTensorFloat if low < 0 else Uint8ActPerTensorFloat

        class Quantizer(base):  # type: ignore[misc, valid-type]
            """The file's scale; Brevitas divides what it is given by the largest integer."""

            scaling_impl_type = ScalingImplType.CONST
            scaling_init = node["scale"] * (high if low < 0 and low == -high else high + (low < 0))
            bit_width = int(np.log2(high + 1)) + int(low < 0)
            narrow_range = low == -high

        return qnn.QuantIdentity(act_quant=Quantizer)

    makers: dict[str, Callable[[int, dict[str, Any]], nn.Module]] = {
        "Linear": linear,
        "Affine": affine,
        "Activation": activation,
        "Pool": lambda _, node: (nn.MaxPool2d if node["kind"] == "max" else nn.AvgPool2d)(
            tuple(node["kernel"]), tuple(node["stride"])
        ),
    }

    return nn.ModuleList(
        makers.get(node["is"], lambda *_: nn.Identity())(number, node)  # type: ignore[no-untyped-call]
        for number, node in enumerate(listed)
    )


def write(source: Path, path: Path) -> None:
    """Builds the nodes of ``read`` of Brevitas' layers, and exports them."""
    import torch
    from brevitas.export import export_qonnx

    file = np.load(source)
    listed = json.loads(str(file["nodes"]))

    class Network(torch.nn.Module):
        """The nodes, in their order."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = layers(listed, file)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values = [x]
            for layer, node in zip(self.layers[1:], listed[1:], strict=True):
                given = [values[source] for source in node["of"]]
                if node["is"] == "Add":
                    values.append(given[0] + given[1])
                elif node["is"] == "Reshape":
                    values.append(given[0].flatten(1))
                else:
                    values.append(layer(given[0]))
            return values[-1]

    rows, columns, channels = listed[0]["shape"]
    export_qonnx(
        Network().eval(),
        args=torch.zeros(1, channels, rows, columns),
        export_path=str(path),
        opset_version=OPSET,
        dynamo=False,
        input_names=["image"],
        output_names=["logits"],
    )


def main() -> None:
    """Reads or writes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--read", type=Path, metavar="NPZ", help="write the QKeras file's nodes")
    parser.add_argument("--write", type=Path, metavar="NPZ", help="build and export these")
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/data/brevitas_demo.onnx"))
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read)
    if arguments.write:
        write(arguments.write, arguments.output)


if __name__ == "__main__":
    main()
