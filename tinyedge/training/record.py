"""The record of a training run, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tinyedge.errors import ModelError
from tinyedge.files import read_json
from tinyedge.schema import validate
from tinyedge.training.config import RunConfig

RECORD = "run.json"
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    """The part of a record that others read; it holds more."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Test(_Part):
    source: str
    samples: Annotated[int, Field(ge=0)]
    accuracy: Share
    interval: Annotated[list[Share], Field(min_length=2, max_length=2)]


class _Jacobian(_Part):
    samples: Annotated[int, Field(ge=0)]
    frobenius_mean: Annotated[float, Field(ge=0)]


class _Record(_Part):
    version: Literal[1]
    config: RunConfig
    nominal_bytes: dict[str, float]
    input_range: Annotated[list[float], Field(min_length=2, max_length=2)]
    test: _Test
    jacobian: _Jacobian
    epochs: list[dict[str, float | None]]
    seconds: Annotated[float, Field(ge=0)]


def read_record(folder: Path) -> dict[str, Any]:
    """Reads the record of the run in a folder.

    Raises:
        ModelError: it is damaged; the message names the file, and what is wrong.
    """
    path = folder / RECORD
    hint = f"delete {path}, and go on with 'tinyedge train --resume'; or train again, elsewhere"
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: damaged ({error})", hint) from error
    try:
        validate(content, path, _Record, ModelError)
    except ModelError as error:
        raise ModelError(str(error), hint) from error
    return content
