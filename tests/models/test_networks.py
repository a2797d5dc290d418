from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.draws import some_of
from tests.importers.keras_models import randomized, save
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import reference
from tinyedge.graph.operators import Weighted
from tinyedge.importers import import_model
from tinyedge.models.networks import build_network
from tinyedge.models.sizes import model_size
from tinyedge.names import NETWORKS, PRECISIONS, NetworkName, Precision

pytestmark = pytest.mark.keras

KIB = 1024


@pytest.mark.parametrize(
    ("precision", "kib"), [("float", 4495.7), ("int8", 1123.9), ("binary", 140.5), ("stq", 409.8)]
)
def test_stq_has_the_sizes_of_the_paper(precision: Precision, kib: float) -> None:
    size = model_size(build_network("stq", precision, (32, 32, 1), 10))
    assert size.parameters == 1_150_906
    assert round(size.nominal / KIB, 1) == kib


def test_stored_size_counts_every_parameter_at_its_own_bits() -> None:
    size = model_size(build_network("stq", "stq", (32, 32, 1), 10))
    assert size.by_bits == {2: 997_888, 8: 147_312, 32: 5_706}
    assert size.stored == (2 * 997_888 + 8 * 147_312 + 32 * 5_706) / 8


@pytest.mark.parametrize("name", some_of(NETWORKS))
def test_siblings_have_the_same_weights(name: NetworkName) -> None:
    compared = ("float", "stq") if name == "mobilenet_v2" else PRECISIONS
    models = [build_network(name, each, (32, 32, 1), 10, width=0.25) for each in compared]
    shapes = [
        {layer.name: [w.shape for w in layer.weights] for layer in model.layers if layer.weights}
        for model in models
    ]
    assert all(each == shapes[0] for each in shapes)


def test_known_shapes() -> None:
    """MLPerf Tiny's ResNet8 has 77,360 weights; DS-CNN's layers 22,016 and a classifier."""
    assert model_size(build_network("resnet8", "int8", (32, 32, 3), 10)).by_bits[8] == 77_360
    assert model_size(build_network("ds_cnn", "int8", (49, 10, 1), 12)).by_bits[8] == 22_016


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *some_of(("stq", "resnet8", "ds_cnn"), ("binary", "stq")),
        pytest.param("mobilenet_v2", "stq", marks=pytest.mark.slow),
    ],
)
def test_networks_run_bit_exactly(name: NetworkName, precision: Precision, tmp_path: Path) -> None:
    model = build_network(name, precision, (16, 16, 1), 10, width=0.125, temperature=50)
    path = save(randomized(model), tmp_path / "model.h5")
    imported = import_model(path)
    bits = {op.weights.bits for op in imported.graph.operators if isinstance(op, Weighted)}
    assert (1 if precision == "binary" else 2) in bits
    assert imported.graph.output_tensor.quantization.scale == 4.0  # [-512, 512)
    converted = write_converted(imported.graph, tmp_path / "out", "test")
    random = np.random.default_rng(0)
    samples = random.integers(-128, 128, (4, *imported.graph.input_tensor.shape)).astype(np.int8)
    np.testing.assert_array_equal(
        Twin(converted).run(samples), reference.run(converted.graph, samples)
    )
