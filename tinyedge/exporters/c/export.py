"""From an integer graph to ``model.c`` and ``model.h``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinyedge
from tinyedge.exporters.c.kernels import Choice, Fields, Kernel, select_kernel
from tinyedge.exporters.c.packing import TERNARY_PACKINGS
from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import MemoryPlan, plan_memory
from tinyedge.graph.operators import Operator, Weighted
from tinyedge.templates import render_template

_LINE = 96


@dataclass(frozen=True)
class LayerReport:
    """One row of the per-layer table.

    Attributes:
        name: of the operator.
        kind: its class.
        shape: of its output.
        macs: dense multiply-accumulates.
        weights: number of weights, biases not counted.
        bits: of each weight, or None.
        packing: how weights are stored, or None.
        weight_bytes: packed.
        kernel: the C function that computes it, or None where no code is needed.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    macs: int
    weights: int
    bits: int | None
    packing: str | None
    weight_bytes: int
    kernel: str | None


@dataclass(frozen=True)
class CModel:
    """A model as C.

    Attributes:
        files: file name to content, ``model.c`` and ``model.h``.
        runtime_sources: the runtime's ``.c`` files that it calls.
        plan: of the arena.
        layers: the per-layer table.
    """

    files: dict[str, str]
    runtime_sources: tuple[str, ...]
    plan: MemoryPlan
    layers: tuple[LayerReport, ...]

    @property
    def weight_bytes(self) -> int:
        """Bytes of all packed weights; biases and multipliers are not among them."""
        return sum(layer.weight_bytes for layer in self.layers)


def c_identifiers(names: Iterable[str]) -> dict[str, str]:
    """A distinct C identifier for each name, as close to it as may be.

    They only serve as prefixes (``<identifier>_weights``), so a keyword does no harm.
    """
    identifiers: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        base = re.sub(r"\W", "_", name, flags=re.ASCII).lower().strip("_") or "layer"
        if base[0].isdigit():
            base = f"layer_{base}"
        candidate, count = base, 1
        while candidate in taken:
            count += 1
            candidate = f"{base}_{count}"
        taken.add(candidate)
        identifiers[name] = candidate
    return identifiers


def c_array(values: Iterable[Any], indent: str = "    ") -> str:
    """Comma-separated literals, wrapped."""
    lines, line = [], indent
    for value in values:
        literal = "INT32_MIN" if value == -(2**31) else str(int(value))
        if len(line) + len(literal) + 2 > _LINE:
            lines.append(line.rstrip())
            line = indent
        line += f"{literal}, "
    lines.append(line.rstrip().rstrip(","))
    return "\n".join(lines)


def _initializer(value: Any) -> str:
    """A value, or the members of a struct or an array, in C."""
    if isinstance(value, dict):
        members = (f".{name} = {_initializer(item)}" for name, item in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(_initializer, value)) + "}"
    return str(value)


def _struct_initializer(fields: Fields) -> str:
    """One member a line, nested structs on one line each."""
    lines = []
    for name, value in fields.items():
        text = _initializer({name: value})[1:-1]
        if len(text) + 5 <= _LINE or not isinstance(value, dict):
            lines.append(f"    {text},")
        else:
            inner = ",\n".join(
                f"        {_initializer({key: item})[1:-1]}" for key, item in value.items()
            )
            lines.append(f"    .{name} = {{\n{inner},\n    }},")
    return "\n".join(lines)


@dataclass(frozen=True)
class _Layer:
    """What the template needs of one call."""

    identifier: str
    kernel: Kernel
    initializer: str
    call: str
    comment: str
    arrays: tuple[tuple[str, str, str], ...]


