"""Keras files of strangers: nothing of a file runs, whatever it is called."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.importers import keras_models as km
from tinyedge.errors import ModelError
from tinyedge.importers import import_model
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.load import load_keras_model

layers = tf_keras.layers


def harmless() -> Any:
    return km.randomized(km.sequential((6, 5, 2), km.conv(3, size=2), km.relu()))


def with_lambda(canary: Path) -> Any:
    """A model whose Lambda layer writes a file whenever it runs."""
    code = eval(f"lambda x: (open({str(canary)!r}, 'w').close(), x)[1]")  # noqa: S307 - our own
    return km.sequential((6, 5, 2), layers.Lambda(code, name="innocent"))


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Changes the configuration inside a ``.h5`` or ``.keras`` file."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
        return path
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(entries["config.json"])
    change(config)
    entries["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", ["model.h5", "model.keras", "model", "renamed.keras"])
def test_a_lambda_layer_never_runs(kind: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / kind
    model = with_lambda(canary)
    if kind == "renamed.keras":
        km.save(model, tmp_path / "model.h5").rename(path)
    else:
        km.save(model, path)
    canary.unlink(missing_ok=True)
    for load in (load_keras_model, import_model):
        with pytest.raises(ModelError, match="Lambda") as caught:
            load(path)
        assert path.name in str(caught.value)
        assert "innocent" in str(caught.value)
    assert not canary.exists()


class Writer(tf_keras.layers.Layer):  # type: ignore[misc]
    """A layer whose TensorFlow function writes a file."""

    def __init__(self, target: str, **options: Any) -> None:
        super().__init__(**options)
        self.target = target

    def call(self, x: Any) -> Any:
        """Writes, and passes its input on."""
        tf.io.write_file(self.target, "x")
        return x


@pytest.mark.parametrize("described", [True, False])
def test_functions_of_a_saved_model_never_run(
    described: bool,  # noqa: FBT001 - pytest names it
    tmp_path: Path,
) -> None:
    canary = tmp_path / "canary"
    path = km.save(km.sequential((6, 5, 2), Writer(str(canary))), tmp_path / "model")
    if not described:
        (path / "keras_metadata.pb").unlink()
    canary.unlink(missing_ok=True)
    with pytest.raises(ModelError, match="Writer" if described else "without keras_metadata"):
        import_model(path)
    assert not canary.exists()


def test_a_function_planted_in_a_saved_model_is_not_loaded(tmp_path: Path) -> None:
    """The configuration is harmless; the graph beside it is another model's."""
    canary = tmp_path / "canary"
    model = harmless()
    path = km.save(model, tmp_path / "model")
    evil = km.save(km.sequential((6, 5, 2), Writer(str(canary))), tmp_path / "evil")
    shutil.copy(evil / "saved_model.pb", path / "saved_model.pb")
    canary.unlink(missing_ok=True)
    x = np.random.default_rng(0).random((3, 6, 5, 2)).astype(np.float32)
    assert np.array_equal(load_keras_model(path)(x), model(x))
    assert not canary.exists()


