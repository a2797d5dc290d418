"""The weights in a file of Keras 3, and putting them into the same model of Keras 2."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.keras.contents import WEIGHTS, KerasContents, hdf5_address, open_hdf5

_PARTS = ("cell", "layer", "forward_layer", "backward_layer", "batchnorm")
"""Attributes of a layer that hold layers; both the model and the file call them so."""
_DAMAGED = "the file is damaged, or holds a layer that is not read; save the model again"


def load_keras_3_weights(path: Path, contents: KerasContents, model: Any) -> None:
    """Puts the weights of a file of Keras 3 into a model that was built of its configuration.

    Args:
        path: of the file.
        contents: of it, checked.
        model: a ``tf_keras.Model``.

    Raises:
        ModelError: a layer's weights are missing, or of other shapes; or the model has weights that
            the file's place for them is not known of.
    """
    loader = _Loader(path)
    if contents.format == "hdf5":
        with open_hdf5(path, path) as file:
            group = file.get("model_weights", file)
            for layer in model.layers:
                held = layer.trainable_weights + layer.non_trainable_weights
                loader.put(layer.name, held, _listed(group, layer.name))
    else:
        with zipfile.ZipFile(path) as archive:
            stream = io.BytesIO(archive.read(WEIGHTS))
        with open_hdf5(path, stream) as file:
            loader.put_layers(model, file, "")
    loader.check_all(model)


class _Loader:
    """Puts arrays of a file into weights.

    It follows the model and reads what has a weight's shape, so that it reads no more than the
    model holds, however the file links its groups.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: set[int] = set()
        self._named: dict[int, dict[str, Any]] = {}

    def put_layers(self, model: Any, group: Any, within: str) -> None:
        """Fills the layers of a model from the group of an archive that is the model's."""
        named = {} if group is None else self._by_name(group)
        for layer in model.layers:
            self._put_layer(layer, named.get(layer.name), f"{within}{layer.name}")

    def _put_layer(self, layer: Any, group: Any, place: str) -> None:
        if hasattr(layer, "layers"):
            self.put_layers(layer, group, f"{place}/")
            return
        held = layer._trainable_weights + layer._non_trainable_weights  # noqa: SLF001
        self.put(place, held, numbered(group))
        for part in _PARTS:
            inner = getattr(layer, part, None)
            if hasattr(inner, "weights"):
                self._put_layer(inner, group and group.get(part), f"{place}/{part}")

    def _by_name(self, group: Any) -> dict[str, Any]:
        address = hdf5_address(group)
        if address not in self._named:
            self._named[address] = layer_groups(group)
        return self._named[address]

    def put(self, name: str, held: list[Any], found: list[Any]) -> None:
        """Fills weights from as many datasets of their shapes; raises ModelError for others."""
        shapes = [tuple(weight.shape) for weight in held]
        given = [getattr(dataset, "shape", None) for dataset in found]
        if shapes != given:
            raise ModelError(
                f"{self._path}: layer '{name}': weights of shapes {str(given)[:120]}, its settings "
                f"say {str(shapes)[:120]}",
                hint=_DAMAGED,
            )
        for weight, dataset in zip(held, found, strict=True):
            if dataset.dtype.kind not in "biuf":
                raise ModelError(
                    f"{self._path}: layer '{name}': weights of type {dataset.dtype}", hint=_DAMAGED
                )
            if id(weight) not in self._done:
                self._done.add(id(weight))
                weight.assign(np.asarray(dataset))

    def check_all(self, model: Any) -> None:
        """Raises ModelError where a weight of the model was not filled."""
        left = [weight.name for weight in model.weights if id(weight) not in self._done]
        if left:
            raise ModelError(
                f"{self._path}: weight '{left[0][:80]}' and {len(left) - 1} others cannot be read "
                "of a layer made of layers",
                hint=f"read are the layers that a layer holds as {', '.join(_PARTS)}; build the "
                "model of plain layers",
            )


def layer_groups(group: Any) -> dict[str, Any]:
    """The groups of a model's layers in an archive, each of which tells its layer's name."""
    return {
        str(each["vars"].attrs["name"]): each
        for each in group.get("layers", {}).values()
        if "vars" in each and "name" in each["vars"].attrs
    }


def numbered(group: Any) -> list[Any]:
    """The datasets of a layer in an archive, which numbers them."""
    held: Mapping[str, Any] = (group and group.get("vars")) or {}
    return [held[str(index)] for index in range(len(held))]


def _listed(group: Any, name: str) -> list[Any]:
    """The datasets of a layer in a ``.h5`` file, which lists their names."""
    if name not in group:
        return []
    names = group[name].attrs.get("weight_names", [])
    return [group[name][each] for each in names]
