"""Writing Keras models that are at hand, so that they are imported as files are."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.load import quiet

_NOT_OF_THE_FUNCTION = frozenset({"use_ste", "use_variables", "var_name"})
"""Settings of quantizers for training alone."""


def save_keras_model(model: Any, folder: Path) -> Path:
    """Saves a model without its optimizer, under its own name; the same model, the same bytes.

    Raises:
        ModelError: it is no model of Keras 2, Keras cannot save it, or a quantizer in it has a
            setting that a file does not keep.
    """
    if not isinstance(model, tf_keras.Model):
        kind = type(model)
        raise ModelError(
            f"{kind.__module__}.{kind.__qualname__} is no model that can be read",
            hint="a tf_keras.Model, with layers of QKeras or its own, or the path of a file; of "
            "Keras 3 the file that its save() writes",
        )
    _check_quantizers(model)
    path = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', model.name)}.h5"
    with quiet():
        try:
            model.save(str(path), include_optimizer=False)
        except Exception as error:  # Keras raises whatever its layers do
            raise ModelError(f"model '{model.name}' cannot be saved: {error}") from error
    return path


def _check_quantizers(model: Any) -> None:
    """Refuses a quantizer that would be another function when its file is read."""
    for layer in (model, *model.submodules):
        if not isinstance(layer, tf_keras.layers.Layer):
            continue
        for role, quantizer in vars(layer).items():
            if not isinstance(quantizer, qkeras.BaseQuantizer):
                continue
            kind = type(quantizer)
            kept = kind.from_config(quantizer.get_config())
            for name in inspect.signature(kind).parameters:
                if name in _NOT_OF_THE_FUNCTION or not hasattr(quantizer, name):
                    continue
                value, read = (np.asarray(getattr(each, name)) for each in (quantizer, kept))
                if not np.array_equal(value, read):
                    raise ModelError(
                        f"model '{model.name}': layer '{layer.name}': {role} is {kind.__name__} "
                        f"with {name} {value}, which a file does not keep: read again it is {read}",
                        hint=f"leave {name} at {read}: QKeras saves no other value",
                    )
