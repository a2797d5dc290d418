"""The numpy reference beside a witness, tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyedge.evaluation.witnesses.witness import (
    Int8,
    Progress,
    RealWeights,
    Seen,
    Standard,
    Witness,
)
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph

_CHUNK = 64
_SHOWN_WEIGHTS = 5


@dataclass(frozen=True)
class TensorComparison:
    """One tensor of a witness against the reference.

    Attributes:
        name: of the tensor.
        kind: of the operator that writes it.
        values: how many were compared, over all samples.
        differing: how many differ.
        largest: difference, in steps of the tensor.
        agreement: share of samples whose largest element, the first of equals, is the same one.
        own_differing, own_largest: the same where the reference computes this one layer from what
            the witness gave as its inputs, so that what went before does not count; None where
            those inputs are not all seen, or lie between the steps of the graph.
    """

    name: str
    kind: str
    values: int
    differing: int
    largest: int
    agreement: float
    own_differing: int | None = None
    own_largest: int | None = None


@dataclass(frozen=True)
class WeightComparison:
    """The weights of one layer of a witness against the graph's.

    Attributes:
        name: of the tensor that the layer writes.
        differing: weights that are apart by more than half a code.
        biases: biases that are apart by more than half a step of the output.
        examples: some of them, ``[index, ours, theirs]`` as real numbers; the output channel is the
            first index, ``"bias"`` the only other one of a bias.
    """

    name: str
    differing: int
    biases: int
    examples: list[list[Any]]


@dataclass(frozen=True)
class Comparison:
    """The findings of a comparison.

    Attributes:
        tensors: in the order they are computed; the output is the last.
        weights: of the layers whose weights or biases differ.
        standard: of the witness.
    """

    tensors: list[TensorComparison]
    weights: list[WeightComparison]
    standard: Standard

    @property
    def fault(self) -> str | None:
        """The first tensor that a layer at fault writes, by the witness' standard, or None."""
        if self.standard == "none":
            return None
        if self.standard == "bytes":
            return next((tensor.name for tensor in self.tensors if tensor.differing), None)
        weights = [layer.name for layer in self.weights]
        for tensor in self.tensors:
            if tensor.name in weights or (tensor.own_largest or 0) > 1:
                return tensor.name
        return next(iter(weights), None)


def random_inputs(graph: Graph, count: int, seed: int) -> Int8:
    """Samples int8 (count, *input shape): noise, then ramps, and the extremes first."""
    shape = graph.input_tensor.shape
    rng = np.random.default_rng(seed)
    samples = rng.integers(-128, 128, (count, *shape)).astype(np.int8)
    for index, value in enumerate((-128, 127, graph.input_tensor.quantization.zero_point)):
        if index < count:
            samples[index] = value
    # Noise averages out in deep networks; smooth inputs of other means reach other values.
    for index in range(3, count, 2):
        low, high = sorted(rng.integers(-128, 128, 2))
        ramp = np.linspace(low, high, samples[index].size)
        samples[index] = (
            np.rint(ramp).reshape(shape) if index % 4 == 1 else rng.integers(low, high + 1, shape)
        )
    return samples


