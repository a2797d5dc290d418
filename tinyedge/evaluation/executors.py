"""One interface to everything that can run a model; devices are in ``devices``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference

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


HERE = {"numpy": run_reference, "twin": run_twin, "tflite-micro": run_tflite_micro}
"""What runs a model on this machine, by the name of the place."""
