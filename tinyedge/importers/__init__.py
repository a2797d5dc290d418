"""From model files to the integer graph."""

from tinyedge.importers.dispatch import ImportResult, import_model, is_keras_model

__all__ = ["ImportResult", "import_model", "is_keras_model"]
