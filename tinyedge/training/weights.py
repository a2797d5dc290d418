"""The weights of one network in another of the same layers."""

from __future__ import annotations

from typing import Any

from tinyedge.errors import ModelError


def transfer_weights(source: Any, target: Any) -> None:
    """Copies weights between siblings, layer by layer, by name.

    Raises:
        ModelError: one has a layer with weights that the other lacks, or of another shape.
    """
    names = {layer.name for layer in target.layers}
    extra = next((each for each in source.layers if each.weights and each.name not in names), None)
    if extra is not None:
        raise _no_sibling(extra.name, "the network that takes the weights has no such layer")
    for layer in target.layers:
        if not layer.weights:
            continue
        try:
            layer.set_weights(source.get_layer(layer.name).get_weights())
        except ValueError as error:
            raise _no_sibling(layer.name, str(error)) from error


def _no_sibling(layer: str, fault: str) -> ModelError:
    return ModelError(
        f"layer '{layer}': no such weights in both networks ({fault})",
        hint="both have to be siblings, as 'tinyedge train' makes them of one name and width",
    )
