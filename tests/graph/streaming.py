"""A small network with states, as streaming models have them, and its frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph, State
from tinyedge.graph.tensors import Quantization, Tensor, Weights

GRID = Quantization(0.05, -7)
INNER = Quantization(0.08, 11)


def streaming_graph(seed: int = 0) -> Graph:
    """Two states: the last two frames, which begin as noise; and the last output of a layer.

    The second is read once more, reshaped, behind what computes its next value.
    """
    rng = np.random.default_rng(seed)
    codes = rng.integers(-127, 128, (4, 3, 1, 5)).astype(np.int8)
    dense = rng.integers(-127, 128, (3, 8)).astype(np.int8)
    whole = {"begin": (1, 0, 0), "size": (2, 1, 5), "stride": (1, 1, 1)}
    operators = (
        ops.Reshape(name="frame", inputs=("input",), output="frame", shape=(1, 1, 5)),
        ops.Concatenation(name="window", inputs=("past", "frame"), output="window", axis=0),
        ops.Slice(name="rest", inputs=("window",), output="rest", **whole),
        ops.Conv2D(
            name="conv",
            inputs=("window",),
            output="conv",
            stride=(1, 1),
            weights=Weights(codes, 8, np.full(4, 0.004, np.float32)),
            bias=rng.integers(-900, 900, 4).astype(np.int32),
            clamp=(-100, 127),
        ),
        ops.Reshape(name="before", inputs=("last",), output="before", shape=(4,)),
        ops.Reshape(name="now", inputs=("conv",), output="now", shape=(4,)),
        ops.Concatenation(name="both", inputs=("before", "now"), output="both", axis=0),
        ops.FullyConnected(
            name="dense",
            inputs=("both",),
            output="dense",
            weights=Weights(dense, 8, np.full(3, 0.004, np.float32)),
            bias=rng.integers(-900, 900, 3).astype(np.int32),
        ),
    )
    shapes = {
        "input": (5,),
        "past": (2, 1, 5),
        "last": (1, 1, 4),
        "frame": (1, 1, 5),
        "window": (3, 1, 5),
        "rest": (2, 1, 5),
    }
    inner = {"conv": (1, 1, 4), "before": (4,), "now": (4,), "both": (8,)}
    tensors = {name: Tensor(name, shape, GRID) for name, shape in shapes.items()}
    tensors |= {name: Tensor(name, shape, INNER) for name, shape in inner.items()}
    tensors["last"] = Tensor("last", (1, 1, 4), INNER)
    tensors["dense"] = Tensor("dense", (3,), Quantization(0.1, 2))
    return Graph(
        "streaming",
        tensors,
        operators,
        "input",
        "dense",
        states={
            "past": State("rest", rng.integers(-128, 128, (2, 1, 5)).astype(np.int8)),
            "last": State("conv", np.full((1, 1, 4), 11, np.int8)),
        },
    )


def frames_of(graph: Graph, count: int, seed: int = 0) -> NDArray[np.int8]:
    """So many random frames."""
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (count, *graph.input_tensor.shape)).astype(np.int8)
