"""Parts that records share, their limits, and reading and writing a record's file.

A record is read from files of strangers, and shown by programs that stumble over what no record
needs: a text with a NUL ends a process that draws it. What a value may be is said here alone.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import from_json

from tinyedge.errors import DataError
from tinyedge.schema import Fault, refuse, told, validate

VERSION = 1
LARGEST_FILE = 128 * 2**20
"""Bytes of a record: logits of 10,000 samples and 100 classes in a dozen suites."""
MOST_VALUES = 2_000_000
"""Values in a record: some hundred thousand symbols with their sizes."""
DEEPEST = 32
"""Lists and objects in each other; a record of ours has eight."""
LONGEST_TEXT = 20_000
LONGEST_NAME = 4_096
"""Characters of a path, or of a symbol."""
LARGEST_INTEGER = 2**63 - 1

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""The characters that no text holds; line breaks and tabs are left to it."""
_CONTROL_OR_BREAK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def _checked_name(text: str) -> str:
    if len(text) > LONGEST_NAME or _CONTROL_OR_BREAK.search(text):
        refuse([Fault("", text, _texts(LONGEST_NAME))])
    return text


Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[list[Share], Field(min_length=2, max_length=2)]
"""Both ends of a 95 % Wilson interval."""
Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Name = Annotated[
    str, Field(json_schema_extra={"maxLength": LONGEST_NAME}), AfterValidator(_checked_name)
]
"""A text of one line."""
Settings = dict[str, Any]
"""Settings that somebody else describes, within the limits of every record."""
Item = TypeVar("Item")
Rows = Annotated[list[Item], Field(max_length=MOST_VALUES, fail_fast=True)]
"""A list; of a million wrong rows the first is told."""


