"""A QKeras model as hls4ml reads it without harm, and computes what the integer graph computes.

hls4ml reads QKeras models itself. Two things it cannot be left to do. It mishandles kernels with a
scale (alpha) of their own (see ``faults``): here every kernel becomes its integer codes, and scale
and bias become batch normalization, where hls4ml itself puts the scale of a convolution. And it
knows no int8 but that of the model's quantizers: where the integer graph has a value in int8, here
it is rounded likewise, in integers where the step is no power of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyedge.exporters.hls4ml.layers import rewrite_layer
from tinyedge.exporters.hls4ml.rewriter import INPUT, Rewriter, Value
from tinyedge.graph.graph import Graph
from tinyedge.importers.qkeras.layers import layer_calls
from tinyedge.importers.result import Origin
from tinyedge.keras.environment import tf_keras
from tinyedge.names import Arithmetic


@dataclass
class Rewritten:
    """A model for hls4ml.

    Attributes:
        model: a ``tf_keras.Model`` from the inputs to the logits.
        precision: types by layer and by hls4ml's name for them (result, accum, scale, bias).
        names: of layers in it, by the name of the layer of the original model (``layer/part`` for
            a part of a layer) whose value they have.
        products: of layers of the original model, by the layer in it that multiplies with their
            integer weights.
        units: real value of a one, by layer in it.
    """

    model: Any
    precision: dict[str, dict[str, str]]
    names: dict[str, str]
    products: dict[str, str]
    units: dict[str, float]


def rewrite(
    model: Any,
    graph: Graph,
    origins: dict[str, Origin],
    arithmetic: Arithmetic,
    *,
    stream: bool,
) -> Rewritten:
    """Writes a model anew in layers that hls4ml reads right.

    Args:
        model: a ``tf_keras.Model`` that ends in its logits.
        graph: what the importer made of it, whose int8 grids set the precision.
        origins: of the graph's tensors in the model.
        arithmetic: ``exact`` scales sums as the graph does: with multipliers of 31 bits, rounding
            twice. ``plain`` does it with as many bits as are worth it, rounding once.
        stream: whether layers pass one pixel after the other.

    Raises:
        ModelError: hls4ml cannot do a layer, which is named.
    """
    to = Rewriter(graph, origins, arithmetic, stream=stream)
    values: dict[int, Value] = {}
    inputs: list[Any] = []
    seen: set[str] = set()
    for call in layer_calls(model):
        layer = call.layer
        if layer.name in seen:
            raise to.fail(layer, "called more than once")
        seen.add(layer.name)
        if type(layer).__name__ == "InputLayer":
            inputs.append(tf_keras.layers.Input(tuple(call.outputs.shape[1:]), name=INPUT))
            value = to.quantized_input(layer.name, inputs[0])
        else:
            value = rewrite_layer(to, layer, [values[id(each)] for each in call.keras_inputs])
        values[id(call.outputs)] = value
    output = to.applied(values[id(model.outputs[0])])
    return Rewritten(
        tf_keras.Model(inputs, output.tensor), to.types, to.names, to.products, to.units
    )
