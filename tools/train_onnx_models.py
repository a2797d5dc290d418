#!/usr/bin/env python3
"""Trains three small networks on Fashion-MNIST in PyTorch and exports them as quantized ONNX.

    python tools/train_onnx_models.py -o tests/data

- ``brevitas_qonnx.onnx``: weights of 2 bits, activations of 4 and 8, a residual and a depthwise
  convolution, as Brevitas exports QONNX
- ``torch_qdq.onnx``: a residual network of 8 bits, as PyTorch exports Brevitas' quantizers as
  QuantizeLinear and DequantizeLinear
- ``runtime_mobilenet.onnx``: depthwise separable convolutions, exported as floats and quantized by
  ONNX Runtime with 256 images

It needs packages that tinyedge does not: ``pip install torch==2.13.0 brevitas==0.13.4
onnxoptimizer==0.4.2 onnxruntime==1.32.0``. Deterministic for a given seed and PyTorch build.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brevitas import nn as qnn
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.quant import Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import nn

IMAGES, LABELS = "{}-images-idx3-ubyte.gz", "{}-labels-idx1-ubyte.gz"
OPSET = 17
CALIBRATION = 256
NAMES = ("brevitas_qonnx", "torch_qdq", "runtime_mobilenet")


def load(folder: Path, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, 1, 28, 28) from 0 to 1, and labels."""
    pixels = gzip.decompress((folder / IMAGES.format(split)).read_bytes())[16:]
    labels = gzip.decompress((folder / LABELS.format(split)).read_bytes())[8:]
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 1, 28, 28)
    return (
        torch.tensor(images.astype(np.float32) / 255),
        torch.tensor(np.frombuffer(labels, np.uint8).astype(np.int64)),
    )


def conv(inputs: int, outputs: int, size: int, bits: int, **rest: Any) -> nn.Module:
    """A convolution with weights of few bits, and normalization."""
    return nn.Sequential(
        qnn.QuantConv2d(
            inputs,
            outputs,
            size,
            padding=size // 2,
            bias=False,
            weight_bit_width=bits,
            weight_quant=Int8WeightPerChannelFloat,
            **rest,
        ),
        nn.BatchNorm2d(outputs),
    )


class Residual(nn.Module):
    """Stem, a residual block with a depthwise convolution, an average pool, a matrix product."""

    def __init__(self, weights: int, activations: int) -> None:
        super().__init__()
        self.input = qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat, bit_width=8)
        self.stem = conv(1, 16, 3, 8, stride=2)
        self.stem_act = qnn.QuantReLU(bit_width=activations)
        self.expand = conv(16, 16, 3, weights)
        self.expand_act = qnn.QuantReLU(bit_width=activations)
        self.depthwise = conv(16, 16, 3, 8, groups=16)
        self.depthwise_act = qnn.QuantIdentity(bit_width=8)
        self.sum = qnn.QuantReLU(bit_width=8)
        self.down = conv(16, 48, 3, weights, stride=2)
        self.down_act = qnn.QuantReLU(bit_width=activations)
        self.pool = nn.AvgPool2d(2)
        self.pool_act = qnn.QuantIdentity(bit_width=8)
        self.classes = qnn.QuantLinear(9 * 48, 10, bias=True, weight_bit_width=8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.stem_act(self.stem(self.input(x)))
        y = self.expand_act(self.expand(x))
        y = self.depthwise_act(self.depthwise(y))
        x = self.sum(x + y)
        x = self.down_act(self.down(x))
        return self.classes(self.pool_act(self.pool(x)).flatten(1))


class MobileNet(nn.Module):
    """Depthwise separable convolutions of floats."""

    def __init__(self) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, size: int, **rest: Any) -> nn.Module:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False, **rest),
                nn.BatchNorm2d(outputs),
                nn.ReLU6(),
            )

        self.features = nn.Sequential(
            block(1, 8, 3, stride=2),
            block(8, 8, 3, groups=8),
            block(8, 32, 1),
            block(32, 32, 3, groups=32, stride=2),
            block(32, 64, 1),
            block(64, 64, 3, groups=64),
            block(64, 64, 1),
        )
        self.pool = nn.AvgPool2d(2)
        self.classes = nn.Linear(9 * 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.classes(self.pool(self.features(x)).flatten(1))


BATCH = 192


def train(
    model: nn.Module, data: tuple[torch.Tensor, torch.Tensor], epochs: int, seed: int
) -> None:
    """Adam with a cosine schedule."""
    torch.manual_seed(seed)
    images, labels = data
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for epoch in range(epochs):
        print(f"epoch {epoch + 1} of {epochs}", flush=True)
        order = torch.randperm(len(images))
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def accuracy(model: nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Share of right answers."""
    model.eval()
    with torch.no_grad():
        answers = torch.cat([model(batch).argmax(1) for batch in data[0].split(500)])
    return float((answers == data[1]).float().mean())


class Reader(CalibrationDataReader):
    """Images for ONNX Runtime."""

    def __init__(self, images: torch.Tensor) -> None:
        self._left = iter(images.numpy())

    def get_next(self) -> dict[str, Any] | None:
        """The next one."""
        image = next(self._left, None)
        return None if image is None else {"image": image[None]}


def main() -> None:
    """Trains and writes; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=NAMES, action="append", help="by default all")
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("-o", "--output", type=Path, default=Path("tests/data"))
    arguments = parser.parse_args()
    wanted = arguments.only or NAMES
    train_set, test_set = load(arguments.data, "train"), load(arguments.data, "t10k")
    image, names = test_set[0][:1], {"input_names": ["image"], "output_names": ["logits"]}
    options: dict[str, Any] = {"opset_version": OPSET, "dynamo": False, **names}

    for name, weights, activations in ((NAMES[0], 2, 4), (NAMES[1], 8, 8)):
        if name not in wanted:
            continue
        torch.manual_seed(arguments.seed)
        model = Residual(weights, activations)
        train(model, train_set, arguments.epochs, arguments.seed)
        print(f"{name}: {accuracy(model, test_set):.4f}", flush=True)
        export = export_qonnx if weights == 2 else export_onnx_qcdq
        export(model, args=image, export_path=arguments.output / f"{name}.onnx", **options)

    if NAMES[2] not in wanted:
        return
    torch.manual_seed(arguments.seed)
    mobile = MobileNet()
    train(mobile, train_set, arguments.epochs, arguments.seed)
    print(f"runtime_mobilenet: {accuracy(mobile, test_set):.4f} (floats)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        floats = Path(folder) / "floats.onnx"
        torch.onnx.export(mobile, (image,), str(floats), **options)
        quantize_static(
            floats,
            arguments.output / "runtime_mobilenet.onnx",
            Reader(train_set[0][:CALIBRATION]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )


if __name__ == "__main__":
    main()
