"""An integer graph as attacks by gradients see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.descent import Found
from tinyedge.attacks.losses import Labels, Loss
from tinyedge.attacks.margins import margins
from tinyedge.evaluation.compare import Executor
from tinyedge.evaluation.metrics import class_logits
from tinyedge.graph.gradients import logits_tensor, outputs_and_gradient, passes
from tinyedge.graph.graph import Graph

Float32 = NDArray[np.float32]
Int8 = NDArray[np.int8]


class IntegerModel:
    """An integer graph as attacks by gradients see it.

    Args:
        graph: whose operators all have a product, see ``check_differentiable``.
        execute: runs the graph, where logits alone are asked for.
        temperature: that logits are divided by.

    Attributes:
        classes: number of logits, at least 2: of one output 0 and its own.
    """

    def __init__(self, graph: Graph, execute: Executor, temperature: float = 1.0) -> None:
        self._graph = graph
        self._execute = execute
        self._temperature = temperature
        self.classes = max(graph.output_tensor.size, 2)
        self._last = last = logits_tensor(graph)
        # Before a last Logistic the border lies at 0; what follows it knows of 0.5.
        self._border = graph.output_tensor.quantization if last == graph.output else None

    def logits(self, samples: Int8) -> Float32:
        """Real logits of int8 samples, float32 (n, classes), without a gradient."""
        return self._class_logits(self._execute(samples).logits)

    def scores(self, samples: Int8) -> Float32:
        """Gives values that rank the classes: a last Softmax ties unlikely ones, so its input."""
        if self._last == self._graph.output:
            return self.logits(samples)
        quantization = self._graph.tensors[self._last].quantization
        found = np.empty((len(samples), self.classes), np.float32)
        for part, computed in passes(self._graph, samples):
            real = quantization.dequantize(computed.values[self._last])
            found[part] = class_logits(real.reshape(len(real), -1), self._border)
        return found

    def margins(self, samples: Int8, labels: Labels) -> Float32:
        """By how much the verdict on each sample is right, float32 (n,)."""
        return margins(self.logits(samples), labels)

    def step(
        self, samples: Int8, labels: Labels, loss: Loss, targets: Labels | None = None
    ) -> Found:
        """Gives the model's answer to int8 samples (n, *shape), and the direction of a loss."""
        losses = np.empty(len(samples))
        aimed = labels if targets is None else targets

        def by_logits(real: Float32, part: slice) -> Float32:
            logits = class_logits(real, self._border).astype(np.float64) / self._temperature
            losses[part], gradient = loss(logits, labels[part], aimed[part])
            # Only directions are of use: scaled, the smallest does not vanish in float32.
            gradient /= np.abs(gradient).max(axis=1, keepdims=True) + np.finfo(np.float64).tiny
            return gradient[:, -real.shape[1] :].astype(np.float32)

        outputs, gradient = outputs_and_gradient(self._graph, samples, by_logits)
        return Found(margins(self._class_logits(outputs), labels), losses, gradient)

    def _class_logits(self, outputs: Int8) -> Float32:
        quantization = self._graph.output_tensor.quantization
        real = quantization.dequantize(outputs.reshape(len(outputs), -1))
        return class_logits(real, quantization)
