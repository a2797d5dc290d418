"""Where a training stands: one file, written anew after every epoch."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.errors import ModelError, UsageError
from tinyedge.files import json_text, read_arrays, write_atomically

CHECKPOINT = "checkpoint.npz"
_EARLIER = "checkpoint"
_EPOCHS = "epochs"


def save_checkpoint(folder: Path, variables: Sequence[Any], epochs: list[dict[str, Any]]) -> None:
    """Writes what training has changed, and what its epochs came to, in place of what was there.

    Raises:
        OSError: the file cannot be written; the one before it is still there.
    """
    arrays = {str(number): variable.numpy() for number, variable in enumerate(variables)}
    arrays[_EPOCHS] = np.frombuffer(json_text(epochs).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(folder / CHECKPOINT, buffer.getvalue())


def restore_checkpoint(folder: Path, variables: Sequence[Any]) -> list[dict[str, Any]]:
    """Puts back what ``save_checkpoint`` wrote.

    Returns:
        What the finished epochs came to; empty where there is no checkpoint.

    Raises:
        ModelError: the checkpoint is damaged, or of another network.
        UsageError: it is one of an earlier tinyedge.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        if (folder / _EARLIER).is_dir():
            raise UsageError(
                f"{folder / _EARLIER}: a checkpoint of an earlier tinyedge",
                hint="go on with that one, or train into a new folder",
            )
        return []
    try:
        arrays = read_arrays(path)
        epochs = json.loads(arrays.pop(_EPOCHS).tobytes())
        if not isinstance(epochs, list) or not all(isinstance(epoch, dict) for epoch in epochs):
            raise ValueError("no list of epochs")
        if len(arrays) != len(variables):
            raise ValueError(f"{len(arrays)} variables, not {len(variables)}")
        found = [arrays[str(number)] for number in range(len(variables))]
        for array, variable in zip(found, variables, strict=True):
            wanted = (tuple(variable.shape), variable.dtype.as_numpy_dtype)
            if (array.shape, array.dtype) != wanted:
                raise ValueError(f"'{variable.name}' is {array.dtype} {array.shape}")
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: damaged, or of another network ({error})",
            hint="delete it, and --resume begins anew; or train into a new folder",
        ) from error
    for array, variable in zip(found, variables, strict=True):
        variable.assign(array)
    return epochs
