"""From an integer graph to ``model.c`` and ``model.h``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinyedge
from tinyedge.exporters.c.kernels import Array, CodeOptions, Kernel, select_kernels
from tinyedge.exporters.c.kernels.kernel import Fields
from tinyedge.graph.fixed_point import INT32_MAX
from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import MemoryPlan, assignments, plan_memory
from tinyedge.graph.operators import Operator, Weighted
from tinyedge.graph.pruning import removed_channels
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
        removed: channels of its output that never change and were taken out.
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
    removed: int


@dataclass(frozen=True)
class CModel:
    """A model as C.

    Attributes:
        files: file name to content, ``model.c`` and ``model.h``.
        runtime_sources: the runtime's ``.c`` files that it calls.
        plan: of the arena.
        layers: the per-layer table.
        options: what it was made for.
        context: what templates of its code are given.
    """

    files: dict[str, str]
    runtime_sources: tuple[str, ...]
    plan: MemoryPlan
    layers: tuple[LayerReport, ...]
    options: CodeOptions
    context: Mapping[str, Any] = field(repr=False)

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


def _literal(value: Any) -> str:
    if value == -(2**31):
        return "INT32_MIN"
    return f"{int(value)}u" if value > INT32_MAX else str(int(value))


def c_array(values: Iterable[Any], indent: str = "    ") -> str:
    """Comma-separated literals, wrapped."""
    lines, line = [], indent
    for value in values:
        literal = _literal(value)
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


def struct_initializer(fields: Fields) -> str:
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
    """One call's values in the template."""

    identifier: str
    kernel: Kernel
    initializer: str
    call: str
    output: str
    output_size: int
    comment: str
    arrays: tuple[tuple[str, str, str], ...]
    keeps: list[str]


def array_definition(identifier: str, array: Array) -> tuple[str, str, str]:
    """(declaration, comment, values) of a constant array."""
    name = f"{identifier}_{array.name}"
    section = f"TE_WEIGHTS({name}) " if array.weights else ""
    declaration = f"{section}static const TE_FLASH {array.ctype} {name}"
    if array.values.ndim == 1:
        values = c_array(array.values)
    else:
        rows = ("{" + ", ".join(map(_literal, row)) + "}" for row in array.values)
        values = ",\n".join(f"    {row}" for row in rows)
    return f"{declaration}[{len(array.values)}]", array.comment, values


def export_c(graph: Graph, options: CodeOptions | None = None) -> CModel:
    """Generates the model's C code. The same graph and options give the same text.

    Args:
        graph: the graph.
        options: what the code is made for; by default the fastest on a Cortex-M4.
    """
    options = options or CodeOptions()
    names = [operator.name for operator in graph.operators]
    # A constant may be called as an operator is: its key is another.
    fixed = [f"{name} constant" for name in graph.constants]
    fixed += [f"{name} at first" for name in graph.states]
    identifiers = c_identifiers([*names, *fixed])
    constants = {name: identifiers[f"{name} constant"] for name in graph.constants}
    firsts = {
        name: state.initial
        for name, state in graph.states.items()
        if np.any(state.initial != state.initial.flat[0])
    }
    kernels = select_kernels(graph, identifiers, options)
    plan = plan_memory(
        graph,
        {name: kernel.scratch or 0 for name, kernel in kernels.items()},
        {name: kernel.leads for name, kernel in kernels.items()},
    )

    def place(name: str) -> str:
        if name in plan.states:
            return f"states + {plan.states[name]}"
        if name in constants:
            return constants[name]
        return f"arena + {plan.offsets[name]}"

    assigned: dict[int, list[str]] = {}
    for name, index in assignments(graph).items():
        assigned.setdefault(index, []).append(name)
    constants |= {name: identifiers[f"{name} at first"] for name in firsts}
    layers: list[_Layer] = []
    sources: set[str] = set()
    keeps_first: list[str] = []
    for index, operator in enumerate(graph.operators):
        keeps = [
            f"memcpy({place(name)}, {place(graph.states[name].next)}, {graph.tensors[name].size});"
            for name in assigned.get(index, [])
        ]
        kernel = kernels.get(operator.name)
        if not kernel:  # what was computed last is its result
            (layers[-1].keeps if layers else keeps_first).extend(keeps)
            continue
        sources.update(kernel.sources)
        identifier = identifiers[operator.name]
        inputs = list(map(place, operator.inputs))
        if kernel.takes_array:
            inputs = [f"(const int8_t *const[]){{{', '.join(inputs)}}}"]
        output = f"arena + {plan.offsets[operator.output]}"
        pointers = [*inputs, output]
        if kernel.scratch is not None:
            pointers.append(f"arena + {plan.scratch.get(operator.name, 0)}")
        layers.append(
            _Layer(
                identifier,
                kernel,
                struct_initializer(kernel.fields),
                f"{kernel.function}(&{identifier}_layer, {', '.join(pointers)});",
                output,
                graph.tensors[operator.output].size,
                f"{operator.name}: {type(operator).__name__}",
                tuple(array_definition(identifier, array) for array in kernel.arrays),
                keeps,
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
            for name, values in [*graph.constants.items(), *firsts.items()]
        ],
        "constant_names": constants,
        "resets": [
            f"memcpy({place(name)}, {constants[name]}, {firsts[name].size});"
            if name in firsts
            else f"memset({place(name)}, {state.initial.flat[0]}, {state.initial.size});"
            for name, state in graph.states.items()
        ],
        "keeps_first": keeps_first,
        "headers": sorted(
            {"te_runtime.h", *(layer.kernel.header for layer in layers)}
            | ({"te_memory.h"} if graph.states else set())
        ),
        "layers": layers,
    }
    return CModel(
        files={
            name: render_template(f"model/{name}.j2", context) for name in ("model.c", "model.h")
        },
        runtime_sources=tuple(sorted(sources)),
        plan=plan,
        layers=tuple(
            _layer_report(graph, operator, kernels.get(operator.name), removed)
            for operator, removed in zip(graph.operators, removed_channels(graph), strict=True)
        ),
        options=options,
        context=context,
    )


def _layer_report(
    graph: Graph, operator: Operator, kernel: Kernel | None, removed: int
) -> LayerReport:
    codes = operator.weights.codes if isinstance(operator, Weighted) else np.empty(0, dtype=np.int8)
    return LayerReport(
        name=operator.name,
        kind=type(operator).__name__,
        shape=graph.tensors[operator.output].shape,
        macs=graph.macs_of(operator),
        weights=int(codes.size),
        bits=operator.weights.bits if isinstance(operator, Weighted) else None,
        packing=kernel.packing if kernel else None,
        weight_bytes=kernel.weight_bytes if kernel else 0,
        kernel=kernel.function if kernel else None,
        removed=removed,
    )
