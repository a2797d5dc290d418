"""A comparison judges a layer by itself, where the witness does not show all."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from tinyedge.evaluation.witnesses import Subject, Witness, compare
from tinyedge.evaluation.witnesses.witness import Int8, Progress, Seen, Standard
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor


def average(scale: float) -> Graph:
    """A 4-bit activation, its steps of another scale, and an average of four of these."""
    fine = Quantization(scale, 127 - 8 * 15)
    tensors = {
        "relu": Tensor("relu", (4, 4, 1), Quantization(0.25, 112)),
        "pool/finer": Tensor("pool/finer", (4, 4, 1), fine),
        "pool": Tensor("pool", (2, 2, 1), fine),
    }
    finer = ops.Requantize(name="pool/finer", inputs=("relu",), output="pool/finer")
    pool = ops.AveragePool2D(
        name="pool", inputs=("pool/finer",), output="pool", kernel=(2, 2), stride=(2, 2)
    )
    return Graph("average", tensors, (finer, pool), "relu", "pool")


class Shifted(Witness):
    """A model of its own arithmetic, which has no layer for the finer steps."""

    standard: ClassVar[Standard] = "steps"
    steps = 0

    def shows(self) -> list[str]:
        return ["pool"]

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:  # noqa: ARG002
        return [Seen(reference.run(self.graph, samples) + np.int8(self.steps)) for _ in names]


SAMPLES = np.random.default_rng(0).integers(112, 128, (100, 4, 4, 1)).astype(np.int8)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_average_behind_finer_steps_is_judged_by_itself(steps: int) -> None:
    witness = Shifted(Subject(average(0.25 / 8)))
    witness.steps = -steps
    found = compare(witness, SAMPLES, layers=True)
    (pool,) = found.tensors
    assert pool.own_largest == steps
    assert found.fault == ("pool" if steps > 1 else None)


def test_steps_that_round_tell_nothing() -> None:
    (pool,) = compare(Shifted(Subject(average(0.3 / 8))), SAMPLES, layers=True).tensors
    assert pool.own_largest is None
