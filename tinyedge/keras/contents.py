"""The contents of a Keras file, checked before Keras opens it; without importing TensorFlow.

A model file comes from anywhere. Loading one builds every class that its configuration names, and
Keras imports modules, unmarshals bytecode, follows links to other files and allocates whatever
shapes it is told. So the configuration is read here first, and the format is told by the content.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError, ModelError
from tinyedge.keras.calls import check_calls
from tinyedge.keras.keras3 import holds_hgq2, translated
from tinyedge.keras.names import check_names

LARGEST_VALUE = 2**22
"""Elements of one layer's value; no microcontroller holds as many bytes."""
_LARGEST_CONFIG = 2**24
"""Bytes of JSON. A network of 1,000 layers has about one million."""
_UNPACKED_FACTOR, _UNPACKED_FREE = 4, 2**26
"""Bytes that a file may grow to when its weights are unpacked: so many times its size, and these
in addition."""

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CONFIG, _METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_SAVED_MODEL = "saved_model.pb"
_SAVED_METADATA = "keras_metadata.pb"
_KERAS_3 = "3."
"""How the version of its writer begins."""

_DAMAGE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,  # deep nesting, encrypted archives, methods of compression that are unknown
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""The exceptions that ``zipfile``, ``json`` and ``h5py`` can raise on a damaged file."""

Format = Literal["hdf5", "archive", "savedmodel"]


@dataclass(frozen=True)
class KerasContents:
    """The contents of a Keras file.

    Attributes:
        format: by content: HDF5 (``.h5``), the zip archive of ``.keras``, a SavedModel folder.
        config: of the model, every name in it checked; of a model of Keras 3 as Keras 2 has it.
        room: bytes that its weights may take.
        keras_3: whether Keras 3 wrote it.
        hgq2: whether it has layers of HGQ2, which Keras 2 lacks; those are not checked by name.
    """

    format: Format
    config: dict[str, Any]
    room: int
    keras_3: bool = False
    hgq2: bool = False


def read_contents(path: Path) -> KerasContents:
    """Reads a Keras file's configuration and checks all that loading it would trust.

    Args:
        path: a file or a SavedModel folder.

    Raises:
        ModelError: the file is missing, damaged or larger inside than outside; it refers to
            another file; it is weights alone or another format; or the model names a class or
            function that is not supported.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such file")
    try:
        if path.is_dir():
            return _saved_model(path)
        if zipfile.is_zipfile(path):
            return _archive(path)
        return _hdf5(path)
    except _DAMAGE as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> ModelError:
    first = (reason.splitlines() or [""])[0]
    return ModelError(
        f"{path}: not a readable Keras model: {first[:200]}",
        hint="supported: .h5 and .keras of Keras 2 (tf_keras) and 3, SavedModel folders of Keras 2",
    )


def _weights_only(path: Path) -> ModelError:
    return ModelError(
        f"{path}: weights without their model",
        hint="build the model, load_weights() this file, and save() the whole model as .h5 or "
        ".keras",
    )


def _room(size: int) -> int:
    return _UNPACKED_FACTOR * size + _UNPACKED_FREE


def _parsed(path: Path, text: str | bytes) -> dict[str, Any]:
    config = json.loads(text)
    if not isinstance(config, dict):
        raise _damaged(path, "its configuration is not a JSON object")
    return config


def _check(path: Path, config: dict[str, Any], *, names: bool = True) -> None:
    if names:
        check_names(config, str(path))
    check_calls(config, str(path))


