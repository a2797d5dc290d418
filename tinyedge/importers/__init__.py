"""From model files to the integer graph."""

from tinyedge.importers.dispatch import import_model, is_keras_model, is_onnx_model, is_tflite_model
from tinyedge.importers.result import ImportResult

__all__ = ["ImportResult", "import_model", "is_keras_model", "is_onnx_model", "is_tflite_model"]
