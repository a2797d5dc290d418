"""Many layers in one graph, so that one firmware tries them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import MAXIMUM_CONCATENATED
from tinyedge.graph.tensors import Quantization, Tensor

SCALE = 0.05
"""Scale of inputs and outputs alike."""


@dataclass(frozen=True)
class Case:
    """A layer to try.

    Attributes:
        operator: its tensors are named by ``joined``.
        shape: of its input.
        zero_points: of input and output; cases of one graph share them.
        constant: the second input.
        constant_scale: its scale.
        between: the scale of the output, which then is requantized.
    """

    operator: ops.Operator
    shape: tuple[int, ...]
    zero_points: tuple[int, int]
    constant: NDArray[np.int8] | None = None
    constant_scale: float = SCALE
    between: float | None = None


def joined(cases: Sequence[Case]) -> Graph:
    """A graph of all layers: their inputs are its input, one behind another; outputs likewise."""
    (zero_points,) = {case.zero_points for case in cases}
    source, target = (Quantization(SCALE, point) for point in zero_points)
    tensors: dict[str, Tensor] = {}
    operators: list[ops.Operator] = []
    constants: dict[str, NDArray[np.int8]] = {}

    def add(tensor: Tensor) -> str:
        tensors[tensor.name] = tensor
        return tensor.name

    def flat(name: str, shape: tuple[int, ...], to: tuple[int, ...], like: Quantization) -> str:
        if shape == to:
            return name
        cast = add(Tensor(f"{name} cast", to, like))
        operators.append(ops.Reshape(name=cast, inputs=(name,), output=cast, shape=to))
        return cast

    sizes = [int(np.prod(case.shape)) for case in cases]
    start = add(Tensor("in", (sum(sizes),), source))
    at, ends = 0, []
    for index, (case, size) in enumerate(zip(cases, sizes, strict=True)):
        cut = add(Tensor(f"{index} cut", (size,), source))
        operators.append(
            ops.Slice(name=cut, inputs=(start,), output=cut, begin=(at,), size=(size,), stride=(1,))
        )
        at += size
        before = flat(cut, (size,), case.shape, source)
        inputs: tuple[str, ...] = (before,)
        shapes = [case.shape]
        if case.constant is not None:
            other = Quantization(case.constant_scale, -zero_points[0] // 2)
            inputs = (before, add(Tensor(f"{index} constant", case.constant.shape, other)))
            constants[inputs[1]] = case.constant
            shapes.append(case.constant.shape)
        arguments = {**vars(case.operator), "name": f"{index}", "output": f"{index} out"}
        operator = type(case.operator)(**{**arguments, "inputs": inputs})
        operators.append(operator)
        shape = operator.output_shape(shapes)
        own = target if case.between is None else Quantization(case.between, target.zero_point)
        end = add(Tensor(operator.output, shape, own))
        if case.between is not None:
            last = add(Tensor(f"{end} again", shape, target))
            operators.append(ops.Requantize(name=last, inputs=(end,), output=last))
            end = last
        ends.append(flat(end, shape, (int(np.prod(shape)),), target))
    level = 0
    while len(ends) > 1:
        parts = [
            ends[i : i + MAXIMUM_CONCATENATED] for i in range(0, len(ends), MAXIMUM_CONCATENATED)
        ]
        ends = []
        for index, part in enumerate(parts):
            size = sum(tensors[name].size for name in part)
            whole = add(Tensor(f"whole {level} {index}", (size,), target))
            operators.append(
                ops.Concatenation(name=whole, inputs=tuple(part), output=whole, axis=0)
            )
            ends.append(whole)
        level += 1
    return Graph("joined", tensors, tuple(operators), "in", ends[0], constants=constants)


def samples_for(graph: Graph, count: int = 5) -> NDArray[np.int8]:
    """Random samples, and those whose sums are largest."""
    random = np.random.default_rng(1)
    samples = random.integers(-128, 128, (count, *graph.input_tensor.shape))
    samples[0], samples[1] = -128, 127
    samples[2] = np.where(np.arange(samples[2].size) % 2, 127, -128).reshape(samples[2].shape)
    return samples.astype(np.int8)
