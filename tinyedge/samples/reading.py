"""Reading arrays of samples: headers first, then only what is wanted."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.samples.labels import are_targets, checked_targets
from tinyedge.samples.scaling import ModelInput, check_type, checked_values

_UNPACKED = 2**28
"""Bytes that the arrays of any ``.npz`` file may unpack to."""
_RATIO = 64
"""Bytes that each byte of a larger file may unpack to: real samples compress far less."""

_MOST_AXES = 32
"""The most axes that every version of numpy can hold."""

_DAMAGE = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,  # an encrypted archive
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""The exceptions that numpy and zipfile raise on damaged files."""


class Header(NamedTuple):
    """The facts that a file gives of an array before its data.

    Attributes:
        shape: of the array.
        dtype: of its values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Size of the data."""
        count = 1
        for length in self.shape:
            count *= length
        return count * self.dtype.itemsize


class ArrayFile:
    """A ``.npy`` file, whose array is called ``x``, or a ``.npz`` file.

    Opening it reads the headers only.

    Args:
        path: the file.

    Attributes:
        path: the file.
        headers: by the array's name.

    Raises:
        DataError: the file is missing, damaged, of another kind, holds objects, or unpacks to far
            more than samples do.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file", hint="name an existing .npy or .npz file")
        self.path = path
        self._single = False
        with self._reading():
            self.headers = self._headers()
        for name, header in self.headers.items():
            if header.dtype.hasobject:
                raise DataError(
                    f"{path}: {name} holds Python objects",
                    hint="samples are int8, uint8 or floats, labels integers, all of one shape",
                )
        unpacked = sum(header.bytes for header in self.headers.values())
        packed = path.stat().st_size
        if unpacked > max(packed if self._single else _RATIO * packed, _UNPACKED):
            raise DataError(
                f"{path}: {packed:,} bytes claim to hold {unpacked:,} bytes of arrays",
                hint="write large arrays with numpy.savez, uncompressed",
            )

    def __contains__(self, name: object) -> bool:
        return name in self.headers

    def read(self, name: str) -> NDArray[Any]:
        """Reads one array.

        Raises:
            DataError: there is none of this name, or its data are damaged.
        """
        if name not in self.headers:
            raise DataError(
                f"{self.path}: lacks an array '{name}'; it holds {', '.join(self.headers)}"
            )
        with self._reading(), self.path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            array: NDArray[Any] | bytes = loaded if isinstance(loaded, np.ndarray) else loaded[name]
            if isinstance(array, bytes):  # numpy prefers a member without '.npy' to the array
                raise ValueError(f"the member {name!r} is no .npy file")
        return array

    @property
    def samples(self) -> str:
        """The name of the array of samples.

        ``x``, else ``inputs``, else the ``x`` of the first suite, else that of the only array.

        Raises:
            DataError: there is no such array.
        """
        of_suites = [key for key in self.headers if key.endswith("/x")]
        names = ("x", "inputs", *of_suites)
        found: str | None = next((key for key in names if key in self.headers), None)
        if found is None and len(self.headers) == 1:
            found = next(iter(self.headers))
        if found is None:
            held = ", ".join(self.headers) or "nothing"
            raise DataError(f"{self.path}: holds {held}; expected an array x")
        return found

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except _DAMAGE as error:
            raise DataError(
                f"{self.path}: not a readable .npy or .npz file ({error})",
                hint="write it with numpy.save or numpy.savez, without pickled objects",
            ) from error

    def _headers(self) -> dict[str, Header]:
        with self.path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                file.seek(0)
                self._single = True
                return {"x": _header(file)}
            with zipfile.ZipFile(file) as archive:
                headers = {}
                for entry in archive.namelist():
                    if entry.endswith(".npy"):
                        with archive.open(entry) as member:
                            headers[entry.removesuffix(".npy")] = _header(member)
                return headers


def _header(file: IO[bytes]) -> Header:
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"version {version} of the format")
    if len(shape) > _MOST_AXES or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"shape {shape!s:.80}")
    return Header(shape, dtype)


def read_samples(
    arrays: ArrayFile, name: str | None = None, takes: ModelInput | None = None
) -> NDArray[Any]:
    """Reads an array of samples; before its data, the header is compared with the model's input.

    Args:
        arrays: the file.
        name: of the array; that of ``samples`` by default. Of a model with several inputs an array
            each will do, under the input's name, behind what stands before the ``x`` in ``name``.
        takes: how the model takes samples.

    Returns:
        int8, uint8 or float32 (n, *shape), checked as ``checked_values`` does; of the array's own
        shape without ``takes``.

    Raises:
        DataError: the array is missing, damaged, or not as the model takes samples.
    """
    prefix = (name or "x").removesuffix("x")
    if takes and (name or "x").endswith("x") and named_inputs(arrays, takes, prefix):
        each = [read_samples(arrays, f"{prefix}{part.name}", part) for part in takes.parts]
        return takes.joined(each, str(arrays.path))
    try:
        key = name or arrays.samples
    except DataError as error:
        if takes and takes.parts:
            names = ", ".join(part.name for part in takes.parts)
            error.hint = f"an array for each of {names}, or x, their values behind each other"
        raise
    where = f"{arrays.path}: {key}"
    if key not in arrays:
        return arrays.read(key)
    header = arrays.headers[key]
    if not header.shape:
        raise DataError(f"{where} is a single number; samples are (n, height, width, channels)")
    check_type(where, header.dtype)
    if takes:
        # An array of this shape that takes the memory of one value.
        takes.batch(np.broadcast_to(np.zeros((), np.int8), header.shape), where)
    x = arrays.read(key)
    return checked_values(where, takes.batch(x, where) if takes else x)


def named_inputs(arrays: ArrayFile, takes: ModelInput, prefix: str = "") -> bool:
    """Whether a file has an array for each of a model's several inputs, under its name."""
    return bool(takes.parts) and all(f"{prefix}{part.name}" in arrays for part in takes.parts)


