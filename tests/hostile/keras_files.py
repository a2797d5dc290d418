"""Keras models of strangers, written by hand: none needs TensorFlow, as none gets that far."""

from __future__ import annotations

import base64
import io
import json
import marshal
from collections.abc import Callable
from typing import Any, BinaryIO

import h5py
import numpy as np

from tests.hostile.files import CANARY, ESCAPE, Case, _convert, _zip, hostile, pickled


def _layer(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "module": "keras.layers", "config": {"name": "innocent"} | config}


def _lambda(*, listed: bool) -> dict[str, Any]:
    """A layer whose bytecode makes the canary; listed as Keras writes it into HDF5."""
    code = eval(f"lambda x: (open({CANARY!r}, 'w').close(), x)[1]").__code__  # noqa: S307 - our own
    text = base64.b64encode(marshal.dumps(code)).decode()
    value = {"code": text, "defaults": None, "closure": None}
    function = [text, None, None] if listed else {"class_name": "__lambda__", "config": value}
    return _layer("Lambda", function=function, function_type="lambda")


def _model(*layers: dict[str, Any]) -> dict[str, Any]:
    first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "x"}}
    return {"class_name": "Sequential", "config": {"name": "m", "layers": [first, *layers]}}


def _hdf5(target: str | BinaryIO, model: Any, change: Callable[[Any], object] = id) -> None:
    with h5py.File(target, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["model_config"] = json.dumps(model)
        file.create_group("model_weights")
        change(file)


def _h5(case: Case, name: str, model: Any, change: Callable[[Any], object] = id) -> list[str]:
    _hdf5(str(case.folder / name), model, change)
    return _convert(case, str(case.folder / name))


def _keras(case: Case, name: str, model: Any) -> list[str]:
    weights = io.BytesIO()
    _hdf5(weights, {})
    members = {
        "config.json": json.dumps(model).encode(),
        "metadata.json": b'{"keras_version": "2.15.0"}',
        "model.weights.h5": weights.getvalue(),
    }
    return _convert(case, case.write(name, _zip(members)))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes in a message of Protocol Buffers."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


@hostile("keras", canary=True)
def hdf5_with_a_lambda_layer(case: Case) -> list[str]:
    return _h5(case, "m.h5", _model(_lambda(listed=True)))


@hostile("keras", canary=True)
def hdf5_with_a_lambda_layer_under_another_name(case: Case) -> list[str]:
    return _h5(case, "m.keras", _model(_lambda(listed=True)))


@hostile("keras", canary=True)
def hdf5_with_a_lambda_layer_inside_a_layer(case: Case) -> list[str]:
    return _h5(case, "m.h5", _model(_layer("TimeDistributed", layer=_lambda(listed=True))))


@hostile("keras", canary=True)
def archive_with_a_lambda_layer(case: Case) -> list[str]:
    return _keras(case, "m.keras", _model(_lambda(listed=False)))


@hostile("keras", canary=True)
def archive_with_a_lambda_layer_under_another_name(case: Case) -> list[str]:
    return _keras(case, "m.h5", _model(_lambda(listed=False)))


@hostile("keras", canary=True)
def archive_with_a_module_beside_it(case: Case) -> list[str]:
    case.write("stranger.py", f"open({CANARY!r}, 'w').close()")
    return _keras(case, "m.keras", _model(_layer("Dense", units=1) | {"module": "stranger"}))


@hostile("keras", canary=True)
def saved_model_with_a_lambda_layer(case: Case) -> list[str]:
    folder = case.folder / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    text = json.dumps(_model(_lambda(listed=True))).encode()
    node = _field(1, _field(3, b"root") + _field(5, text))
    (folder / "keras_metadata.pb").write_bytes(node)
    return _convert(case, str(folder))


@hostile("keras", canary=True)
def hdf5_that_is_a_pickle(case: Case) -> list[str]:
    return _convert(case, case.write("m.h5", pickled()))


@hostile("keras", canary=True)
def hdf5_whose_layer_steers_terminals(case: Case) -> list[str]:
    return _h5(case, "m.h5", _model(_layer(ESCAPE)))


@hostile("keras")
def hdf5_of_endless_weights(case: Case) -> list[str]:
    def claim(file: Any) -> None:
        options = {"chunks": (1024,), "compression": "gzip"}
        file["model_weights"].create_dataset("x", (10**12,), np.float32, **options)

    return _h5(case, "m.h5", _model(_layer("Dense", units=1)), claim)