def compare(
    witness: Witness,
    samples: Int8,
    *,
    layers: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Runs samples on a witness and on the reference.

    Args:
        witness: opened for the graph.
        samples: int8 (n, *input shape), or sequences, see ``reference.run``.
        layers: whether to compare every tensor that the witness shows, and its weights, or the
            output alone.
        progress: called with the number of samples the witness has finished.
    """
    graph = witness.graph
    names = witness.shows() if layers else [graph.output]
    expected: dict[str, list[Int8]] = {name: [] for name in names}

    def tap(name: str, value: Int8) -> None:
        if name in expected:
            expected[name].append(value)

    reference.run(graph, samples, tap=tap)
    found = dict(zip(names, witness.run(samples, names, progress), strict=True))
    writers = {operator.output: operator for operator in graph.operators}
    seen = {graph.input: Seen(samples.reshape(-1, *graph.input_tensor.shape))} | found
    seen |= {name: Seen(value[np.newaxis]) for name, value in graph.constants.items()}
    seen |= _told(graph, seen)
    tensors = []
    for name in names:
        own = None if witness.standard != "steps" else _own_difference(graph, writers[name], seen)
        difference = _difference(np.concatenate(expected[name]), found[name].values)
        tensors.append(
            TensorComparison(
                name,
                type(writers[name]).__name__,
                **difference,
                own_differing=None if own is None else int(np.count_nonzero(own)),
                own_largest=None if own is None else int(own.max(initial=0)),
            )
        )
    weights = _compare_weights(graph, witness.weights()) if layers else []
    return Comparison(tensors, weights, witness.standard)


def _difference(expected: Int8, found: Int8) -> dict[str, Any]:
    mine = expected.reshape(len(expected), -1).astype(np.int16)
    theirs = found.reshape(len(expected), -1).astype(np.int16)
    distance = np.abs(mine - theirs)
    return {
        "values": distance.size,
        "differing": int(np.count_nonzero(distance)),
        "largest": int(distance.max(initial=0)),
        "agreement": float((mine.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
    }


def _told(graph: Graph, seen: dict[str, Seen]) -> dict[str, Seen]:
    """Gives values that the witness implies but does not show: those it shows, on finer steps.

    The importer puts such steps before an average of few bits; no layer of the model has them.
    """
    told: dict[str, Seen] = {}
    for operator in graph.operators:
        if not isinstance(operator, ops.Requantize) or operator.output in seen:
            continue
        (name,), target = operator.inputs, graph.tensors[operator.output]
        given = (seen | told).get(name)
        if given is None or not given.on_grid:
            continue
        source = graph.tensors[name]
        parts = []
        for start in range(0, len(given.values), _CHUNK):
            values = given.values[start : start + _CHUNK]
            parts.append(reference.compute(operator, [values], [source], target))
            before = source.quantization.dequantize(values)
            if not np.array_equal(before, target.quantization.dequantize(parts[-1])):
                break  # it rounds or clips: the witness need not
        else:
            told[operator.output] = Seen(np.concatenate(parts))
    return told


def _own_difference(graph: Graph, operator: ops.Operator, seen: dict[str, Seen]) -> Any:
    """Differences, in steps, of one layer computed from the witness' inputs; None if unknown."""
    if any(name not in seen or not seen[name].on_grid for name in operator.inputs):
        return None
    found = seen[operator.output].values
    inputs, output = graph.inputs_of(operator), graph.tensors[operator.output]
    distances = []
    for start in range(0, len(found), _CHUNK):
        rows = slice(start, start + _CHUNK)
        arrays = [
            seen[name].values if name in graph.constants else seen[name].values[rows]
            for name in operator.inputs
        ]
        mine = reference.compute(operator, arrays, inputs, output).astype(np.int16)
        distances.append(np.abs(mine - found[rows]).ravel())
    return np.concatenate(distances)


def _compare_weights(graph: Graph, theirs: dict[str, RealWeights]) -> list[WeightComparison]:
    """The layers whose weights differ by more than half a code, or biases by half a step."""
    found = []
    for operator in graph.operators:
        if not isinstance(operator, ops.Weighted) or operator.output not in theirs:
            continue
        other, weights = theirs[operator.output], operator.weights
        source = graph.inputs_of(operator)[0].quantization.scale
        unit = weights.scales.astype(np.float64)
        unit_steps = unit if weights.steps is None else unit * weights.steps
        column = (-1, *[1] * (weights.codes.ndim - 1))
        mine = weights.codes * unit_steps.reshape(column)
        step = graph.tensors[operator.output].quantization.scale
        # A channel of nothing but its bias has a unit that its weights do not tell.
        idle = ~weights.codes.reshape(len(mine), -1).any(axis=1)
        tolerance = np.where(idle, step / (255 * source), unit_steps) / 2
        apart = np.argwhere(np.abs(mine - other.weights) > tolerance.reshape(column))
        bias = operator.bias * unit * source
        biases = np.flatnonzero(np.abs(bias - other.bias) > step / 2)
        if len(apart) or len(biases):
            examples: list[list[Any]] = [
                [where, float(mine[tuple(where)]), float(other.weights[tuple(where)])]
                for where in apart[:_SHOWN_WEIGHTS].tolist()
            ]
            examples += [
                [[where, "bias"], float(bias[where]), float(other.bias[where])]
                for where in biases[:_SHOWN_WEIGHTS].tolist()
            ]
            found.append(WeightComparison(operator.output, len(apart), len(biases), examples))
    return found
