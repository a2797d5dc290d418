"""Estimates of what a network takes on an FPGA, without the vendor's tools."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph

_ACTIVATION_BITS = 8


@dataclass(frozen=True)
class LayerResources:
    """Estimates for a layer that computes one pixel, or one vector, fully unrolled.

    That is a reuse factor of 1; hls4ml's tools share multipliers between pixels. A product with -1,
    0, 1 or another power of two takes no multiplier, a sum of n products n - 1 adders.

    Attributes:
        name: of the graph's operator.
        kind: of operator.
        weight_bits_each: 1, 2, 4 or 8.
        weights: how many.
        zeros: how many of them are zero.
        multipliers: for the weights.
        scale_multipliers: one a channel, for what is behind the sum.
        adders: of the sums.
        weight_bits: storage for all weights.
        activation_bits: the output, held as a whole (parallel I/O).
        line_buffer_bits: the rows of the input that a window needs (stream I/O).
        multipliers_8bit: were all weights other than zero of 8 bits, and no power of two.
        weight_bits_8bit: were all weights of 8 bits.
    """

    name: str
    kind: str
    weight_bits_each: int
    weights: int
    zeros: int
    multipliers: int
    scale_multipliers: int
    adders: int
    weight_bits: int
    activation_bits: int
    line_buffer_bits: int
    multipliers_8bit: int
    weight_bits_8bit: int


def estimate_resources(graph: Graph) -> list[LayerResources]:
    """Estimates for every layer with weights, in order."""
    return [_estimate(graph, each) for each in graph.operators if isinstance(each, ops.Weighted)]


def _estimate(graph: Graph, operator: ops.Weighted) -> LayerResources:
    codes = operator.weights.codes.reshape(len(operator.weights.codes), -1)
    magnitude = np.abs(codes.astype(np.int16))
    nonzero = magnitude > 0
    terms = nonzero.sum(axis=1)
    source = graph.inputs_of(operator)[0]
    rows = operator.window()[0] - 1 if isinstance(operator, ops.Windowed) else 0
    return LayerResources(
        name=operator.name,
        kind=type(operator).__name__,
        weight_bits_each=operator.weights.bits,
        weights=codes.size,
        zeros=int((~nonzero).sum()),
        multipliers=int((nonzero & (magnitude & (magnitude - 1) > 0)).sum()),
        scale_multipliers=len(codes),
        adders=int(np.maximum(terms - 1, 0).sum()),
        weight_bits=codes.size * operator.weights.bits,
        activation_bits=graph.tensors[operator.output].size * _ACTIVATION_BITS,
        line_buffer_bits=rows * int(np.prod(source.shape[1:])) * _ACTIVATION_BITS,
        multipliers_8bit=int(nonzero.sum()),
        weight_bits_8bit=codes.size * 8,
    )