def _activation(name: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["config"]["layers"][1]["config"].update(activation=name)


def _layer(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["config"]["layers"][1].update(values)


HOSTILE: dict[str, tuple[str, Callable[[dict[str, Any]], None], str]] = {
    "module to import": (".keras", _layer(module="canary_module"), "canary_module"),
    "module of our own name": (".keras", _layer(module="keras_canary"), "keras_canary"),
    "function of the system": (
        ".keras",
        _activation(
            {
                "module": "os",
                "class_name": "function",
                "config": "system",
                "registered_name": "system",
            }
        ),
        "function",
    ),
    "operation of TensorFlow": (".h5", _layer(class_name="TFOpLambda"), "TFOpLambda"),
    "table read from a file": (".h5", _layer(class_name="StringLookup"), "StringLookup"),
    "bytecode": (
        ".keras",
        _activation({"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}),
        "__lambda__",
    ),
    "function inside a quantizer": (
        ".h5",
        lambda config: config["config"]["layers"][1]["config"].update(
            kernel_quantizer="_create_variable_name('x')"
        ),
        "_create_variable_name",
    ),
    "layer inside a layer": (
        ".h5",
        _layer(
            class_name="TimeDistributed",
            config={"name": "outer", "layer": {"class_name": "Lambda", "config": {"name": "in"}}},
        ),
        "Lambda",
    ),
    "training of a nested model": (
        ".keras",
        lambda config: config["config"]["layers"][1].update(
            compile_config={"optimizer": {"class_name": "Evil", "config": {}}}
        ),
        "Evil",
    ),
    "class that is no text": (".h5", _layer(class_name=["Lambda"]), "Lambda"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_names_are_checked_at_every_depth(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, change, message = HOSTILE[case]
    canary = tmp_path / "canary"
    for name in ("canary_module", "tf_keras_canary"):
        (tmp_path / f"{name}.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = edited(km.save(harmless(), tmp_path / f"model{suffix}"), change)
    with pytest.raises(ModelError, match=message) as caught:
        load_keras_model(path)
    assert "\n" not in str(caught.value)
    assert not canary.exists()


def _wide(config: dict[str, Any]) -> None:
    config["config"]["layers"][1]["config"]["filters"] = 10**9


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_weights_that_the_file_cannot_hold_are_not_allocated(suffix: str, tmp_path: Path) -> None:
    path = edited(km.save(harmless(), tmp_path / f"model{suffix}"), _wide)
    with pytest.raises(ModelError, match="claim weights of more than"):
        load_keras_model(path)


def test_values_that_no_microcontroller_holds_are_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 50_000, 50_000, 2]

    path = edited(km.save(harmless(), tmp_path / "model.h5"), change)
    with pytest.raises(ModelError, match="50000, 50000, 2"):
        load_keras_model(path)


@pytest.mark.parametrize("kind", ["link", "data", "virtual", "claim"])
def test_an_hdf5_file_reads_no_other_file(kind: str, tmp_path: Path) -> None:
    path = km.save(harmless(), tmp_path / "model.h5")
    other = km.save(harmless(), tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        name = next(name for name in group if len(group[name]))
        if kind == "link":
            del group[name]
            group[name] = h5py.ExternalLink(str(other), f"/model_weights/{name}")
        elif kind == "data":
            group.create_dataset("x", (4,), "f4", external=[(str(other), 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(other), "x", (4,))
            group.create_virtual_dataset("x", layout)
        else:
            group.create_dataset("x", (10**11,), "f4", chunks=(1024,), compression="gzip")
    with pytest.raises(ModelError, match=r"file|unpack"):
        load_keras_model(path)


def test_an_archive_does_not_unpack_without_bound(tmp_path: Path) -> None:
    path = km.save(harmless(), tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/x", b"\0" * 2**27)
    with pytest.raises(ModelError, match="unpacks to more than"):
        load_keras_model(path)


def _weights(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros(3)


def _pytorch(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"cos\nsystem\n(S'touch canary'\ntR.")


def _bytes(path: Path) -> None:
    path.write_bytes(b"\x08\x07")


FOREIGN: dict[str, tuple[Callable[[Path], None], str]] = {
    "a.weights.h5": (_weights, "weights without their model"),
    "b.pt": (_pytorch, "PyTorch"),
    "c.keras": (_pytorch, "PyTorch"),
    "d.pth": (_bytes, "PyTorch"),
}


def test_other_formats_are_named_without_tensorflow(tmp_path: Path) -> None:
    for name, (write, _) in FOREIGN.items():
        write(tmp_path / name)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tinyedge.errors import ModelError\n"
        "from tinyedge.importers import import_model\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        import_model(Path(name))\n"
        "    except ModelError as error:\n"
        "        print(error, '|', error.hint)\n"
        "assert not any('tensorflow' in name for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *(str(tmp_path / name) for name in FOREIGN)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(FOREIGN)
    for line, (name, (_, message)) in zip(lines, FOREIGN.items(), strict=True):
        assert name in line
        assert message in line
        assert any(word in line.partition("|")[2] for word in ("save", "export"))
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("version", ["2.15.0", "3.11.0"])
@pytest.mark.parametrize(
    "references",
    [[("b", 0)], [("a", 7)], [("missing", 0)], [("c", 0), ("x", 0)]],
    ids=["itself", "another call", "no layer", "a circle"],
)
def test_a_layer_that_waits_for_what_no_layer_gives_is_refused(
    version: str, references: list[tuple[str, int]], tmp_path: Path
) -> None:
    """Keras 2 would wait for ever."""

    def taken(name: str, call: int) -> Any:
        if version.startswith("2"):
            return [name, call, 0, {}]
        history = {"shape": [None, 4], "dtype": "float32", "keras_history": [name, call, 0]}
        return {"class_name": "__keras_tensor__", "config": history}

    def layer(name: str, kind: str, *given: tuple[str, int], **config: Any) -> dict[str, Any]:
        values = [taken(*each) for each in given]
        call: Any = values if version.startswith("2") else {"args": [values], "kwargs": {}}
        return {
            "class_name": kind,
            "config": {"name": name, **config},
            "name": name,
            "inbound_nodes": [call] if given else [],
        }

    model = {
        "name": "m",
        "layers": [
            layer("x", "InputLayer", batch_input_shape=[None, 4]),
            layer("c", "Add", ("b", 0), ("x", 0)) if len(references) == 2 else layer("c", "ReLU"),
            layer("a", "ReLU", ("x", 0)),
            layer("b", "Add", *references, ("a", 0)),
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["b", 0, 0]],
    }
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": model})
    with pytest.raises(ModelError, match=r"layer '[bc]': is called with a value that no layer"):
        load_keras_model(path)
