"""Writing Keras models that are at hand, so that they are imported as files are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tinyedge.errors import ModelError
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.load import quiet


def save_keras_model(model: Any, folder: Path) -> Path:
    """Saves a model without its optimizer, under its own name; the same model, the same bytes.

    Raises:
        ModelError: it is no model of Keras 2, or Keras cannot save it.
    """
    if not isinstance(model, tf_keras.Model):
        kind = type(model)
        raise ModelError(
            f"{kind.__module__}.{kind.__qualname__} is no model that can be read",
            hint="a tf_keras.Model, with layers of QKeras or its own, or the path of a file",
        )
    path = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', model.name)}.h5"
    with quiet():
        try:
            model.save(str(path), include_optimizer=False)
        except Exception as error:  # Keras raises whatever its layers do
            raise ModelError(f"model '{model.name}' cannot be saved: {error}") from error
    return path
