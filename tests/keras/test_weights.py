"""Every weight of a file of Keras 3 reaches its layer, or the file is refused."""

from __future__ import annotations

import importlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tinyedge.errors import ModelError
from tinyedge.keras.contents import KerasContents, read_contents
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.load import load_keras_model, logits_model
from tinyedge.keras.weights import load_keras_3_weights

COMPOSITE: dict[str, Callable[[Any], Any]] = {
    "LSTM": lambda layers: layers.LSTM(3),
    "GRU": lambda layers: layers.GRU(3, return_sequences=True),
    "SimpleRNN": lambda layers: layers.SimpleRNN(2),
    "Bidirectional": lambda layers: layers.Bidirectional(layers.LSTM(3)),
    "TimeDistributed": lambda layers: layers.TimeDistributed(layers.Dense(2)),
}


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    return importlib.import_module("keras")


def _saved(keras: Any, layer: Any, path: Path) -> Any:
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, layer(inputs))
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    model.save(path)
    return model


def _archive(path: Path, layer: dict[str, Any], fill: Callable[[h5py.File], None]) -> Path:
    """A file of Keras 3 of one layer, that of ``fill``, on images (4, 4, 1)."""
    source = {"batch_shape": [None, 4, 4, 1], "name": "x"}
    listed = [{"class_name": "InputLayer", "config": source}, layer]
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": listed}}
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.11.0"}))
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", stream.getvalue())
    return path


def _vars(group: Any, name: str, *arrays: Any) -> Any:
    held = group.create_group("vars")
    held.attrs["name"] = name
    for index, array in enumerate(arrays):
        held[str(index)] = array
    return held


DENSE = {"class_name": "Dense", "config": {"name": "d", "units": 2}}
KERNEL, BIAS = np.ones((1, 2), np.float32), np.full(2, 3, np.float32)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize("kind", COMPOSITE)
@pytest.mark.filterwarnings("ignore:.*HDF5")
def test_layers_made_of_layers_get_all_their_weights(
    kind: str, name: str, tmp_path: Path, keras: Any
) -> None:
    model = _saved(keras, COMPOSITE[kind](keras.layers), tmp_path / name)
    x = np.random.default_rng(1).random((5, 4, 3)).astype(np.float32)
    expected = np.asarray(model(x))
    assert np.abs(np.asarray(load_keras_model(tmp_path / name)(x)) - expected).max() < 1e-5


@pytest.mark.keras
@pytest.mark.parametrize("kind", ["QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm"])
def test_a_folded_normalization_gets_its_statistics(kind: str, tmp_path: Path) -> None:
    depthwise = "Depthwise" in kind
    config = {"name": "q", "kernel_size": [1, 1], "use_bias": False}
    config |= {"depthwise_quantizer": None} if depthwise else {"filters": 1}

    def fill(file: h5py.File) -> None:
        group = file.create_group("layers/q")
        _vars(group, "q", np.ones((1, 1, 1, 1), np.float32), np.int64(7))
        inner = group.create_group("batchnorm")
        _vars(inner, "inner", *(np.full(1, value, np.float32) for value in (2, 3, 4, 5)))

    path = _archive(tmp_path / "m.keras", {"class_name": kind, "config": config}, fill)
    found = load_keras_model(path)(np.ones((1, 4, 4, 1), np.float32))
    assert np.asarray(found) == pytest.approx(2 * (1 - 4) / np.sqrt(5 + 1e-3) + 3)


@pytest.mark.keras
def test_weights_that_no_known_place_holds_are_refused(tmp_path: Path, keras: Any) -> None:
    path = tmp_path / "m.keras"
    cells = [keras.layers.LSTMCell(2), keras.layers.GRUCell(3)]
    _saved(keras, keras.layers.RNN(cells, name="deep"), path)
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [layers.Input((4, 3)), layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], name="deep")]
    )
    contents = KerasContents("archive", {}, 2**20, keras_3=True)
    with pytest.raises(ModelError, match=r"weight 'deep/.* and 5 others cannot be read"):
        load_keras_3_weights(path, contents, model)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
@pytest.mark.filterwarnings("ignore:.*HDF5")
def test_an_adapted_normalization_stays_so(
    package: str, depth: int, name: str, tmp_path: Path, keras: Any
) -> None:
    library = keras if package == "keras" else tf_keras
    x = np.random.default_rng(2).normal(100, 5, (50, 3)).astype(np.float32)
    layer = library.layers.Normalization()
    layer.adapt(x)
    model = library.Sequential([library.Input((3,)), layer])
    if depth > 1:
        model = library.Sequential([library.Input((3,)), model])
    model.save(tmp_path / name)
    found = np.asarray(load_keras_model(tmp_path / name)(x))
    assert np.abs(found.mean(0)).max() < 1e-3
    assert np.abs(found.std(0) - 1).max() < 1e-3


@pytest.mark.keras
def test_arrays_of_other_shapes_are_not_read(tmp_path: Path) -> None:
    """One array under many names is counted once in the file's size."""

    def fill(file: h5py.File) -> None:
        held = _vars(file.create_group("layers/d"), "d")
        large = held.create_dataset("0", shape=(1 << 20,), dtype="f4", compression="gzip")
        for index in range(1, 64):
            held[str(index)] = large

    path = _archive(tmp_path / "m.keras", DENSE, fill)
    contents, model = read_contents(path), tf_keras.Sequential()
    model.add(tf_keras.layers.Input((4, 4, 1)))
    model.add(tf_keras.layers.Dense(2, name="d"))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="layer 'd': weights of shapes"):
            load_keras_3_weights(path, contents, model)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.keras
def test_groups_that_hold_each_other_end(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        group = file.create_group("layers/d")
        _vars(group, "d", KERNEL, BIAS)
        group["layers"] = file["layers"]

    path = _archive(tmp_path / "m.keras", DENSE, fill)
    assert (np.asarray(load_keras_model(path)(np.ones((1, 4, 4, 1), np.float32))) == 4).all()


def test_a_chunk_counts_whole(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        held = _vars(file.create_group("layers/d"), "d")
        chunk = {"maxshape": (None, 2), "chunks": (1 << 25, 2), "compression": "gzip"}
        held.create_dataset("0", shape=(1, 2), dtype="f4", **chunk)

    with pytest.raises(ModelError, match="unpack to more than"):
        read_contents(_archive(tmp_path / "m.keras", DENSE, fill))


@pytest.mark.keras
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_the_activation_of_steps_is_no_final_one(kind: str) -> None:
    layers = tf_keras.layers
    layer = getattr(layers, kind)(1, activation="sigmoid")
    model = tf_keras.Sequential([layers.Input((4, 3)), layer])
    x = np.ones((2, 4, 3), np.float32)
    expected = np.asarray(model(x))
    assert (np.asarray(logits_model(model)(x)) == expected).all()
