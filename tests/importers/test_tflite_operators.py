"""Operators of ``.tflite`` files, each in a file of its own, against TFLite-Micro."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from numpy.typing import NDArray
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.draws import each_seed
from tests.firmware.sanitizers import run_sanitized
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ModelError
from tinyedge.exporters.converted import write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.firmware.twin import Twin
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers import import_model
from tinyedge.importers.tflite import operators as importers
from tinyedge.importers.tflite.registry import HANDLERS
from tinyedge.importers.tflite.variables import VARIABLE_OPERATORS
from tinyedge.tflm.interpreter import Interpreter

GRID = (0.05, -7)
Grid = tuple[float, int]
Shape = tuple[int, ...]


class File:
    """A ``.tflite`` file under construction; its only input has the shape (1, *shape)."""

    def __init__(self, *shape: int, grid: Grid = GRID) -> None:
        self.tree = schema.ModelT(version=3, description="test", operatorCodes=[])
        self.tree.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[])
        self.tree.subgraphs = [self.graph]
        self.random = np.random.default_rng(0)
        self.input = self.tensor((1, *shape), grid)
        self.graph.inputs = [self.input]

    def tensor(
        self, shape: Shape, grid: Grid | None = GRID, values: NDArray[Any] | None = None
    ) -> int:
        """An int8 activation, or a constant of the values' type."""
        buffer = 0
        kind = schema.TensorType.INT8
        if values is not None:
            self.tree.buffers.append(schema.BufferT(data=list(values.tobytes())))
            buffer = len(self.tree.buffers) - 1
            if values.dtype == np.int32:
                kind = schema.TensorType.INT32
        quantization = None
        if grid:
            quantization = schema.QuantizationParametersT(scale=[grid[0]], zeroPoint=[grid[1]])
        name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(
            schema.TensorT(
                shape=list(shape), type=kind, buffer=buffer, name=name, quantization=quantization
            )
        )
        return len(self.graph.tensors) - 1

    def numbers(self, *values: int) -> int:
        """A constant of int32 with one axis."""
        return self.tensor((len(values),), None, np.array(values, np.int32))

    def constant(self, *shape: int, grid: Grid = GRID) -> int:
        """A random constant of int8."""
        return self.tensor(shape, grid, self.random.integers(-128, 128, shape).astype(np.int8))

    def add(
        self,
        name: str,
        inputs: Sequence[int],
        shapes: Sequence[Shape],
        options: Any = None,
        grid: Grid = GRID,
    ) -> list[int]:
        """An operator with outputs of these shapes; gives their indices."""
        code = getattr(schema.BuiltinOperator, name)
        self.tree.operatorCodes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=2)
        )
        outputs = [self.tensor(shape, grid) for shape in shapes]
        operator = schema.OperatorT(
            opcodeIndex=len(self.tree.operatorCodes) - 1, inputs=list(inputs), outputs=outputs
        )
        if options is not None:
            operator.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        self.graph.operators.append(operator)
        return outputs

    def bytes(self, output: int) -> bytes:
        self.graph.outputs = [output]
        builder = flatbuffers.Builder()
        builder.Finish(self.tree.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def transpose(shape: Shape, order: Shape) -> bytes:
    file = File(*shape)
    result = tuple((1, *shape)[axis] for axis in order)
    options = schema.TransposeOptionsT()
    (output,) = file.add("TRANSPOSE", [file.input, file.numbers(*order)], [result], options)
    return file.bytes(output)


def slice_(begin: Shape, size: Shape, result: Shape) -> bytes:
    file = File(5, 6, 4)
    numbers = [file.numbers(*begin), file.numbers(*size)]
    options = schema.SliceOptionsT()
    (output,) = file.add("SLICE", [file.input, *numbers], [result], options)
    return file.bytes(output)


def strided_slice(begin: Shape, end: Shape, strides: Shape, result: Shape, **masks: int) -> bytes:
    file = File(5, 6, 4)
    numbers = [file.numbers(*values) for values in (begin, end, strides)]
    options = schema.StridedSliceOptionsT(**masks)
    (output,) = file.add("STRIDED_SLICE", [file.input, *numbers], [result], options)
    return file.bytes(output)


def split(axis: int, count: int, chosen: int) -> bytes:
    file = File(4, 6, 8)
    shape = [1, 4, 6, 8]
    shape[axis] //= count
    options = schema.SplitOptionsT(numSplits=count)
    parts = file.add("SPLIT", [file.numbers(axis), file.input], [tuple(shape)] * count, options)
    return file.bytes(_both(file, parts, chosen, tuple(shape)))


def _both(file: File, parts: list[int], chosen: int, shape: Shape) -> int:
    """The sum of a part and the first one."""
    return file.add("ADD", [parts[0], parts[chosen]], [shape], schema.AddOptionsT(), (0.1, 3))[0]


def split_v(sizes: Shape, axis: int, chosen: int) -> bytes:
    file = File(4, 6, 8)
    whole = [1, 4, 6, 8][axis]
    known = [whole - sum(sizes) - 1 if size == -1 else size for size in sizes]
    shapes = []
    for size in known:
        shape = [1, 4, 6, 8]
        shape[axis] = size
        shapes.append(tuple(shape))
    options = schema.SplitVOptionsT(numSplits=len(sizes))
    inputs = [file.input, file.numbers(*sizes), file.numbers(axis)]
    return file.bytes(file.add("SPLIT_V", inputs, shapes, options)[chosen])


def unpack(axis: int, chosen: int) -> bytes:
    file = File(3, 2, 4)
    shape = [1, 3, 2, 4]
    count = shape.pop(axis)
    options = schema.UnpackOptionsT(num=count, axis=axis)
    parts = file.add("UNPACK", [file.input], [tuple(shape)] * count, options)
    return file.bytes(_both(file, parts, chosen, tuple(shape)))


def batch_of_one() -> bytes:
    """Taken out, and brought back."""
    file = File(1, 9)
    (flat,) = file.add("UNPACK", [file.input], [(1, 9)], schema.UnpackOptionsT(num=1, axis=0))
    (double,) = file.add("ADD", [flat, flat], [(1, 9)], schema.AddOptionsT(), (0.1, 3))
    options = schema.PackOptionsT(valuesCount=1, axis=0)
    return file.bytes(file.add("PACK", [double], [(1, 1, 9)], options, (0.1, 3))[0])


def pack(axis: int, count: int) -> bytes:
    file = File(3, 4)
    parts = [file.input] + [file.constant(1, 3, 4) for _ in range(count - 1)]
    shape = [1, 3, 4]
    shape.insert(axis if axis > 0 else 4 + axis, count)
    options = schema.PackOptionsT(valuesCount=count, axis=axis)
    (output,) = file.add("PACK", parts, [tuple(shape)], options)
    return file.bytes(output)


def blocks(name: str, shape: Shape, result: Shape, size: int) -> bytes:
    file = File(*shape)
    kind = {"SPACE_TO_DEPTH": schema.SpaceToDepthOptionsT, "DEPTH_TO_SPACE": None}[name]
    options = (kind or schema.DepthToSpaceOptionsT)(blockSize=size)
    (output,) = file.add(name, [file.input], [(1, *result)], options)
    return file.bytes(output)


def mean(axes: Shape, result: Shape, grid: Grid = (0.02, 4), *, keep: bool = False) -> bytes:
    file = File(5, 6, 4)
    options = schema.ReducerOptionsT(keepDims=keep)
    (output,) = file.add("MEAN", [file.input, file.numbers(*axes)], [result], options, grid)
    return file.bytes(output)


def extreme(name: str, *, constant: bool) -> bytes:
    file = File(3, 2, 4)
    other = file.constant(4) if constant else file.input
    if not constant:
        options = schema.TransposeOptionsT()
        (turned,) = file.add(
            "RESHAPE", [file.input, file.numbers(1, 24)], [(1, 24)], schema.ReshapeOptionsT()
        )
        (moved,) = file.add(
            "TRANSPOSE", [file.input, file.numbers(0, 3, 2, 1)], [(1, 4, 2, 3)], options
        )
        (first,) = file.add(
            "RESHAPE", [moved, file.numbers(1, 24)], [(1, 24)], schema.ReshapeOptionsT()
        )
        options = schema.MaximumMinimumOptionsT()
        return file.bytes(file.add(name, [turned, first], [(1, 24)], options)[0])
    options = schema.MaximumMinimumOptionsT()
    return file.bytes(file.add(name, [file.input, other], [(1, 3, 2, 4)], options)[0])


def grouped(channels: int, out: int, each: int) -> bytes:
    file = File(5, 6, channels)
    weights = file.constant(out, 3, 3, each)
    scales = file.random.uniform(0.002, 0.004, out).tolist()
    file.graph.tensors[weights].quantization = schema.QuantizationParametersT(
        scale=scales, zeroPoint=[0] * out, quantizedDimension=0
    )
    bias = file.tensor((out,), None, file.random.integers(-3000, 3000, out).astype(np.int32))
    options = schema.Conv2DOptionsT(
        strideH=1, strideW=2, dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=1
    )
    shape = [(1, 5, 3, out)]
    (output,) = file.add("CONV_2D", [file.input, weights, bias], shape, options, (0.1, -20))
    return file.bytes(output)


def resize(name: str, size: Shape, **options: bool) -> bytes:
    file = File(4, 5, 3)
    table = {"RESIZE_BILINEAR": schema.ResizeBilinearOptionsT}
    kind = table.get(name, schema.ResizeNearestNeighborOptionsT)
    inputs = [file.input, file.numbers(*size)]
    (output,) = file.add(name, inputs, [(1, *size, 3)], kind(**options))
    return file.bytes(output)


def prelu(*slopes: int) -> bytes:
    file = File(4, 5, 3)
    inputs = [file.input, file.constant(*slopes, grid=(0.01, 9))]
    (output,) = file.add("PRELU", inputs, [(1, 4, 5, 3)], None, (0.06, -10))
    return file.bytes(output)


def hard_swish() -> bytes:
    file = File(4, 5, 3)
    options = schema.HardSwishOptionsT()
    (output,) = file.add("HARD_SWISH", [file.input], [(1, 4, 5, 3)], options, (0.03, -100))
    return file.bytes(output)


def transpose_conv(kernel: Shape, stride: Shape, result: Shape, *, same: bool) -> bytes:
    file = File(4, 5, 3)
    out = 6
    weights = file.constant(out, *kernel, 3)
    scales = file.random.uniform(0.002, 0.004, out).tolist()
    file.graph.tensors[weights].quantization = schema.QuantizationParametersT(
        scale=scales, zeroPoint=[0] * out, quantizedDimension=0
    )
    bias = file.tensor((out,), None, file.random.integers(-3000, 3000, out).astype(np.int32))
    shape = (1, *result, out)
    options = schema.TransposeConvOptionsT(
        padding=0 if same else 1, strideH=stride[0], strideW=stride[1]
    )
    inputs = [file.numbers(*shape), weights, file.input, bias]
    (output,) = file.add("TRANSPOSE_CONV", inputs, [shape], options, (0.1, -20))
    return file.bytes(output)


def batch_matmul(first: Shape, second: Shape, *, x: bool = False, y: bool = False) -> bytes:
    """The input, reshaped, and a sum of it with constants of the other shape, or constants."""
    rows, depth = first[-2:] if not x else first[:-3:-1]
    columns = second[-2] if y else second[-1]
    lead = first[:-2] if np.prod(first[:-2]) > np.prod(second[:-2]) else second[:-2]
    file = File(int(np.prod(first[1:])))
    options = schema.BatchMatMulOptionsT(adjX=x, adjY=y)
    left, shape = file.input, schema.ReshapeOptionsT()
    (left,) = file.add("RESHAPE", [left, file.numbers(*first)], [first], shape)
    right = file.constant(*second, grid=(0.02, 5))
    if len(second) > 2 and np.prod(first) == np.prod(second):
        (turned,) = file.add("RESHAPE", [file.input, file.numbers(*second)], [second], shape)
        add = schema.AddOptionsT()
        (right,) = file.add("ADD", [turned, right], [second], add, (0.04, 9))
    grid = (0.002 * depth, -3)
    result = (*lead, rows, columns)
    (output,) = file.add("BATCH_MATMUL", [left, right], [result], options, grid)
    return file.bytes(output)


def place(name: str, shape: Shape, axis: int, result: Shape) -> bytes:
    file = File(*shape)
    kind = {"ARG_MAX": schema.ArgMaxOptionsT, "ARG_MIN": schema.ArgMinOptionsT}[name]
    options = kind(outputType=schema.TensorType.INT32)
    (output,) = file.add(name, [file.input, file.numbers(axis)], [(1, *result)], options)
    file.graph.tensors[output].type = schema.TensorType.INT32
    file.graph.tensors[output].quantization = None
    return file.bytes(output)


def log_softmax() -> bytes:
    file = File(2, 9)
    options = schema.LogSoftmaxOptionsT()
    grid = (1 / 16, 127)
    (output,) = file.add("LOG_SOFTMAX", [file.input], [(1, 2, 9)], options, grid)
    return file.bytes(output)


FILES: dict[str, Callable[[], bytes]] = {
    "transpose": lambda: transpose((3, 4, 5), (0, 3, 1, 2)),
    "transpose of four axes": lambda: transpose((2, 3, 4, 2), (0, 3, 1, 4, 2)),
    "transpose of the batch": lambda: transpose((3, 1, 5), (2, 3, 0, 1)),
    "transpose of ones": lambda: transpose((3, 1, 5), (2, 0, 1, 3)),
    "slice": lambda: slice_((0, 1, 2, 0), (1, 3, -1, 2), (1, 3, 4, 2)),
    "slice of rows": lambda: slice_((0, 2, 0, 0), (-1, -1, -1, -1), (1, 3, 6, 4)),
    "strided slice": lambda: strided_slice(
        (0, 1, 5, 0), (1, 5, 0, 4), (1, 2, 1, 3), (1, 2, 1, 2), endMask=4
    ),
    "strided slice from the end": lambda: strided_slice(
        (0, -2, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1), (1, 2, 6, 4), beginMask=13, endMask=15
    ),
    "strided slice of one row": lambda: strided_slice(
        (0, -1, 0, 0), (1, 0, 6, 4), (1, 1, 1, 1), (1, 6, 4), shrinkAxisMask=2
    ),
    "strided slice of the first row": lambda: strided_slice(
        (0, -1, 0, 0), (1, 0, 6, 4), (1, 1, 1, 1), (1, 6, 4), shrinkAxisMask=2, beginMask=2
    ),
    "strided slice backwards": lambda: strided_slice(
        (0, 4, 5, 3), (1, 1, 0, 0), (1, -1, -2, -3), (1, 3, 3, 1)
    ),
    "strided slice to the beginning": lambda: strided_slice(
        (0, 0, 4, 0), (1, 0, 1, 0), (1, -1, -2, -1), (1, 5, 2, 4), beginMask=10, endMask=10
    ),
    "split": lambda: split(3, 4, 2),
    "split of rows": lambda: split(1, 2, 1),
    "split by sizes": lambda: split_v((1, 3, 2), 2, 1),
    "split by the rest": lambda: split_v((3, -1, 1), 3, 1),
    "unpack": lambda: unpack(1, 2),
    "unpack of the last axis": lambda: unpack(3, 3),
    "batch of one": batch_of_one,
    "pack": lambda: pack(1, 3),
    "pack of many": lambda: pack(-1, 23),
    "space to depth": lambda: blocks("SPACE_TO_DEPTH", (4, 6, 3), (2, 3, 12), 2),
    "depth to space": lambda: blocks("DEPTH_TO_SPACE", (2, 3, 18), (6, 9, 2), 3),
    "depth to space of one cell": lambda: blocks("DEPTH_TO_SPACE", (1, 1, 8), (2, 2, 2), 2),
    "mean of rows": lambda: mean((1,), (1, 6, 4)),
    "mean of columns": lambda: mean((2,), (1, 5, 4)),
    "mean of channels": lambda: mean((3,), (1, 5, 6, 1), keep=True),
    "mean of rows and channels": lambda: mean((3, 1), (1, 6)),
    "mean on the same grid": lambda: mean((2,), (1, 5, 4), GRID),
    "mean of cells on the same grid": lambda: mean((1, 2), (1, 4), GRID),
    "maximum": lambda: extreme("MAXIMUM", constant=False),
    "minimum": lambda: extreme("MINIMUM", constant=False),
    "maximum with constants": lambda: extreme("MAXIMUM", constant=True),
    "minimum with constants": lambda: extreme("MINIMUM", constant=True),
    "nearest": lambda: resize("RESIZE_NEAREST_NEIGHBOR", (8, 10)),
    "nearest with corners": lambda: resize("RESIZE_NEAREST_NEIGHBOR", (9, 3), alignCorners=True),
    "bilinear": lambda: resize("RESIZE_BILINEAR", (8, 10), halfPixelCenters=True),
    "bilinear with corners": lambda: resize("RESIZE_BILINEAR", (7, 2), alignCorners=True),
    "prelu": lambda: prelu(1, 1, 3),
    "prelu of cells": lambda: prelu(4, 5, 3),
    "hard swish": hard_swish,
    "log softmax": log_softmax,
    "matrix product": lambda: batch_matmul((1, 3, 7), (1, 7, 4)),
    "matrix product of a row": lambda: batch_matmul((1, 12), (12, 5)),
    "matrix product of activations": lambda: batch_matmul((1, 4, 6), (1, 6, 4)),
    "matrix product, both turned": lambda: batch_matmul((1, 2, 7, 3), (1, 2, 4, 7), x=True, y=True),
    "matrix product of groups": lambda: batch_matmul((1, 3, 4, 5), (1, 3, 4, 5), y=True),
    "matrix product of groups, turned": lambda: batch_matmul((1, 3, 5, 4), (1, 3, 5, 4), x=True),
    "matrix product with one group": lambda: batch_matmul((1, 3, 4, 5), (1, 1, 5, 6)),
    "matrix products of one group": lambda: batch_matmul((1, 1, 4, 5), (1, 3, 6, 5), y=True),
    "place of the largest": lambda: place("ARG_MAX", (9,), 1, ()),
    "place of the smallest": lambda: place("ARG_MIN", (3, 4, 5), -1, (3, 4)),
    "place along rows": lambda: place("ARG_MAX", (300, 2, 3), 1, (2, 3)),
    "transposed convolution": lambda: transpose_conv((3, 3), (2, 2), (8, 10), same=True),
    "transposed by one": lambda: transpose_conv((3, 2), (1, 1), (4, 5), same=True),
    "transposed, odd": lambda: transpose_conv((4, 3), (2, 3), (7, 15), same=True),
    "transposed, valid": lambda: transpose_conv((3, 4), (2, 3), (9, 16), same=False),
    "groups": lambda: grouped(8, 12, 2),
    "many groups": lambda: grouped(24, 24, 2),
    "groups of one channel": lambda: grouped(6, 12, 1),
}


def samples_of(graph: Graph, count: int) -> NDArray[np.int8]:
    samples = np.random.default_rng(1).integers(-128, 128, (count, *graph.input_tensor.shape))
    samples[0], samples[1] = -128, 127
    return samples.astype(np.int8)


def check(content: bytes, folder: Path) -> Graph:
    """TFLite-Micro gives the graph's bytes for the file, and for the export, which comes back."""
    (folder / "model.tflite").write_bytes(content)
    graph = import_model(folder / "model.tflite").graph
    samples = samples_of(graph, 20)
    expected = Interpreter(content).run(samples)[0]
    found: NDArray[Any] = reference.run(graph, samples)
    if graph.int32_results:
        found = reference.as_int32(found)
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    exported = export_tflite(graph)
    np.testing.assert_array_equal(Interpreter(exported).run(samples)[0], found)
    (folder / "again.tflite").write_bytes(exported)
    assert import_model(folder / "again.tflite").graph.hash == graph.hash
    return graph


@pytest.mark.parametrize("name", FILES)
def test_operators_give_the_bytes_of_tflite_micro(name: str, tmp_path: Path) -> None:
    check(FILES[name](), tmp_path)


@pytest.mark.needs_tool
@pytest.mark.parametrize(
    "name", ["many groups", "bilinear", "prelu", "nearest", "place along rows"]
)
def test_their_c_does_too(name: str, tmp_path: Path) -> None:
    graph = check(FILES[name](), tmp_path)
    samples = samples_of(graph, 9)
    twin = Twin(write_converted(graph, tmp_path / "converted", "test"))
    np.testing.assert_array_equal(twin.run(samples), reference.run(graph, samples))


@pytest.mark.needs_tool
@each_seed(40)
def test_random_graphs_of_all_kinds(seed: int, tmp_path: Path) -> None:
    """The reference, the twin and TFLite-Micro with the export."""
    built = RandomGraph(seed, all_kinds=True)
    samples = built.inputs(10)
    expected = reference.run(built.graph, samples)
    twin = Twin(write_converted(built.graph, tmp_path / "converted", "test"))
    np.testing.assert_array_equal(twin.run(samples), expected)
    with contextlib.suppress(ModelError):  # a padding that the format has not
        found = Interpreter(export_tflite(built.graph)).run(samples)[0]
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.needs_tool
@pytest.mark.parametrize(
    "name", ["bilinear", "prelu", "log softmax", "strided slice backwards", "place of the smallest"]
)
def test_their_c_is_clean_under_sanitizers(name: str, tmp_path: Path) -> None:
    graph = check(FILES[name](), tmp_path)
    model = write_converted(graph, tmp_path / "converted", "test")
    found = run_sanitized(model, samples_of(graph, 9), tmp_path / "program")
    np.testing.assert_array_equal(found, reference.run(graph, samples_of(graph, 9)))


def _other_axis(file: File) -> list[int]:
    options = schema.SplitOptionsT(numSplits=2)
    return file.add("SPLIT", [file.numbers(2), file.input], [(1, 2, 4, 6)] * 2, options)


def _other_count(file: File) -> list[int]:
    options = schema.UnpackOptionsT(num=3, axis=1)
    return file.add("UNPACK", [file.input], [(1, 4, 6)] * 4, options)


def _other_inputs(file: File) -> list[int]:
    options = schema.PackOptionsT(valuesCount=3, axis=1)
    return file.add("PACK", [file.input] * 2, [(1, 2, 4, 4, 6)], options)


def _other_rank(file: File) -> list[int]:
    numbers, options = file.numbers(0, 2, 1, 3), schema.TransposeOptionsT()
    (moved,) = file.add("TRANSPOSE", [file.input, numbers], [(1, 4, 4, 6)], options)
    return file.add("TRANSPOSE", [moved, file.numbers(0, 3, 1, 2)], [(1, 4, 24)], options)


def _other_blocks(file: File) -> list[int]:
    options = schema.DepthToSpaceOptionsT(blockSize=1)
    return file.add("DEPTH_TO_SPACE", [file.input], [(1, 1, 16, 6)], options)


def _backwards_to_one(file: File) -> list[int]:
    numbers = [file.numbers(*values) for values in ((0, 1, 0, 0), (1, 0, 4, 6), (1, -1, 1, 1))]
    options = schema.StridedSliceOptionsT(shrinkAxisMask=2)
    return file.add("STRIDED_SLICE", [file.input, *numbers], [(1, 4, 6)], options)


def _crossed_groups(file: File) -> list[int]:
    shape = schema.ReshapeOptionsT()
    (first,) = file.add("RESHAPE", [file.input, file.numbers(1)], [(1, 2, 1, 6, 8)], shape)
    options = schema.BatchMatMulOptionsT()
    second = file.constant(1, 1, 2, 8, 3)
    return file.add("BATCH_MATMUL", [first, second], [(1, 2, 2, 6, 3)], options)


def _other_axes_of_a_maximum(file: File) -> list[int]:
    options = schema.MaximumMinimumOptionsT()
    inputs = [file.input, file.constant(6)]
    return file.add("MAXIMUM", inputs, [(1, 4, 4, 6, 1)], options)


def _values_in_a_result(file: File) -> list[int]:
    (output,) = file.add("HARD_SWISH", [file.input], [(1, 4, 4, 6)], schema.HardSwishOptionsT())
    file.graph.tensors[output].buffer = file.graph.tensors[file.constant(1, 4, 4, 6)].buffer
    return [output]


@pytest.mark.parametrize(
    "build",
    [
        _other_axis,
        _other_count,
        _other_inputs,
        _other_rank,
        _other_blocks,
        _backwards_to_one,
        _crossed_groups,
        _other_axes_of_a_maximum,
        _values_in_a_result,
    ],
)
def test_what_contradicts_itself_is_refused(
    build: Callable[[File], list[int]], tmp_path: Path
) -> None:
    """Shapes that do not follow, and counts that are not those of the tensors."""
    file = File(4, 4, 6)
    (tmp_path / "model.tflite").write_bytes(file.bytes(build(file)[0]))
    with pytest.raises(ModelError, match=r"operator [01]|a constant that is"):
        import_model(tmp_path / "model.tflite")


def test_what_is_one_cell_is_not_moved(tmp_path: Path) -> None:
    for name in ("transpose of ones", "depth to space of one cell"):
        kinds = {type(each) for each in check(FILES[name](), tmp_path).operators}
        assert ops.Transpose not in kinds, name


def test_tiles_are_joined(tmp_path: Path) -> None:
    """TFLite-Micro has no TILE."""
    file = File(3, 2, 4)
    (output,) = file.add(
        "TILE", [file.input, file.numbers(1, 2, 1, 13)], [(1, 6, 2, 52)], schema.TileOptionsT()
    )
    (tmp_path / "model.tflite").write_bytes(file.bytes(output))
    graph = import_model(tmp_path / "model.tflite").graph
    samples = np.random.default_rng(1).integers(-128, 128, (5, 3, 2, 4)).astype(np.int8)
    np.testing.assert_array_equal(reference.run(graph, samples), np.tile(samples, (1, 2, 1, 13)))
    exported = Interpreter(export_tflite(graph)).run(samples)[0]
    np.testing.assert_array_equal(exported, np.tile(samples, (1, 2, 1, 13)))


def test_every_operator_is_in_the_documentation() -> None:
    assert callable(importers.build_graph)  # all of them are registered
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    named = set(re.findall(r"[A-Z][A-Z0-9_]+", page))
    assert {*HANDLERS, *VARIABLE_OPERATORS} <= named