def _archive(path: Path) -> KerasContents:
    room = _room(path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if any(name.rsplit("/", 1)[-1] == "data.pkl" for name in names):
            raise pytorch_error(path)
        if _CONFIG not in names:
            raise _damaged(path, f"a zip archive without {_CONFIG}")
        for name in sorted({_CONFIG, _METADATA} & set(names)):
            if archive.getinfo(name).file_size > _LARGEST_CONFIG:
                raise _damaged(path, f"its {name} has {archive.getinfo(name).file_size} bytes")
        if len(names) != len(set(names)):
            raise _damaged(path, "two entries of one name")
        if sum(entry.file_size for entry in archive.infolist()) > room:
            raise _damaged(path, f"it unpacks to more than {room} bytes")
        metadata = _parsed(path, archive.read(_METADATA)) if _METADATA in names else {}
        keras_3 = str(metadata.get("keras_version")).startswith(_KERAS_3)
        if path.suffix != ".keras":  # Keras tells an archive by this name alone
            raise ModelError(
                f"{path}: a Keras archive under another name", hint="call it 'NAME.keras'"
            )
        config = _parsed(path, archive.read(_CONFIG))
        # How a model was trained is not read.
        config["compile_config"] = None
        config = translated(config, str(path)) if keras_3 else config
        hgq2 = keras_3 and holds_hgq2(config)
        _check(path, config, names=not hgq2)
        extra = sorted(set(names) - {_CONFIG, _METADATA, WEIGHTS})
        if extra or WEIGHTS not in names:
            raise _damaged(path, f"holds {extra[0]!r}" if extra else f"no {WEIGHTS}")
        brings: Literal["hgq2", "qkeras"] = "hgq2" if hgq2 else "qkeras"
        with open_hdf5(path, io.BytesIO(archive.read(WEIGHTS)), brings) as file:
            _check_links(path, file, room)
    return KerasContents("archive", config, room, keras_3, hgq2)


@contextmanager
def open_hdf5(
    path: Path, source: Path | BinaryIO, extra: Literal["hgq2", "qkeras"] = "qkeras"
) -> Iterator[Any]:
    """Opens HDF5 for reading.

    Args:
        path: for messages.
        source: the file.
        extra: of tinyedge, with what else the model takes.

    Raises:
        MissingDependencyError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        needed = "h5py" if extra == "hgq2" else "TensorFlow and QKeras"
        raise MissingDependencyError(
            f"{path}: reading it needs {needed}, and 'h5py' is not installed",
            hint=install_hint(extra),
        ) from error
    with h5py.File(source, "r") as file:
        yield file


def _hdf5(path: Path) -> KerasContents:
    room = _room(path.stat().st_size)
    with path.open("rb") as stream:
        if stream.read(len(_HDF5_SIGNATURE)) != _HDF5_SIGNATURE:
            raise _damaged(path, "neither HDF5 nor a .keras archive")
    with open_hdf5(path, path) as file:
        keras_3 = _text(path, file, "keras_version").startswith(_KERAS_3)
        text = _text(path, file, "model_config")
        if not text:
            raise _weights_only(path)
        config = _parsed(path, text)
        config = translated(config, str(path)) if keras_3 else config
        if keras_3 and holds_hgq2(config):
            raise ModelError(f"{path}: a model of HGQ2 as .h5", hint="save it as .keras")
        _check(path, config)
        _check_links(path, file, room)
    return KerasContents("hdf5", config, room, keras_3)


def _text(path: Path, file: Any, name: str) -> str:
    """An attribute of the file as text, empty where it has none."""
    if name not in file.attrs:
        return ""
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or attribute.get_storage_size() > _LARGEST_CONFIG:
        raise _damaged(path, f"its attribute {name} is not a text")
    value = file.attrs[name]
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str) or len(text) > _LARGEST_CONFIG:
        raise _damaged(path, f"its attribute {name} is not a text of up to {_LARGEST_CONFIG} bytes")
    return text


def hdf5_address(item: Any) -> int:
    """Where a group or dataset lies in its file: the same by whichever link it was reached."""
    import h5py

    return int(h5py.h5o.get_info(item.id).addr)


def _check_links(path: Path, file: Any, room: int) -> None:
    """Refuses what makes HDF5 read other files, and data larger than the file allows."""
    import h5py

    root = file["/"]
    pending, seen, total = [root], {hdf5_address(root)}, 0
    while pending:
        group = pending.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _damaged(path, f"'{name}' is a link, which can lead to another file")
            item = group[name]
            address = hdf5_address(item)
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append(item)
                continue
            if not isinstance(item, h5py.Dataset):
                continue
            if item.external or item.is_virtual:
                raise _damaged(path, f"the data of '{name}' lie in another file")
            # A chunk is unpacked as a whole, and may be larger than the data.
            held = max(item.size or 0, math.prod(item.chunks or (0,)))
            total += held * item.dtype.itemsize
            if total > room:
                raise _damaged(path, f"its weights unpack to more than {room} bytes")


def _saved_model(path: Path) -> KerasContents:
    """The model's configuration, from the first node of ``keras_metadata.pb``.

    The graph of TensorFlow operations beside it can write files. It is never loaded: the model is
    built from its configuration, and gets the weights of the checkpoint.
    """
    if not (path / _SAVED_MODEL).is_file():
        raise _damaged(path, f"a folder without {_SAVED_MODEL}")
    metadata = path / _SAVED_METADATA
    if not metadata.is_file():
        raise ModelError(
            f"{path}: a SavedModel without {_SAVED_METADATA}, which describes its layers",
            hint="save the model as .h5 or .keras",
        )
    if metadata.stat().st_size > _LARGEST_CONFIG:
        raise _damaged(path, f"its {_SAVED_METADATA} has {metadata.stat().st_size} bytes")
    for node in _fields(metadata.read_bytes(), 1):
        (text,) = list(_fields(node, 5))[-1:] or [b""]
        (place,) = list(_fields(node, 3))[-1:] or [b""]
        if place == b"root":
            break
    else:
        raise _damaged(path, f"its {_SAVED_METADATA} describes no model")
    described = _parsed(path, text)
    config = {"class_name": described.get("class_name"), "config": described.get("config")}
    _check(path, config)
    if config["class_name"] not in ("Functional", "Sequential"):
        raise ModelError(
            f"{path}: a SavedModel of class {str(config['class_name'])[:80]!r}",
            hint="save a functional or sequential model as .h5 or .keras",
        )
    size = sum(file.stat().st_size for file in (path / "variables").glob("variables.*"))
    return KerasContents("savedmodel", _with_tuples(config), _room(size))


def _with_tuples(value: Any) -> Any:
    """A SavedModel's configuration writes tuples and shapes as objects."""
    if isinstance(value, list):
        return [_with_tuples(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
        return tuple(_with_tuples(item) for item in value["items"])
    return {key: _with_tuples(item) for key, item in value.items()}


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """The values of a field of bytes in a message of Protocol Buffers."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            _, at = _varint(message, at)
            continue
        if kind in (1, 5):
            at += 8 if kind == 1 else 4
            continue
        if kind != 2:
            raise ValueError(f"{_SAVED_METADATA} is damaged")
        size, at = _varint(message, at)
        if at + size > len(message):
            raise ValueError(f"{_SAVED_METADATA} is cut off")
        if number == wanted:
            yield message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError(f"{_SAVED_METADATA} is damaged")


def pytorch_error(path: Path) -> ModelError:
    """The way out for a file of PyTorch."""
    return ModelError(
        f"{path}: a PyTorch model, not a kind of model that can be read",
        hint="torch.onnx.export writes a float .onnx file for 'tinyedge quantize': docs/pytorch.md",
    )
