"""Files of Keras 3 are what Keras 3 and qkeras-v3 say they are, read by Keras 2 and QKeras 0.9."""

from __future__ import annotations

import copy
import importlib
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tinyedge.errors import ModelError
from tinyedge.keras.contents import read_contents
from tinyedge.keras.keras3 import translated

DATA = Path(__file__).parents[1] / "data"
DEMO = Path(__file__).parents[2] / "tinyedge" / "demo"


def _tensor(layer: str, call: int = 0) -> dict[str, Any]:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 4], "dtype": "float32", "keras_history": [layer, call, 0]},
    }


def _layer(kind: str, args: list[Any], name: str = "it", **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": [{"args": args, "kwargs": {}}] if args else [],
    }


def _model(*layers: dict[str, Any]) -> dict[str, Any]:
    first = _layer("InputLayer", [], "x", batch_shape=[None, 4], optional=False)
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [first, *layers],
            "input_layers": ["x", 0, 0],
            "output_layers": [[layers[-1]["name"], 0, 0]],
        },
    }


def _edited(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(entry), **changes}


DENSE = _layer("Dense", [_tensor("x")], units=2)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "own layer": (_layer("Mine", [_tensor("x")]), "layer 'it': unsupported layer .*'Mine'"),
    "Lambda": (_layer("Lambda", [_tensor("x")]), "layer 'it': unsupported layer .*'Lambda'"),
    "a module of its own": (_edited(DENSE, module="stranger"), "'Dense' of module 'stranger'"),
    "a function of its own": (
        _layer("Dense", [_tensor("x")], units=2, activation="mine"),
        "layer 'it': unsupported layer or function 'mine'",
    ),
    "a function of keras.ops": (
        _edited(_layer("Exp", [_tensor("x")]), module="keras.src.ops.numpy"),
        "layer 'it': unsupported keras.ops function 'Exp'; allowed: Add",
    ),
    "a constant operand": (
        _edited(_layer("Add", [_tensor("x"), 1.0]), module="keras.src.ops.numpy"),
        "layer 'it': is called with 1.0, which is no layer's",
    ),
    "always in training": (
        _edited(
            _layer("Dropout", [_tensor("x")], rate=0.5),
            inbound_nodes=[{"args": [_tensor("x")], "kwargs": {"training": True}}],
        ),
        "layer 'it': is called with training=True",
    ),
    "weights quantized by Keras": (
        _layer(
            "Dense",
            [_tensor("x")],
            units=2,
            dtype={
                "module": "keras",
                "class_name": "QuantizedDTypePolicy",
                "config": {"mode": "int8", "source_name": "float32"},
            },
        ),
        "layer 'it': its weights are quantized by Keras itself .'int8'.",
    ),
    "synchronized normalization": (
        _layer("BatchNormalization", [_tensor("x")], synchronized=True),
        "layer 'it': BatchNormalization with synchronized True",
    ),
    "half precision": (
        _layer("Dense", [_tensor("x")], units=2, dtype="float16"),
        "layer 'it': computes in float16",
    ),
}