def _arrays(
    operator: Operator, identifier: str, kernel: Kernel, graph: Graph
) -> tuple[tuple[str, str, str], ...]:
    """(declaration, comment, values) of the constant arrays of a layer."""
    if kernel.table is not None:
        comment = f"{operator.name}: results for -128 to 127"
        return ((f"static const int8_t {identifier}_table[256]", comment, c_array(kernel.table)),)
    if not isinstance(operator, Weighted):
        return ()
    assert kernel.packing
    packed = kernel.packing.pack(operator.weights.codes)
    mantissas, shifts = operator.multipliers(
        graph.tensors[operator.inputs[0]].quantization,
        graph.tensors[operator.output].quantization,
    )
    shape = "x".join(map(str, operator.weights.codes.shape))
    channels = len(operator.bias)
    steps = operator.weights.steps
    stepped = (
        ()
        if steps is None
        else ((f"static const uint8_t {identifier}_step[{channels}]", "", c_array(steps)),)
    )
    return (
        (
            f"TE_WEIGHTS static const uint8_t {identifier}_weights[{packed.size}]",
            f"{operator.name}: weights {shape}, output channel first, {kernel.packing.description}",
            c_array(packed),
        ),
        *stepped,
        (f"static const int32_t {identifier}_bias[{channels}]", "", c_array(operator.bias)),
        (f"static const int32_t {identifier}_mantissa[{channels}]", "", c_array(mantissas)),
        (f"static const int8_t {identifier}_shift[{channels}]", "", c_array(shifts)),
    )


def export_c(graph: Graph, ternary_packing: str = TERNARY_PACKINGS[0]) -> CModel:
    """Generates the model's C code. The same graph and options give the same text.

    Args:
        graph: the graph.
        ternary_packing: one of ``TERNARY_PACKINGS``.
    """
    names = [operator.name for operator in graph.operators]
    # A constant may be called as an operator is: its key is another.
    identifiers = c_identifiers([*names, *(f"{name} constant" for name in graph.constants)])
    constants = {name: identifiers[f"{name} constant"] for name in graph.constants}
    kernels = {
        operator.name: kernel
        for operator in graph.operators
        if (
            kernel := select_kernel(
                graph, operator, Choice(identifiers[operator.name], ternary_packing)
            )
        )
    }
    plan = plan_memory(graph, {name: kernel.scratch or 0 for name, kernel in kernels.items()})

    layers: list[_Layer] = []
    sources: set[str] = set()
    for operator in graph.operators:
        kernel = kernels.get(operator.name)
        if not kernel:
            continue
        sources.update(kernel.sources)
        identifier = identifiers[operator.name]
        inputs = [
            constants[name] if name in constants else f"arena + {plan.offsets[name]}"
            for name in operator.inputs
        ]
        if kernel.takes_array:
            inputs = [f"(const int8_t *const[]){{{', '.join(inputs)}}}"]
        pointers = [*inputs, f"arena + {plan.offsets[operator.output]}"]
        if kernel.scratch is not None:
            pointers.append(f"arena + {plan.scratch.get(operator.name, 0)}")
        layers.append(
            _Layer(
                identifier,
                kernel,
                _struct_initializer(kernel.fields),
                f"{kernel.function}(&{identifier}_layer, {', '.join(pointers)});",
                f"{operator.name}: {type(operator).__name__}",
                _arrays(operator, identifier, kernel, graph),
            )
        )

    source, target = graph.input_tensor, graph.output_tensor
    context = {
        "version": tinyedge.__version__,
        "graph": graph,
        "source": graph.source,
        "hash_bytes": ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(graph.hash)),
        "input": source,
        "output": target,
        "input_offset": plan.offsets[graph.input],
        "output_offset": plan.offsets[graph.output],
        "plan": plan,
        "constants": [
            (
                f"static const int8_t {constants[name]}[{values.size}]",
                f"{name}: {'x'.join(map(str, values.shape))}",
                c_array(values.ravel()),
            )
            for name, values in graph.constants.items()
        ],
        "layers": layers,
    }
    return CModel(
        files={
            name: render_template(f"model/{name}.j2", context) for name in ("model.c", "model.h")
        },
        runtime_sources=tuple(sorted(sources)),
        plan=plan,
        layers=tuple(
            _layer_report(graph, operator, kernels.get(operator.name))
            for operator in graph.operators
        ),
    )


def _layer_report(graph: Graph, operator: Operator, kernel: Kernel | None) -> LayerReport:
    packing = kernel.packing if kernel else None
    codes = operator.weights.codes if isinstance(operator, Weighted) else np.empty(0, dtype=np.int8)
    return LayerReport(
        name=operator.name,
        kind=type(operator).__name__,
        shape=graph.tensors[operator.output].shape,
        macs=graph.macs_of(operator),
        weights=int(codes.size),
        bits=operator.weights.bits if isinstance(operator, Weighted) else None,
        packing=packing.name if packing else None,
        weight_bytes=int(packing.pack(codes).size) if packing else 0,
        kernel=kernel.function if kernel else None,
    )
