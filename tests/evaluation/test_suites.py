import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.evaluation.suites import Suite, load_suite_files, load_suites, save_suites
from tinyedge.graph.tensors import Quantization
from tinyedge.samples.scaling import ModelInput

TAKES = ModelInput((4,), Quantization(1 / 255, -128), 3)
X, Y = np.linspace(0, 1, 20, dtype=np.float32).reshape(5, 4), np.array([0, 1, 2, 0, 1])


def own_format(path: Path, names: tuple[str, ...] = ("clean",), **changed: Any) -> Path:
    """A file as ``save_suites`` writes it, with other arrays or names."""
    save_suites(path, [Suite(name, X, Y) for name in dict.fromkeys(names)], {})
    with np.load(path) as file:
        arrays = dict(file) | {f"clean/{key}": array for key, array in changed.items()}
    description = json.loads(arrays["suites"].tobytes())
    by_name = {record["name"]: record for record in description["suites"]}
    description["suites"] = [by_name[name] for name in names]
    arrays["suites"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez(path, **arrays)
    return path


def plain(path: Path, **changed: Any) -> Path:
    np.savez(path, **({"x": X, "y": Y} | changed))
    return path


WRONG = [
    ({"x": np.where(X[3, 2] == X, np.nan, X)}, "x: sample 3 holds nan"),
    ({"x": X.astype(complex)}, "x: values are complex128"),
    ({"y": np.r_[Y, Y]}, "y: 5 samples, but 10 labels"),
    ({"y": Y - 1}, "y: labels are -1 to 1, allowed are"),
    ({"y": Y + 1}, "y: labels are 1 to 3, allowed are 0 to 2"),
    ({"y": np.eye(3)[Y]}, "y: labels are one-hot"),
    ({"y": Y + 0.5}, "y: labels are float64"),
    ({"x": X[:, :3]}, "x of shape"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG)
@pytest.mark.parametrize("write", [own_format, plain])
def test_both_kinds_of_files_are_checked(
    write: Any, changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"s.npz.*{said}"):
        load_suites(write(tmp_path / "s.npz", **changed), TAKES)


def test_suites_of_one_name_are_refused(tmp_path: Path) -> None:
    path = own_format(tmp_path / "s.npz", ("clean", "clean"))
    with pytest.raises(DataError, match="two suites are called 'clean'"):
        load_suite_files([path])


def test_logits_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = own_format(tmp_path / "s.npz", float_logits=np.zeros((4, 3), np.float32))
    with pytest.raises(
        DataError, match=r"clean/float_logits: logits of shape \(4, 3\), allowed: \(5, classes\)"
    ):
        load_suites(path)


def test_a_suite_is_checked_where_it_is_used() -> None:
    for x, y, said in ((X, Y + 1, "labels are 1 to 3"), (X[:4], Y, "4 samples, but 5 labels")):
        with pytest.raises(DataError, match=said):
            Suite("given", x, y).fitted(TAKES)


def test_bytes_wait_for_the_model(tmp_path: Path) -> None:
    path = plain(tmp_path / "s.npz", x=(X * 255).astype(np.uint8))
    assert load_suites(path)[0].inputs.dtype == np.uint8
    signed = ModelInput((4,), Quantization(2 / 255, 0), 3)
    suite = load_suites(path, signed)[0]
    assert suite.settings["pixels"] == [-1.0, 1.0]
    assert suite.reading == "pixels from 0 to 255 stand for -1 to 1"
    assert suite.inputs.min() == -1
    assert suite.inputs.max() == 1


def described(path: Path, description: Any) -> Path:
    """A file whose array ``suites`` holds another description."""
    own_format(path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["suites"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez(path, **arrays)
    return path


SUITE: dict[str, Any] = {"name": "clean", "settings": {}, "input_quantization": None, "classes": []}


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ([SUITE], "not a record, but list"),
        ({"version": 10**9, "suites": [SUITE]}, "version is 1000000000, allowed: up to 1"),
        ({"version": 0, "suites": [SUITE]}, "version is 0, allowed: 1"),
        ({"version": 1, "suites": []}, "allowed: a list of at least 1"),
        ({"version": 1, "suites": [SUITE | {"settings": {"epsilon": "8"}}]}, "epsilon is '8'"),
        ({"version": 1, "suites": [SUITE], "masking": 5}, "masking is 5"),
        (
            {
                "version": 1,
                "suites": [SUITE | {"input_quantization": {"scale": 0.0, "zero_point": 0}}],
            },
            "scale is 0.0, allowed: a number above 0",
        ),
    ],
)
def test_a_description_that_is_none_is_refused(description: Any, said: str, tmp_path: Path) -> None:
    path = described(tmp_path / "s.npz", description)
    with pytest.raises(DataError, match=f"s.npz: suites: .*{said}"):
        load_suites(path)


@pytest.mark.parametrize("shape", [(6, 20), (6, 3), (6, 0), (5, 10), (6,), ()])
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    takes = ModelInput(shape=(4,), classes=10)
    x, y = np.zeros((6, 4), np.float32), np.arange(6)
    logits = np.zeros(shape, np.float32)
    with pytest.raises(DataError, match=rf"float_logits.*{re.escape(str(shape))}"):
        Suite("clean", x, y, logits).fitted(takes)
    arrays: dict[str, Any] = {"clean/x": x, "clean/y": y, "clean/float_logits": logits}
    path = described(tmp_path / "s.npz", {"version": 1, "suites": [SUITE]})
    with np.load(path) as file:
        np.savez(path, suites=file["suites"], **arrays)
    with pytest.raises(DataError, match=r"float_logits|single number"):
        load_suites(path, takes)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (np.array("abc"), "classes: <U3 of shape"),
        (np.arange(10), "classes: int64"),
        (np.array([["a"]]), "of shape"),
        (np.array(["a", "b\x1b[31m"]), "classes: a name .*U\\+001B"),
        (np.array(["a", "b", "c"]), "3 names of classes, but the model has 10"),
    ],
)
def test_names_of_classes_are_checked_at_the_door(
    classes: NDArray[Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.zeros((6, 4), np.float32), y=np.arange(6), classes=classes)
    with pytest.raises(DataError, match=said):
        load_suites(path, ModelInput(shape=(4,), classes=10))


def test_a_suite_s_own_name_is_checked() -> None:
    takes = ModelInput(shape=(4,), classes=10)
    for name in ("a\n", 5):
        with pytest.raises(DataError, match="the name of a suite"):
            Suite(name, np.zeros((6, 4), np.float32), np.arange(6)).fitted(takes)  # type: ignore[arg-type]
