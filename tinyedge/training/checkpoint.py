"""Where a training stands: one file, written anew after every epoch, and in long ones."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tinyedge.errors import ModelError, UsageError
from tinyedge.files import json_text, read_arrays, write_atomically

CHECKPOINT = "checkpoint.npz"
OFTEN_ENOUGH = 300.0
"""Seconds between two checkpoints in one epoch."""
_EARLIER = "checkpoint"
_EPOCHS = "epochs"
_BEGUN = "begun"


class Begun(BaseModel):
    """Where an epoch stands.

    Attributes:
        steps: done.
        totals: sums over these steps of loss, accuracy and penalty.
        seconds: that they took.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: Annotated[int, Field(ge=0)] = 0
    totals: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seconds: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True)
class Standing:
    """Where a training stands.

    Attributes:
        epochs: what the finished ones came to.
        begun: the epoch after them, if it was left in the middle.
    """

    epochs: list[dict[str, Any]]
    begun: Begun | None = None


class Checkpoints:
    """The checkpoints of a training.

    Args:
        folder: of the run.
        variables: all that training changes.
    """

    def __init__(self, folder: Path, variables: Sequence[Any]) -> None:
        self.folder = folder
        self._variables = variables
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last one is so old that the next should not wait for the epoch's end."""
        return time.monotonic() - self._saved > OFTEN_ENOUGH

    def save(self, standing: Standing) -> None:
        """As ``save_checkpoint``."""
        save_checkpoint(self.folder, self._variables, standing)
        self._saved = time.monotonic()

    def restore(self) -> Standing:
        """As ``restore_checkpoint``."""
        return restore_checkpoint(self.folder, self._variables)


def save_checkpoint(folder: Path, variables: Sequence[Any], standing: Standing) -> None:
    """Writes what training has changed, and where it stands, in place of what was there.

    Raises:
        OSError: the file cannot be written; the one before it is still there.
    """
    arrays = {str(number): variable.numpy() for number, variable in enumerate(variables)}
    arrays[_EPOCHS] = np.frombuffer(json_text(standing.epochs).encode(), np.uint8)
    if standing.begun:
        arrays[_BEGUN] = np.frombuffer(standing.begun.model_dump_json().encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(folder / CHECKPOINT, buffer.getvalue())


def restore_checkpoint(folder: Path, variables: Sequence[Any]) -> Standing:
    """Puts back what ``save_checkpoint`` wrote.

    Returns:
        Where it stands; without any epoch where there is no checkpoint.

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
        return Standing([])
    try:
        arrays = read_arrays(path)
        epochs = json.loads(arrays.pop(_EPOCHS).tobytes())
        if not isinstance(epochs, list) or not all(isinstance(epoch, dict) for epoch in epochs):
            raise ValueError("no list of epochs")
        found_begun = arrays.pop(_BEGUN, None)
        begun = None if found_begun is None else Begun.model_validate_json(found_begun.tobytes())
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
    return Standing(epochs, begun)
