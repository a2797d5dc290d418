#!/usr/bin/env python3
"""Rebuilds the demonstration's network of Brevitas' layers, and exports it as QONNX.

    python tools/torch_nodes.py tinyedge/demo/fashion_mnist_stq.h5 -o nodes.npz
    python tools/make_brevitas_demo.py nodes.npz -o tests/data/brevitas_demo.onnx

The first runs in tinyedge's environment, the second where PyTorch and Brevitas are, which tinyedge
does not need: ``pip install torch==2.13.0 brevitas==0.13.4 onnxoptimizer==0.4.2``. Nothing is
trained or drawn: the same numbers make the same file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brevitas import nn as qnn
from brevitas.export import export_qonnx
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Uint8ActPerTensorFloat,
)
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from torch_nodes import Network

OPSET = 17


class BrevitasNetwork(Network):
    """The same nodes with Brevitas' quantizers."""

    def weighted(self, node: dict[str, Any], codes: Any, scales: torch.Tensor) -> nn.Module:
        """A layer that quantizes its weights to the codes that they come from."""
        bits = 2 if np.abs(codes).max() <= 1 else 8

        class Quantizer(Int8WeightPerChannelFloat):
            """The file's scales; Brevitas divides what it is given by the largest integer."""

            scaling_impl_type = ScalingImplType.CONST
            scaling_init = scales * (2 ** (bits - 1) - 1)
            bit_width = bits

        layer: nn.Module = self.plain(
            node, codes, qnn.QuantLinear, qnn.QuantConv2d, weight_quant=Quantizer
        )
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(codes) * scales)
        kept = layer.quant_weight()
        assert torch.equal(kept.int().to(torch.int64), torch.tensor(codes, dtype=torch.int64))
        assert torch.equal(kept.scale.reshape(scales.shape), scales)
        return layer

    def activation(self, node: dict[str, Any]) -> nn.Module:
        """A quantizer with the node's grid."""
        low, high = node["clamp"]
        base = Int8ActPerTensorFloat if low < 0 else Uint8ActPerTensorFloat
        largest = high + int(low < -high)

        class Quantizer(base):  # type: ignore[misc, valid-type]
            """The file's scale; Brevitas divides what it is given by the largest integer."""

            scaling_impl_type = ScalingImplType.CONST
            scaling_init = node["scale"] * largest
            bit_width = int(np.log2(high + 1)) + int(low < 0)
            narrow_range = low == -high

        quantizer: nn.Module = qnn.QuantIdentity(act_quant=Quantizer)
        return quantizer


def main() -> None:
    """Builds and exports; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nodes", type=Path, help="by tools/torch_nodes.py")
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/data/brevitas_demo.onnx"))
    arguments = parser.parse_args()
    network = BrevitasNetwork(arguments.nodes).eval()
    export_qonnx(
        network,
        args=torch.zeros(1, *network.shape),
        export_path=str(arguments.output),
        opset_version=OPSET,
        dynamo=False,
        input_names=["image"],
        output_names=["logits"],
    )


if __name__ == "__main__":
    main()