def target_values(arrays: ArrayFile) -> NDArray[Any] | None:
    """The array ``y`` of a file where it holds targets of a regression; else None.

    Raises:
        DataError: its data are damaged.
    """
    header = arrays.headers.get("y")
    if header is None or not np.issubdtype(header.dtype, np.floating):
        return None
    y = arrays.read("y")
    return y if are_targets(y) else None


def input_targets(path: Path, samples: int, outputs: int) -> NDArray[np.float32] | None:
    """Reads the targets of all samples of a file, float32 (n, outputs); None where it has none.

    Raises:
        DataError: they do not fit the samples or the model's outputs.
    """
    arrays = ArrayFile(path)
    y = target_values(arrays)
    return None if y is None else checked_targets(f"{path}: y", y, samples, outputs)


def input_samples(path: Path, takes: ModelInput) -> tuple[NDArray[np.int8], list[str]]:
    """Reads samples to run, without labels.

    Args:
        path: a ``.npy`` file, or a ``.npz`` file with an array ``x`` or ``inputs``, or only one.
        takes: how the model takes them; a single sample may come without a batch axis.

    Returns:
        int8 (n, *shape), n at least 1; sentences that say how the values were read.

    Raises:
        DataError: the file or the array is not as it has to be.
    """
    x = read_samples(ArrayFile(path), None, takes)
    if not len(x):
        raise DataError(f"{path}: holds no samples")
    return takes.int8(x), remarks(path, x, takes)


def array_samples(x: NDArray[Any], takes: ModelInput) -> tuple[NDArray[np.int8], list[str]]:
    """The same of samples at hand.

    Raises:
        DataError: the array is not as it has to be.
    """
    checked = checked_values("samples", takes.batch(x, "samples"))
    if not len(checked):
        raise DataError("samples: none given")
    return takes.int8(checked), remarks("samples", checked, takes)


def remarks(where: Path | str, x: NDArray[Any], takes: ModelInput) -> list[str]:
    """How the values of checked samples are read, and a warning where many are clipped."""
    said = [takes.reading(x), takes.clipping(x)]
    return [f"{where}: {text}" for text in said if text]


def read_calibration(path: Path) -> NDArray[Any]:
    """Reads real inputs: float32, or uint8 pixels, of the shape they have in the file.

    Raises:
        DataError: the file or the array is not as it has to be.
    """
    return calibration_inputs(path, read_samples(ArrayFile(path)))


def calibration_inputs(where: Path | str, x: NDArray[Any]) -> NDArray[Any]:
    """Real inputs at hand: finite float32, or uint8 pixels.

    Raises:
        DataError: the array is not as it has to be.
    """
    checked = checked_values(where, x)
    if checked.dtype == np.int8:
        raise DataError(
            f"{where}: values are int8; a float model is calibrated with what it takes itself",
            hint="give floats, or uint8 pixels",
        )
    return checked
