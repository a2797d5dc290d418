"""The weights in a file of Keras 3, and putting them into the same model of Keras 2."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.keras.contents import WEIGHTS, KerasContents, open_hdf5

_Arrays = list[NDArray[Any]]


def load_keras_3_weights(path: Path, contents: KerasContents, model: Any) -> None:
    """Puts the weights of a file of Keras 3 into a model that was built of its configuration.

    Args:
        path: of the file.
        contents: of it, checked.
        model: a ``tf_keras.Model``.

    Raises:
        ModelError: a layer's weights are missing, or of other shapes.
    """
    if contents.format == "hdf5":
        with open_hdf5(path, path) as file:
            group = file.get("model_weights", file)
            for layer in model.layers:
                held = layer.trainable_weights + layer.non_trainable_weights
                _put(path, layer.name, held, _listed(group, layer.name))
        return
    with zipfile.ZipFile(path) as archive:
        stream = io.BytesIO(archive.read(WEIGHTS))
    with open_hdf5(path, stream) as file:
        found = dict(_by_layer(file, ()))
    for place, layer in _layers(model, ()):
        held = layer._trainable_weights + layer._non_trainable_weights  # noqa: SLF001
        _put(path, "/".join(place), held, found.get(place, []))


def _layers(model: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The layers that hold weights of their own, behind the names of the models they are in."""
    for layer in model.layers:
        within = (*place, layer.name)
        if hasattr(layer, "layers"):
            yield from _layers(layer, within)
        else:
            yield within, layer


def _by_layer(group: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Arrays]]:
    """The arrays of an archive: each layer's group tells its name, and holds them by number."""
    for each in group.get("layers", {}).values():
        held = each.get("vars")
        if held is None or "name" not in held.attrs:
            continue
        within = (*place, str(held.attrs["name"]))
        yield within, [np.asarray(held[str(index)]) for index in range(len(held))]
        yield from _by_layer(each, within)


def _listed(group: Any, name: str) -> _Arrays:
    """The arrays of a layer in a ``.h5`` file, which lists their names."""
    if name not in group:
        return []
    names = group[name].attrs.get("weight_names", [])
    return [np.asarray(group[name][each]) for each in names]


def _put(path: Path, name: str, held: list[Any], found: _Arrays) -> None:
    shapes = [tuple(weight.shape) for weight in held]
    given = [array.shape for array in found]
    if shapes != given:
        raise ModelError(
            f"{path}: layer '{name}': weights of shapes {str(given)[:120]}, its settings say "
            f"{str(shapes)[:120]}",
            hint="the file is damaged, or holds a layer that is not read; save the model again",
        )
    for weight, array in zip(held, found, strict=True):
        weight.assign(array)
