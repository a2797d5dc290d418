"""Device against host: accuracies, and every logit compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.evaluation.executors import Int8, Progress, Run
from tinyedge.evaluation.suites import Suite
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference
from tinyedge.graph.tensors import as_batch


class Executor(Protocol):
    """Runs int8 samples (n, *input shape)."""

    def __call__(self, samples: Int8, progress: Progress | None = None) -> Run:
        """Gives the logits, and the cost where it is known."""


@dataclass(frozen=True)
class SuiteResult:
    """What became of one suite.

    Attributes:
        name: of the suite.
        samples: how many.
        float_accuracy: of the float model, if the suite came with its logits.
        host_accuracy: of the integer graph on this machine.
        device_accuracy: of the executor under test.
        mismatched_samples: samples with any logit that differs between host and device.
        mismatched_logits: logits that differ.
        instructions: (mean, smallest, largest) per inference, where counted.
        seconds: (mean, smallest, largest) per inference, where timed by the device.
        settings: of the suite.
    """

    name: str
    samples: int
    float_accuracy: float | None
    host_accuracy: float
    device_accuracy: float
    mismatched_samples: int
    mismatched_logits: int
    instructions: tuple[float, int, int] | None
    seconds: tuple[float, float, float] | None
    settings: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The record of ``--json`` and ``report.json``."""

        def spread(values: tuple[float, float, float] | None) -> dict[str, float] | None:
            return dict(zip(("mean", "min", "max"), values, strict=True)) if values else None

        return {
            "name": self.name,
            "samples": self.samples,
            "accuracy": {
                "float": self.float_accuracy,
                "host": self.host_accuracy,
                "device": self.device_accuracy,
            },
            "mismatched_samples": self.mismatched_samples,
            "mismatched_logits": self.mismatched_logits,
            "instructions": spread(self.instructions),
            "seconds": spread(self.seconds),
            "settings": self.settings,
        }


def accuracy(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Share of samples whose largest logit (the first of equals) is the label's."""
    return float((logits.reshape(len(labels), -1).argmax(axis=1) == labels).mean())


def quantized_samples(model: ConvertedModel, suite: Suite) -> Int8:
    """A suite's samples as a device receives them, int8 (n, *input shape).

    Raises:
        DataError: the suite is empty, or not of the model's input shape.
    """
    if not len(suite.labels):
        raise DataError(f"suite '{suite.name}' is empty")
    tensor = model.graph.input_tensor
    inputs = as_batch(suite.inputs, tensor.shape, f"suite '{suite.name}': samples")
    quantized: Int8 = tensor.quantization.quantize(inputs)
    return quantized


def evaluate_suite(
    model: ConvertedModel,
    suite: Suite,
    executor: Executor,
    progress: Callable[[int], None] | None = None,
) -> SuiteResult:
    """Runs a suite on the numpy reference and on an executor, and compares every logit.

    Args:
        model: the converted model.
        suite: its samples.
        executor: what is under test.
        progress: called with the number of samples that the executor has finished.

    Raises:
        DataError: the suite is empty, or not of the model's input shape.
        LinkError: the executor is a device and does not answer.
    """
    samples = quantized_samples(model, suite)
    host = reference.run(model.graph, samples)
    run = executor(samples, progress)
    differs = (run.logits != host).reshape(len(samples), -1)
    float_logits = suite.float_logits
    return SuiteResult(
        name=suite.name,
        samples=len(samples),
        float_accuracy=None if float_logits is None else accuracy(float_logits, suite.labels),
        host_accuracy=accuracy(host, suite.labels),
        device_accuracy=accuracy(run.logits, suite.labels),
        mismatched_samples=int(differs.any(axis=1).sum()),
        mismatched_logits=int(differs.sum()),
        instructions=None
        if run.instructions is None
        else (
            float(run.instructions.mean()),
            int(run.instructions.min()),
            int(run.instructions.max()),
        ),
        seconds=None
        if run.seconds is None
        else (float(run.seconds.mean()), float(run.seconds.min()), float(run.seconds.max())),
        settings=suite.settings,
    )
