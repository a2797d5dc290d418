"""From an integer graph to ``host.c``: the model for the vector kernels of this machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

import tinyedge
from tinyedge.exporters.c.export import array_definition, c_array, c_identifiers, struct_initializer
from tinyedge.exporters.c.kernels import CodeOptions, Kernel
from tinyedge.exporters.c.kernels.plain import part_copy, plain_kernel
from tinyedge.graph.graph import Graph
from tinyedge.graph.memory import assignments, is_whole_input, plan_memory
from tinyedge.graph.operators import Operator, Part, Weighted
from tinyedge.templates import render_template

HOST_FILE = "host.c"

_KINDS = {
    "te_conv2d_s8": "TE_HOST_CONV2D",
    "te_depthwise_conv2d_s8": "TE_HOST_DEPTHWISE_CONV2D",
    "te_fully_connected_s8": "TE_HOST_FULLY_CONNECTED",
    "te_add_s8": "TE_HOST_ADD",
}
"""Plain kernels that vector kernels stand in for, and what those call them; see ``te_host.h``."""


@dataclass(frozen=True)
class HostModel:
    """A model as C for this machine.

    Attributes:
        text: of ``host.c``.
        runtime_sources: the runtime's ``.c`` files that it calls.
        arena: bytes of a sample's activations.
    """

    text: str
    runtime_sources: tuple[str, ...]
    arena: int


@dataclass(frozen=True)
class _Step:
    """One call's values in the template."""

    identifier: str
    kernel: Kernel
    initializer: str
    comment: str
    arrays: tuple[tuple[str, str, str], ...]
    kind: str
    call: str
    inputs: tuple[str, ...]
    output: str


def export_host(graph: Graph) -> HostModel:
    """Generates the model's C code for this machine; the same graph gives the same text."""
    names = [operator.name for operator in graph.operators]
    fixed = [f"{name} constant" for name in graph.constants]
    fixed += [f"{name} at first" for name in graph.states]
    identifiers = c_identifiers([*names, *fixed])
    kernels = {
        operator.name: kernel
        for operator in graph.operators
        if (kernel := _kernel(graph, operator, identifiers[operator.name]))
    }
    plan = plan_memory(graph, views=is_whole_input)

    def place(name: str) -> str:
        if name in graph.constants:
            return f"{{TE_HOST_CONSTANT, 0, 0, {identifiers[f'{name} constant']}}}"
        memory = "TE_HOST_STATES" if name in plan.states else "TE_HOST_ARENA"
        offset = plan.states[name] if name in plan.states else plan.offsets[name]
        return f"{{{memory}, {offset}, {graph.tensors[name].size}, 0}}"

    steps: list[_Step] = []
    after: dict[str, int] = {}
    behind = assignments(graph)
    for index, operator in enumerate(graph.operators):
        if kernel := kernels.get(operator.name):
            identifier = identifiers[operator.name]
            inputs = [f"inputs[{at}]" for at in range(len(operator.inputs))]
            given = ["inputs"] if kernel.takes_array else inputs
            given += ["output"] if kernel.scratch is None else ["output", "scratch"]
            steps.append(
                _Step(
                    identifier,
                    kernel,
                    struct_initializer(kernel.fields),
                    f"{operator.name}: {type(operator).__name__}",
                    tuple(array_definition(identifier, array) for array in kernel.arrays),
                    _KINDS.get(kernel.function, "TE_HOST_OTHER"),
                    f"{kernel.function}(&{identifier}_layer, {', '.join(given)});",
                    tuple(map(place, operator.inputs)),
                    place(operator.output),
                )
            )
        # A step without code follows from the one before.
        after |= {name: len(steps) - 1 for name, at in behind.items() if at == index}
    firsts = {
        name: state.initial
        for name, state in graph.states.items()
        if np.any(state.initial != state.initial.flat[0])
    }
    arrays = [
        *((f"{name} constant", name, values) for name, values in graph.constants.items()),
        *((f"{name} at first", name, values) for name, values in firsts.items()),
    ]
    context = {
        "version": tinyedge.__version__,
        "graph": graph,
        "headers": sorted({"te_runtime.h", *(kernel.header for kernel in kernels.values())}),
        "constants": [
            (
                f"static const int8_t {identifiers[key]}[{values.size}]",
                f"{name}: {'x'.join(map(str, values.shape))}",
                c_array(values.ravel()),
            )
            for key, name, values in arrays
        ],
        "layers": steps,
        "states": [
            {
                "tensor": place(name),
                "next": place(state.next),
                "initial": identifiers[f"{name} at first"] if name in firsts else "0",
                "fill": int(state.initial.flat[0]),
                "after": after[name],
            }
            for name, state in graph.states.items()
        ],
        "input": place(graph.input),
        "output": place(graph.output),
        "plan": plan,
        "scratch": max((kernel.scratch or 0 for kernel in kernels.values()), default=0),
    }
    sources = {source for kernel in kernels.values() for source in kernel.sources}
    text = render_template("host/host.c.j2", context)
    return HostModel(text, tuple(sorted(sources)), plan.size)


def _kernel(graph: Graph, operator: Operator, identifier: str) -> Kernel | None:
    """The plain kernel of an operator, whose weights are left in bytes: here is room for them.

    Parts are always copied: of several samples, those of one input lie behind each other.
    """
    if isinstance(operator, Weighted):
        whole = dataclasses.replace(operator.weights, bits=8)
        operator = dataclasses.replace(operator, weights=whole)
    inputs, output = graph.inputs_of(operator), graph.tensors[operator.output]
    if isinstance(operator, Part):
        return part_copy(operator, output)
    return plain_kernel(operator, inputs, output, identifier, CodeOptions())
