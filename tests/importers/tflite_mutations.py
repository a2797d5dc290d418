"""Structured mutations of ``.tflite`` files: of what a file says, not of its bytes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

NUMBERS = (-(2**31), -129, -128, -3, -2, -1, 0, 1, 2, 3, 4, 5, 8, 127, 128, 255, 4096, 2**31 - 1)
SCALES = (0.0, -0.1, 1e-30, 1e-6, 0.003, 1 / 256, 1 / 128, 0.1, 1.0, 1e6, 1e30, float("inf"))


def tree_of(content: bytes) -> Any:
    """A file as objects that can be changed."""
    tree = schema.ModelT.InitFromPackedBuf(content, 0)
    tree.metadata = []
    for subgraph in tree.subgraphs:
        subgraph.inputs, subgraph.outputs = list(subgraph.inputs), list(subgraph.outputs)
        for tensor in subgraph.tensors:
            tensor.shape = [] if tensor.shape is None else list(tensor.shape)
        for operator in subgraph.operators:
            operator.inputs = [] if operator.inputs is None else list(operator.inputs)
            operator.outputs = [] if operator.outputs is None else list(operator.outputs)
    return tree


def packed(tree: Any) -> bytes:
    """The file of such objects."""
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _shape(tree: Any, draw: random.Random) -> None:
    tensor = draw.choice(draw.choice(tree.subgraphs).tensors)
    match draw.randrange(4):
        case 0 if tensor.shape:
            tensor.shape[draw.randrange(len(tensor.shape))] = draw.choice(NUMBERS)
        case 1:
            tensor.shape.insert(draw.randrange(len(tensor.shape) + 1), draw.choice((1, 1, 2)))
        case 2 if tensor.shape:
            tensor.shape.pop(draw.randrange(len(tensor.shape)))
        case _:
            draw.shuffle(tensor.shape)


def _grid(tree: Any, draw: random.Random) -> None:
    tensor = draw.choice(draw.choice(tree.subgraphs).tensors)
    grid = tensor.quantization
    if grid is None or grid.scale is None:
        tensor.quantization = schema.QuantizationParametersT(
            scale=[draw.choice(SCALES)], zeroPoint=[draw.choice(NUMBERS)]
        )
        return
    match draw.randrange(5):
        case 0:
            grid.scale = [draw.choice(SCALES)] * len(grid.scale)
        case 1:
            grid.zeroPoint = [draw.choice(NUMBERS)] * len(grid.scale)
        case 2:
            grid.scale = [float(each) * draw.choice((0.5, 1.01, 2.0, 100.0)) for each in grid.scale]
        case 3:
            grid.quantizedDimension = draw.choice(NUMBERS)
        case _:
            tensor.quantization = draw.choice((None, schema.QuantizationParametersT()))


def _type(tree: Any, draw: random.Random) -> None:
    tensor = draw.choice(draw.choice(tree.subgraphs).tensors)
    kinds = schema.TensorType
    tensor.type = draw.choice(
        (kinds.INT8, kinds.INT16, kinds.INT32, kinds.UINT8, kinds.FLOAT32, kinds.RESOURCE, 99)
    )


def _variable(tree: Any, draw: random.Random) -> None:
    tensor = draw.choice(draw.choice(tree.subgraphs).tensors)
    tensor.isVariable = not tensor.isVariable


def _wire(tree: Any, draw: random.Random) -> None:
    """Another tensor as input or output of an operator, or of the model."""
    subgraph = draw.choice(tree.subgraphs)
    lists = [subgraph.inputs, subgraph.outputs]
    for operator in subgraph.operators:
        lists += [operator.inputs, operator.outputs]
    wires = draw.choice(lists)
    index = draw.choice((-1, len(subgraph.tensors), *range(len(subgraph.tensors))))
    match draw.randrange(4):
        case 0 if wires:
            wires[draw.randrange(len(wires))] = index
        case 1 if wires:
            wires.pop(draw.randrange(len(wires)))
        case 2:
            wires.insert(draw.randrange(len(wires) + 1), index)
        case _:
            draw.shuffle(wires)


def _order(tree: Any, draw: random.Random) -> None:
    operators = draw.choice(tree.subgraphs).operators
    match draw.randrange(3):
        case 0 if operators:
            operators.pop(draw.randrange(len(operators)))
        case 1 if operators:
            operators.insert(draw.randrange(len(operators) + 1), copy.copy(draw.choice(operators)))
        case _:
            draw.shuffle(operators)


def _code(tree: Any, draw: random.Random) -> None:
    code = draw.choice(tree.operatorCodes)
    builtin = schema.BuiltinOperator
    code.builtinCode = draw.choice([code.builtinCode, draw.randrange(160), builtin.ARG_MAX])
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = draw.choice((1, 2, code.version, 99))


def _options(tree: Any, draw: random.Random) -> None:
    operators = [each for each in draw.choice(tree.subgraphs).operators if each.builtinOptions]
    if not operators:
        return
    options = draw.choice(operators).builtinOptions
    fields = [
        name for name, value in vars(options).items() if isinstance(value, bool | int | float)
    ]
    if fields:
        name = draw.choice(fields)
        value = getattr(options, name)
        changed: Any = draw.choice(NUMBERS)
        if isinstance(value, bool):
            changed = not value
        elif isinstance(value, float):
            changed = draw.choice(SCALES)
        setattr(options, name, changed)


def _constant(tree: Any, draw: random.Random) -> None:
    """Values of a constant, or their number."""
    buffers = [each for each in tree.buffers if each.data is not None and len(each.data)]
    if not buffers:
        return
    buffer = draw.choice(buffers)
    data = bytearray(np.asarray(buffer.data, np.uint8).tobytes())
    match draw.randrange(3):
        case 0:
            at = draw.randrange(0, len(data), 4)
            data[at : at + 4] = (draw.choice(NUMBERS) % 2**32).to_bytes(4, "little")
        case 1:
            data[draw.randrange(len(data))] = draw.randrange(256)
        case _:
            data = data[: draw.randrange(len(data))] if draw.random() < 0.5 else data * 2
    buffer.data = list(data)


def _buffer(tree: Any, draw: random.Random) -> None:
    tensor = draw.choice(draw.choice(tree.subgraphs).tensors)
    tensor.buffer = draw.choice((0, draw.randrange(len(tree.buffers)), len(tree.buffers)))


def _subgraphs(tree: Any, draw: random.Random) -> None:
    if draw.random() < 0.5 and len(tree.subgraphs) > 1:
        tree.subgraphs.pop()
    else:
        tree.subgraphs.append(copy.deepcopy(draw.choice(tree.subgraphs)))


MUTATIONS: tuple[tuple[Callable[[Any, random.Random], None], int], ...] = (
    (_shape, 4),
    (_grid, 4),
    (_type, 2),
    (_variable, 1),
    (_wire, 5),
    (_order, 2),
    (_code, 1),
    (_options, 4),
    (_constant, 4),
    (_buffer, 1),
    (_subgraphs, 1),
)
"""Each change, and how often it is drawn compared with the others."""


def mutated(content: bytes, draw: random.Random) -> bytes | None:
    """A file after one change or a few; None where the format cannot say what came out."""
    tree = tree_of(content)
    kinds, weights = zip(*MUTATIONS, strict=True)
    try:
        for change in draw.choices(kinds, weights, k=draw.choice((1, 1, 1, 2, 4))):
            change(tree, draw)
        return packed(tree)
    except Exception:  # noqa: BLE001 - numbers that the packer does not take
        return None
