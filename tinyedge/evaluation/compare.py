"""Device against host: accuracies, and every logit compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from tinyedge.evaluation.executors import Int8, Progress, Run
from tinyedge.evaluation.metrics import LogitError, verdicts
from tinyedge.evaluation.suites import Suite
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference
from tinyedge.graph.tensors import Quantization
from tinyedge.samples.scaling import ModelInput

Place = Literal["float", "host", "device"]
PLACES: tuple[Place, ...] = get_args(Place)
"""The sources of logits: the float model, the integer graph on this machine, what is under test."""


class Executor(Protocol):
    """Runs int8 samples (n, *input shape), or sequences of frames, see ``reference.run``."""

    def __call__(self, samples: Int8, progress: Progress | None = None) -> Run:
        """Gives the logits, and the cost where it is known."""


@dataclass(frozen=True, eq=False)
class SuiteResult:
    """The outcome of one suite.

    Attributes:
        suite: the samples.
        inputs: int8 (n, *input shape), as the executor received them.
        host: int8 (n, *output shape) logits of the integer graph on this machine.
        run: what the executor under test gave.
        output: the quantization of the logits.
        frames: of sequences, int8 (n, frames, *output shape) of the integer graph and of the
            executor under test; ``host`` and ``run`` then hold their last frames.
    """

    suite: Suite
    inputs: Int8
    host: Int8
    run: Run
    output: Quantization
    frames: tuple[Int8, Int8] | None = None

    @property
    def raw(self) -> Int8:
        """All logits of the executor under test."""
        return self.frames[1] if self.frames else self.run.logits

    @property
    def samples(self) -> int:
        """How many."""
        return len(self.suite.labels)

    @property
    def differs(self) -> NDArray[np.bool_]:
        """Whether host and device differ, by sample and logit of all its frames, (n, logits)."""
        host, device = self.frames or (self.host, self.run.logits)
        found: NDArray[np.bool_] = (device != host).reshape(self.samples, -1)
        return found

    @property
    def logits(self) -> dict[Place, NDArray[Any] | None]:
        """Logits (n, classes) by who computed them: floats of the float model, int8 of the others.

        The float model's are None where the suite came without them.
        """
        count, given = self.samples, self.suite.float_logits
        return {
            "float": None if given is None else given.reshape(count, -1),
            "host": self.host.reshape(count, -1),
            "device": self.run.logits.reshape(count, -1),
        }

    def accuracy(self, place: Place) -> float | None:
        """The share of right verdicts; None for a float model whose logits are not known."""
        logits = self.logits[place]
        return None if logits is None else accuracy(logits, self.suite.labels, self.output)


def accuracy(
    logits: NDArray[Any], labels: NDArray[np.int64], output: Quantization | None = None
) -> float:
    """Share of samples whose verdict, see ``verdicts``, is the label."""
    return float((verdicts(logits, output) == labels).mean())


def reconstruction_error(model: ConvertedModel, inputs: Int8, outputs: Int8) -> LogitError | None:
    """How far an autoencoder's outputs are from its inputs, in their real unit; None of others.

    Args:
        model: the converted model.
        inputs: int8 (n, *input shape).
        outputs: int8 (n, *output shape), what it gave.
    """
    graph = model.graph
    if not ModelInput.of(graph).reconstructs:
        return None
    return LogitError.of(
        graph.output_tensor.quantization.dequantize(outputs).reshape(len(outputs), -1),
        graph.input_tensor.quantization.dequantize(inputs).reshape(len(inputs), -1),
    )


def target_error(model: ConvertedModel, outputs: Int8, targets: NDArray[np.float32]) -> LogitError:
    """How far outputs are from targets, in their real unit.

    Args:
        model: the converted model.
        outputs: int8 (n, *output shape), what it gave; of sequences the last frame counts.
        targets: float32 (n, outputs).
    """
    if outputs.ndim > 1 + len(model.graph.output_tensor.shape):
        outputs = outputs[:, -1]
    real = model.graph.output_tensor.quantization.dequantize(outputs)
    return LogitError.of(real.reshape(len(real), -1), targets)


def quantized_samples(model: ConvertedModel, suite: Suite) -> Int8:
    """A suite's samples as a device receives them, int8 (n, *input shape).

    Raises:
        DataError: the suite is empty, or samples or labels do not fit the model.
    """
    takes = ModelInput.of(model.graph)
    return takes.int8(suite.fitted(takes).inputs)


def evaluate_suite(
    model: ConvertedModel,
    suite: Suite,
    executor: Executor,
    progress: Callable[[int], None] | None = None,
    host: Executor | None = None,
) -> SuiteResult:
    """Runs a suite on the numpy reference and on an executor, and compares every logit.

    Args:
        model: the converted model.
        suite: its samples.
        executor: what is under test.
        progress: called with the number of samples that the executor has finished.
        host: computes the numpy reference, if that is not to be done here.

    Raises:
        DataError: the suite is empty, or samples or labels do not fit the model.
        LinkError: the executor is a device and does not answer.
    """
    takes = ModelInput.of(model.graph)
    suite = suite.fitted(takes)
    samples = takes.int8(suite.inputs)
    run = executor(samples, progress)
    expected = host(samples).logits if host else reference.run(model.graph, samples)
    output = model.graph.output_tensor.quantization
    if samples.ndim == 1 + len(model.graph.input_tensor.shape):
        return SuiteResult(suite, samples, expected, run, output)
    last = replace(run, logits=run.logits[:, -1])
    return SuiteResult(suite, samples, expected[:, -1], last, output, (expected, run.logits))
