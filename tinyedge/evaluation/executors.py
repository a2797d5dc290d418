"""One interface to everything that can run a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import LinkError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference
from tinyedge.link.client import Client
from tinyedge.link.protocol import Hello, Stats
from tinyedge.targets.target import Target

Int8 = NDArray[np.int8]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Run:
    """What came of running samples.

    Attributes:
        logits: int8 (n, *output shape).
        instructions: (n,) of each inference, where the target counts them.
        seconds: (n,) of each inference by the device's counter, where it counts time.
    """

    logits: Int8
    instructions: NDArray[np.int64] | None = None
    seconds: NDArray[np.float64] | None = None


def run_reference(model: ConvertedModel, samples: Int8, progress: Progress | None = None) -> Run:
    """Runs samples on the numpy reference."""
    return Run(reference.run(model.graph, samples, progress))


def run_twin(model: ConvertedModel, samples: Int8, progress: Progress | None = None) -> Run:
    """Runs samples on the host twin; raises ToolchainError where it cannot be built."""
    from tinyedge.firmware.twin import Twin

    return Run(Twin(model).run(samples, progress))


def run_tflite_micro(model: ConvertedModel, samples: Int8, progress: Progress | None = None) -> Run:
    """Runs samples on TFLite-Micro's interpreter on this machine.

    Raises:
        MissingDependencyError: it is not installed.
    """
    from tinyedge.tflm.interpreter import Interpreter

    outputs = Interpreter(model.tflite.read_bytes()).run(samples, progress=progress)
    return Run(outputs[0])


@dataclass
class Device:
    """A board or an emulator, opened, and checked to hold the model.

    Attributes:
        client: the link.
        target: where the firmware runs.
        model: the model that has to be on it.
        hello: how the device introduced itself.
    """

    client: Client
    target: Target
    model: ConvertedModel
    hello: Hello = field(init=False)

    def __post_init__(self) -> None:
        """Asks who is there; raises LinkError for another model."""
        self.hello = self.client.hello()
        if self.hello.model_hash != self.model.graph.hash:
            raise LinkError(
                f"{self.client.port}: the device holds model {self.hello.model_hash[:12]}, "
                f"not {self.model.graph.hash[:12]}",
                hint="build and flash this model first",
            )

    def run(self, samples: Int8, progress: Progress | None = None) -> Run:
        """Sends samples, int8 (n, *input shape), one by one.

        Raises:
            LinkError: the conversation fails.
        """
        shape = self.model.graph.output_tensor.shape
        logits = np.empty((len(samples), *shape), dtype=np.int8)
        ticks = np.zeros(len(samples), dtype=np.int64)
        for index, sample in enumerate(np.ascontiguousarray(samples)):
            answer = self.client.infer(sample)
            if answer.logits.size != logits[index].size:
                raise LinkError(f"{answer.logits.size} logits instead of {logits[index].size}")
            logits[index] = answer.logits.reshape(shape)
            ticks[index] = answer.ticks
            if progress:
                progress(1)
        if not ticks.any():
            return Run(logits)
        if self.target.ticks_per_instruction:
            counted = np.rint(ticks / self.target.ticks_per_instruction).astype(np.int64)
            return Run(logits, instructions=counted)
        if self.target.process:
            return Run(logits)
        return Run(logits, seconds=ticks / self.hello.tick_hz)

    def stats(self) -> Stats:
        """The device's counters, its stack's peak among them."""
        return self.client.stats()