class Part(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Array(Part):
    """An array: little-endian, row by row, in base64."""

    dtype: Literal["int8", "int64", "float32", "float64"]
    shape: Annotated[list[Count], Field(max_length=8)]
    data: str

    @model_validator(mode="after")
    def _fits(self) -> Array:
        if not _BASE64.fullmatch(self.data):
            refuse([Fault("data", self.data, "base64")])
        try:
            size = len(base64.b64decode(self.data, validate=True))
        except binascii.Error:
            refuse([Fault("data", self.data, "base64")])
        expected = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        if size != expected:
            refuse([Fault("data", f"{size} bytes", f"{expected} bytes, as its shape says")])
        if self.dtype.startswith("float") and not np.isfinite(self.value).all():
            refuse([Fault("data", "with NaN or infinity in it", "finite numbers")])
        return self

    @classmethod
    def of(cls, array: NDArray[Any]) -> Self:
        """The part that holds an array."""
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        text = base64.b64encode(content).decode()
        return cls.model_validate(
            {"dtype": array.dtype.name, "shape": list(array.shape), "data": text}
        )

    @property
    def value(self) -> NDArray[Any]:
        """The array."""
        content = base64.b64decode(self.data)
        return np.frombuffer(content, np.dtype(self.dtype).newbyteorder("<")).reshape(self.shape)


class Int8Array(Array):
    """An array of int8."""

    dtype: Literal["int8"]


class Tensor(Part):
    """The model's input or output: ``real = scale * (int8 - zero_point)``."""

    shape: Annotated[list[PositiveInt], Field(max_length=8)]
    scale: float
    zero_point: Annotated[int, Field(ge=-128, le=127)]


class Flash(Part):
    """Bytes of flash."""

    code: Count
    weights: Count
    other: Count
    total: Count
    size: PositiveInt = Field(description="of the board")


class Ram(Part):
    """Bytes of RAM."""

    arena: Count
    static: Count
    stack_peak: Count | None
    total: Count
    size: PositiveInt = Field(description="of the board")


class OtherMemory(Part):
    """Bytes of a memory beside flash and RAM that the board's description places something in."""

    name: Name
    total: Count
    size: PositiveInt


class Memory(Part):
    """The use of memory by the firmware."""

    flash: Flash
    ram: Ram
    regions: Rows[OtherMemory] | None = None


Kind = TypeVar("Kind", bound=Part)


def read_record(path: Path, hint: str) -> dict[str, Any]:
    """The object in a JSON file of a version that is known, within the limits of every record.

    Raises:
        DataError: the file is missing, holds no such object, one of a later version, or values that
            no record holds.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint)
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise DataError(f"{path}: {size:,} bytes, allowed: up to {LARGEST_FILE:,}", hint)
        return parsed_record(path.read_bytes(), path, hint)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}", hint) from error


def parsed_record(text: bytes, where: Path | str, hint: str) -> dict[str, Any]:
    """The same of a text that was read from somewhere else, which messages call ``where``."""
    if (values := sum(map(text.count, (b"[", b"{", b",")))) > MOST_VALUES:
        raise DataError(f"{where}: {values:,} values, allowed: up to {MOST_VALUES:,}", hint)
    try:
        content = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise DataError(f"{where}: cannot be read as JSON: {error}", hint) from error
    if not isinstance(content, dict):
        raise DataError(f"{where}: not a record, but {type(content).__name__}", hint)
    version = content.get("version", VERSION)
    if type(version) is int and version > VERSION:
        raise DataError(
            f"{where}: version is {version}, allowed: up to {VERSION}",
            "a later release of tinyedge wrote it: install that one",
        )
    if fault := next(faults_of(content), None):
        key = fault.key if len(fault.key) < 200 else f"{fault.key[:200]}..."
        raise DataError(f"{where}: {key} is {fault.value}, allowed: {fault.allowed}", hint)
    return content


class _Place(NamedTuple):
    """Where a value is; the texts of keys are joined only where a fault is told."""

    holder: _Place | None
    name: str
    depth: int

    def __str__(self) -> str:
        names: list[str] = []
        place: _Place | None = self
        while place:
            names.insert(0, place.name)
            place = place.holder
        return ".".join(filter(None, names)) or "the whole"


def faults_of(content: object) -> Iterator[Fault]:
    """Values that no record holds; at which key each is, and what is allowed there."""
    waiting: list[tuple[_Place, object]] = [(_Place(None, "", 0), content)]
    while waiting:
        place, value = waiting.pop()
        inner: Iterable[tuple[object, object]] = ()
        if isinstance(value, str):
            # The base64 of an array is as long as its shape says.
            array = place.name == "data" and _BASE64.fullmatch(value)
            if not array and (len(value) > LONGEST_TEXT or _CONTROL.search(value)):
                yield Fault(str(place), _short(value), _texts(LONGEST_TEXT))
        elif isinstance(value, float) and not math.isfinite(value):
            yield Fault(str(place), value, "a finite number")
        elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            yield Fault(str(place), "larger than 64 bits", "integers of 64 bits")
        elif isinstance(value, dict):
            inner = value.items()
        elif isinstance(value, list):
            inner = enumerate(value)
        for name, item in inner:
            text = str(name)
            if len(text) > LONGEST_NAME or _CONTROL_OR_BREAK.search(text):
                yield Fault(f"a key in {place}", _short(text), _texts(LONGEST_NAME))
            elif place.depth == DEEPEST:
                yield Fault(str(place), "nested too deeply", f"{DEEPEST} levels")
                break
            else:
                waiting.append((_Place(place, text, place.depth + 1), item))


def _texts(length: int) -> str:
    return f"a text of up to {length:,} characters without control characters"


def _short(text: str) -> str:
    """The beginning of a text, with escapes for what a terminal would obey."""
    return ascii(text[:60] + "..." if len(text) > 60 else text)


def as_model(content: Mapping[str, Any], path: Path | str, kind: type[Kind], hint: str) -> Kind:
    """Reads a record's file as its model.

    Raises:
        DataError: it is none of that kind; the message names the file and every fault.
    """
    try:
        return validate(content, path, kind, DataError)
    except DataError as error:
        error.hint = hint
        raise


@contextmanager
def made(what: str) -> Iterator[None]:
    """Builds models in its body.

    Raises:
        DataError: a value that no record holds; the message names it.
    """
    try:
        yield
    except ValidationError as invalid:
        schema: dict[str, Any] = {}
        raise DataError(f"{what}: {invalid.title}: {told(invalid, schema)}") from invalid


def dumped(part: Part) -> dict[str, Any]:
    """A part as JSON has it: the keys that its maker gave, in the order of the model."""
    return part.model_dump(mode="json", by_alias=True, exclude_unset=True)
