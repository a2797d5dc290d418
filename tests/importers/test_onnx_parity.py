"""The demonstration's network as Brevitas exports it, beside its QKeras file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import require_packages

require_packages("onnx")

from tinyedge import demo  # noqa: E402
from tinyedge.graph import operators as ops  # noqa: E402
from tinyedge.graph import reference  # noqa: E402
from tinyedge.importers import import_model  # noqa: E402
from tinyedge.samples.reading import read_calibration  # noqa: E402

pytestmark = pytest.mark.keras

BREVITAS = Path(__file__).parents[1] / "data/brevitas_demo.onnx"
"""Written by ``tools/make_brevitas_demo.py``."""


def test_the_same_network_gives_the_same_integers() -> None:
    """All of them but one bias.

    The file holds float32, where Keras' own numbers are folded in float64: scales of folded
    normalizations are the nearest float32 above or below, and the bias of one channel, which
    lies 3e-5 of a unit from a half, rounds the other way.
    """
    calibration = read_calibration(demo.CALIBRATION)
    expected = import_model(demo.MODEL, calibration).graph
    found = import_model(BREVITAS, calibration).graph
    assert [type(op) for op in found.operators] == [type(op) for op in expected.operators]
    different = []
    for number, (mine, theirs) in enumerate(zip(found.operators, expected.operators, strict=True)):
        a, b = found.tensors[mine.output], expected.tensors[theirs.output]
        assert (a.shape, a.quantization) == (b.shape, b.quantization)
        if isinstance(mine, ops.Weighted):
            assert isinstance(theirs, ops.Weighted)
            assert mine.weights.bits == theirs.weights.bits
            assert mine.clamp == theirs.clamp
            np.testing.assert_array_equal(mine.weights.integers, theirs.weights.integers)
            np.testing.assert_array_max_ulp(
                mine.weights.scales.astype(np.float32), theirs.weights.scales.astype(np.float32), 1
            )
            apart = mine.bias.astype(np.int64) - theirs.bias
            different += [(number, int(each)) for each in apart[apart != 0]]
    assert different == [(2, 1)]
    codes = expected.input_tensor.quantization.quantize(calibration)
    same = reference.run(found, codes).argmax(1) == reference.run(expected, codes).argmax(1)
    assert same.all()
