"""Quantizing float models after their training, by the libraries that do it well.

``float_model`` defines the interface of a float model; ``onnx`` and ``keras`` implement it, whose
quantizers are those of ONNX Runtime and of TensorFlow Lite's converter; ``outcome`` measures what
became of it. Importing this package imports none of them.
"""

from __future__ import annotations

from pathlib import Path

from tinyedge.errors import UsageError
from tinyedge.importers import is_keras_model, is_onnx_model
from tinyedge.quantization.float_model import FloatModel, import_quantized

__all__ = ["FloatModel", "import_quantized", "open_float_model"]


def open_float_model(path: Path, folder: Path) -> FloatModel:
    """Opens a float model.

    Args:
        path: of a Keras or an ONNX model.
        folder: an empty one, for files on the way.

    Raises:
        UsageError: it is neither.
        ModelError: it cannot be read, holds what is not supported, or is quantized already.
        MissingDependencyError: what reads it is not installed.
    """
    if is_onnx_model(path):
        from tinyedge.quantization.onnx import OnnxFloats

        return OnnxFloats(path, folder)
    if is_keras_model(path):
        from tinyedge.quantization.keras import KerasFloats

        return KerasFloats(path, folder)
    if path.suffix == ".tflite":
        raise UsageError(
            f"{path}: a .tflite file is not quantized anew",
            hint="'tinyedge convert' takes one of int8",
        )
    raise UsageError(
        f"{path}: neither a run of 'tinyedge train' nor a float model",
        hint="name a folder with a run.toml, a Keras model (.keras, .h5, SavedModel) or an .onnx "
        "file",
    )