def _written(path: Path, model: dict[str, Any]) -> Path:
    """A file of Keras 3 without weights."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = "3.11.0"
            file.attrs["model_config"] = json.dumps(model)
            file.create_group("model_weights")
        return path
    with h5py.File(path.with_suffix(".weights"), "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.11.0"}))
        archive.writestr("config.json", json.dumps(model))
        archive.write(path.with_suffix(".weights"), "model.weights.h5")
    return path


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_keras_2_would_compute_otherwise_is_refused(
    case: str, name: str, tmp_path: Path
) -> None:
    layer, message = REFUSED[case]
    with pytest.raises(ModelError, match=message) as caught:
        read_contents(_written(tmp_path / name, _model(layer)))
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.hint


def test_a_model_that_keras_has_quantized_is_refused_with_the_way_out() -> None:
    message = "layer .einsum.: its weights are quantized by Keras"
    with pytest.raises(ModelError, match=message) as caught:
        read_contents(DATA / "keras_int8.keras")
    assert "activations without a scale" in str(caught.value)
    assert "tinyedge quantize" in caught.value.hint


@pytest.mark.parametrize("config", [{}, {"class_name": "Functional", "config": {}}, {"config": 3}])
def test_a_damaged_configuration_is_named(config: dict[str, Any], tmp_path: Path) -> None:
    for name in ("m.keras", "m.h5"):
        with pytest.raises(ModelError, match=name):
            read_contents(_written(tmp_path / name, config))


def test_calls_and_settings_become_those_of_keras_2() -> None:
    summed = _edited(_layer("Add", [_tensor("it"), _tensor("x")], "sum"), module="keras.src.ops")
    flipped = _layer("RandomFlip", [_tensor("sum")], "flip", seed=1)
    swish = {"module": "builtins", "class_name": "function", "config": "silu"}
    dense = _layer("Dense", [_tensor("x", 1)], units=4, kernel_initializer={}, activation=swish)
    model = translated(_model(dense, summed, flipped), "file")
    first, it, plus, flip = model["config"]["layers"]
    assert first["config"] == {"name": "x", "batch_input_shape": [None, 4]}
    assert it["config"] == {"name": "it", "units": 4, "activation": "swish"}
    assert it["inbound_nodes"] == [[["x", 1, 0, {}]]]
    assert plus["class_name"] == "Add"
    assert plus["inbound_nodes"] == [[["it", 0, 0, {}], ["x", 0, 0, {}]]]
    assert flip["config"] == {"name": "flip", "activation": "linear"}
    assert model["config"]["input_layers"] == [["x", 0, 0]]


@pytest.mark.keras
def test_weights_of_other_shapes_are_refused(tmp_path: Path) -> None:
    from tinyedge.keras.load import load_keras_model

    for name in ("m.keras", "m.h5"):
        path = _written(tmp_path / name, _model(DENSE))
        with pytest.raises(ModelError, match=r"layer 'it': weights of shapes \[\]") as caught:
            load_keras_model(path)
        assert name in str(caught.value)


def _everything(keras: Any) -> Any:
    """A model of what differs between Keras 2 and 3."""
    layers, ops = keras.layers, keras.ops
    inputs = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 255.0)(inputs)
    x = layers.RandomFlip()(x)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(max_value=6.0)(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation="hard_sigmoid")(x)
    x = ops.relu(x + y)
    inner = keras.Sequential(
        [keras.Input((12, 12, 8)), layers.SeparableConv2D(8, 3, strides=2, activation="silu")]
    )
    x = inner(x)
    x = layers.Conv2D(8, 3, activation="hard_swish")(x)
    x = layers.LeakyReLU(0.2)(layers.Activation("relu6")(x))
    x = layers.Dense(8, activation="leaky_relu")(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(5, activation="gelu")(layers.Dropout(0.2)(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


@pytest.mark.keras
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.filterwarnings("ignore:.*HDF5")
def test_a_model_of_keras_3_is_the_same_function(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    keras = importlib.import_module("keras")

    from tinyedge.keras.load import load_keras_model

    random = np.random.default_rng(1)
    model = _everything(keras)
    for weight in model.weights:
        value = random.normal(0, 0.5, weight.shape)
        weight.assign(np.abs(value) if "variance" in weight.path else value)
    model.save(tmp_path / name)
    x = random.random((8, 12, 12, 3)).astype(np.float32) * 255
    expected = np.asarray(model(x, training=False))
    found = np.asarray(load_keras_model(tmp_path / name)(x, training=False))
    assert np.ptp(expected) > 0.01
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.keras
def test_the_demonstration_in_qkeras_v3_gives_its_logits_and_the_same_integers() -> None:
    """The file and its logits are of ``tools/make_keras3_models.py``."""
    from tinyedge.importers import import_model
    from tinyedge.keras.load import load_keras_model, logits_model

    path = DATA / "qkeras_v3_demo.keras"
    expected = np.load(DATA / "qkeras_v3_demo_logits.npy")
    images = np.load(DEMO / "fashion_mnist_test_1000.npz")["x"][: len(expected)] / 255.0
    model = logits_model(load_keras_model(path))
    found = np.asarray(model(images.reshape(-1, 28, 28, 1).astype(np.float32), training=False))
    assert np.abs(found - expected).max() < 1e-6
    calibration = np.load(DEMO / "fashion_mnist_calibration_64.npz")["x"]
    new, old = (
        import_model(file, calibration).graph for file in (path, DEMO / "fashion_mnist_stq.h5")
    )
    assert new.tensors == old.tensors
    assert len(new.operators) == len(old.operators)
    for mine, theirs in zip(new.operators, old.operators, strict=True):
        assert repr(mine) == repr(theirs)
