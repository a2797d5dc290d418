"""Which importer reads a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.graph.graph import GRAPH_FILE, Graph
from tinyedge.importers.hgq2 import import_hgq2
from tinyedge.importers.onnx import SUFFIX as ONNX_SUFFIX
from tinyedge.importers.onnx import import_onnx
from tinyedge.importers.qkeras import SUFFIXES, import_qkeras
from tinyedge.importers.result import ImportResult
from tinyedge.importers.tflite import SUFFIX, import_tflite
from tinyedge.keras.contents import pytorch_error, read_contents

_SUPPORTED = (
    f"supported: {', '.join((*SUFFIXES, SUFFIX, ONNX_SUFFIX))}, a SavedModel folder, or a saved "
    f"graph ({GRAPH_FILE})"
)

_PYTORCH_SUFFIXES = (".pt", ".pth", ".pt2")


def is_keras_model(path: Path) -> bool:
    """Whether a path is a Keras model by its name, or a SavedModel folder."""
    return path.suffix.lower() in SUFFIXES or (path / "saved_model.pb").is_file()


def is_tflite_model(path: Path) -> bool:
    """Whether a path is a ``.tflite`` file by its name."""
    return path.suffix.lower() == SUFFIX


def is_onnx_model(path: Path) -> bool:
    """Whether a path is an ``.onnx`` file by its name."""
    return path.suffix.lower() == ONNX_SUFFIX


def import_model(
    path: Path,
    calibration: NDArray[Any] | None = None,
    input_range: tuple[float, float] | None = None,
    *,
    keep_constant_channels: bool = False,
) -> ImportResult:
    """Imports a model file of any supported kind.

    Args:
        path: a QKeras model (see ``import_qkeras``), an int8 ``.tflite`` file (see
            ``import_tflite``), a quantized ``.onnx`` file (see ``import_onnx``), a saved graph, or
            a folder that holds one.
        calibration: see ``import_qkeras``; of use for QKeras and ONNX models only.
        input_range: see ``import_qkeras``; of use for QKeras and ONNX models only.
        keep_constant_channels: see ``import_tflite``; of use for ``.tflite`` files only.

    Raises:
        ModelError: the file is missing, damaged, of an unknown kind, or not supported. Models of
            Keras 3 and PyTorch and files of weights alone are named as such, with the way
            out.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file", hint=_SUPPORTED)
    if path.suffix.lower() in _PYTORCH_SUFFIXES:
        raise pytorch_error(path)
    if is_onnx_model(path):
        return import_onnx(path, calibration, input_range)
    if is_keras_model(path):
        contents = read_contents(path)  # what cannot be read is refused before TensorFlow starts
        if contents.hgq2:
            return import_hgq2(path, calibration, input_range, contents)
        return import_qkeras(path, calibration, input_range)
    if is_tflite_model(path):
        return import_tflite(path, keep_constant_channels=keep_constant_channels)
    if path.is_dir() and (path / GRAPH_FILE).is_file():
        path = path / GRAPH_FILE
    if path.suffix == ".npz":
        return ImportResult(Graph.load(path), ())
    raise ModelError(f"{path}: not a kind of model that can be read", hint=_SUPPORTED)
