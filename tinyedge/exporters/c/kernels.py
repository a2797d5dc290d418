"""Which C kernel computes an operator, and with which constants.

This is the only place that ties operators to kernels: a faster kernel is another ``Kernel``, chosen
here; the generated code that calls it has the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from tinyedge.exporters.c.packing import Packing, packing_for
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Tensor

Fields = Mapping[str, "int | str | Sequence[int | Fields] | Fields"]
"""Members of a C struct, nested where the struct is."""


@dataclass(frozen=True)
class Kernel:
    """One call of the generated code.

    Attributes:
        function: C function, defined in ``<function>.c`` of the runtime.
        struct: type of its first argument, the layer's constants.
        fields: members of that struct.
        packing: of the weights, where the operator has weights.
        scratch: bytes of scratch buffer; None for a kernel without a scratch argument.
        table: 256 constant results, for a kernel that looks them up in ``<identifier>_table``.
        takes_array: whether the inputs are passed as one array of pointers.
    """

    function: str
    struct: str
    fields: Fields
    packing: Packing | None = None
    scratch: int | None = None
    table: NDArray[np.int8] | None = None
    takes_array: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The runtime's source files that this call needs."""
        unpack = (f"te_unpack_{self.packing.name}.c",) if self.packing else ()
        return (f"{self.function}.c", *unpack)


@dataclass(frozen=True)
class Choice:
    """What the caller decides for one call.

    Attributes:
        identifier: prefix of the layer's arrays in C.
        ternary_packing: one of ``TERNARY_PACKINGS``.
    """

    identifier: str
    ternary_packing: str


def select_kernel(graph: Graph, operator: ops.Operator, choice: Choice) -> Kernel | None:
    """The kernel for an operator, or None for one that needs no code."""
    return _kernel(operator, graph.inputs_of(operator), graph.tensors[operator.output], choice)


@singledispatch
def _kernel(
    operator: ops.Operator, inputs: list[Tensor], output: Tensor, choice: Choice
) -> Kernel | None:
    raise NotImplementedError(type(operator).__name__)


def _shape(tensor: Tensor) -> Fields:
    height, width, channels = tensor.shape
    return {"height": height, "width": width, "channels": channels}


def _clamp(clamp: ops.Pair) -> Fields:
    return {"clamp_min": clamp[0], "clamp_max": clamp[1]}


def _activation(source: Tensor, output: Tensor, clamp: ops.Pair) -> Fields:
    return {
        "input_offset": -source.quantization.zero_point,
        "output_offset": output.quantization.zero_point,
        **_clamp(clamp),
    }


def _window(operator: ops.Windowed, kernel: ops.Pair, dilation: ops.Pair) -> Fields:
    return {
        "height": kernel[0],
        "width": kernel[1],
        "stride_height": operator.stride[0],
        "stride_width": operator.stride[1],
        "dilation_height": dilation[0],
        "dilation_width": dilation[1],
        "padding_top": operator.padding[0],
        "padding_left": operator.padding[2],
    }


def _weights(operator: ops.Weighted, packing: Packing, choice: Choice) -> Fields:
    return {
        "packed": f"{choice.identifier}_weights",
        "unpack": f"te_unpack_{packing.name}",
        "step": "0" if operator.weights.steps is None else f"{choice.identifier}_step",
        "bias": f"{choice.identifier}_bias",
        "mantissa": f"{choice.identifier}_mantissa",
        "shift": f"{choice.identifier}_shift",
    }


def _scratch(operator: ops.Weighted, packing: Packing) -> int:
    """One output channel's weights as int8."""
    return operator.weights.codes[0].size if packing.needs_scratch else 0


@_kernel.register
def _conv2d(operator: ops.Conv2D, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    packing = packing_for(operator.weights.bits, choice.ternary_packing)
    _, height, width, _ = operator.weights.codes.shape
    fields: Fields = {
        "input": _shape(inputs[0]),
        "output": _shape(output),
        "window": _window(operator, (height, width), operator.dilation),
        "activation": _activation(inputs[0], output, operator.clamp),
        "weights": _weights(operator, packing, choice),
    }
    return Kernel("te_conv2d_s8", "te_conv2d", fields, packing, _scratch(operator, packing))


@_kernel.register
def _depthwise_conv2d(
    operator: ops.DepthwiseConv2D, inputs: list[Tensor], output: Tensor, choice: Choice
) -> Kernel:
    packing = packing_for(operator.weights.bits, choice.ternary_packing)
    channels, height, width = operator.weights.codes.shape
    fields: Fields = {
        "input": _shape(inputs[0]),
        "output": _shape(output),
        "window": _window(operator, (height, width), operator.dilation),
        "activation": _activation(inputs[0], output, operator.clamp),
        "weights": _weights(operator, packing, choice),
        "multiplier": channels // inputs[0].shape[2],
    }
    return Kernel(
        "te_depthwise_conv2d_s8",
        "te_depthwise_conv2d",
        fields,
        packing,
        _scratch(operator, packing),
    )


@_kernel.register
def _fully_connected(
    operator: ops.FullyConnected, inputs: list[Tensor], output: Tensor, choice: Choice
) -> Kernel:
    packing = packing_for(operator.weights.bits, choice.ternary_packing)
    fields: Fields = {
        "inputs": inputs[0].size,
        "outputs": output.size,
        "activation": _activation(inputs[0], output, operator.clamp),
        "weights": _weights(operator, packing, choice),
    }
    return Kernel(
        "te_fully_connected_s8",
        "te_fully_connected",
        fields,
        packing,
        _scratch(operator, packing),
    )


def _elementwise(operator: ops.Elementwise, inputs: list[Tensor]) -> Fields:
    """The loops over the output, and how far each input moves in each of them."""
    names = ("height", "width", "channels")
    axes = operator.axes([tensor.shape for tensor in inputs])
    axes = [(1, (False, False))] * (len(names) - len(axes)) + axes
    strides: list[Fields] = []
    for which in range(len(inputs)):
        step, steps = 1, []
        for size, repeated in reversed(axes):
            steps.append(0 if repeated[which] or size == 1 else step)
            step *= 1 if repeated[which] else size
        strides.append(dict(zip(names, reversed(steps), strict=True)))
    sizes = [size for size, _ in axes]
    return {"output": dict(zip(names, sizes, strict=True)), "stride": strides}


@_kernel.register
def _add(operator: ops.Add, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    first, second, result = operator.multipliers(inputs, output)
    fields: Fields = {
        "elements": _elementwise(operator, inputs),
        "sign": -1 if isinstance(operator, ops.Sub) else 1,
        "input_offset": [-tensor.quantization.zero_point for tensor in inputs],
        "mantissa": [first[0], second[0]],
        "shift": [first[1], second[1]],
        "output_mantissa": result[0],
        "output_shift": result[1],
        "output_offset": output.quantization.zero_point,
        **_clamp(operator.clamp),
    }
    return Kernel("te_add_s8", "te_add", fields)


@_kernel.register
def _mul(operator: ops.Mul, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    mantissa, shift = operator.multiplier(inputs, output)
    fields: Fields = {
        "elements": _elementwise(operator, inputs),
        "input_offset": [-tensor.quantization.zero_point for tensor in inputs],
        "mantissa": mantissa,
        "shift": shift,
        "output_offset": output.quantization.zero_point,
        **_clamp(operator.clamp),
    }
    return Kernel("te_mul_s8", "te_mul", fields)


@_kernel.register
def _concatenation(
    operator: ops.Concatenation, inputs: list[Tensor], output: Tensor, choice: Choice
) -> Kernel:
    fields: Fields = {
        "count": len(inputs),
        "repeats": math.prod(output.shape[: operator.axis]),
        "bytes": [math.prod(tensor.shape[operator.axis :]) for tensor in inputs],
    }
    return Kernel("te_concatenation_s8", "te_concatenation", fields, takes_array=True)


def _pool2d(function: str, operator: ops.Pool2D, source: Tensor, output: Tensor) -> Kernel:
    fields: Fields = {
        "input": _shape(source),
        "output": _shape(output),
        "window": _window(operator, operator.kernel, (1, 1)),
        **_clamp(operator.clamp),
    }
    return Kernel(function, "te_pool2d", fields)


@_kernel.register
def _average_pool2d(
    operator: ops.AveragePool2D, inputs: list[Tensor], output: Tensor, choice: Choice
) -> Kernel:
    return _pool2d("te_average_pool2d_s8", operator, inputs[0], output)


@_kernel.register
def _max_pool2d(
    operator: ops.MaxPool2D, inputs: list[Tensor], output: Tensor, choice: Choice
) -> Kernel:
    return _pool2d("te_max_pool2d_s8", operator, inputs[0], output)


@_kernel.register
def _mean(operator: ops.Mean, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    mantissa, shift = operator.multiplier(inputs[0], output)
    fields: Fields = {
        "input": _shape(inputs[0]),
        "input_offset": -inputs[0].quantization.zero_point,
        "output_offset": output.quantization.zero_point,
        "mantissa": mantissa,
        "shift": shift,
    }
    return Kernel("te_mean_s8", "te_mean", fields)


@_kernel.register
def _pad(operator: ops.Pad, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    fields: Fields = {
        "input": _shape(inputs[0]),
        "output": _shape(output),
        "padding_top": operator.padding[0],
        "padding_left": operator.padding[2],
        "padding_channel": operator.channels[0],
        "value": operator.filler(inputs[0]),
    }
    return Kernel("te_pad_s8", "te_pad", fields)


@_kernel.register
def _reshape(operator: ops.Reshape, inputs: list[Tensor], output: Tensor, choice: Choice) -> None:
    return None


@_kernel.register
def _requantize(
    operator: ops.Requantize, inputs: list[Tensor], output: Tensor, choice: Choice
) -> Kernel:
    mantissa, shift = operator.multiplier(inputs[0], output)
    fields: Fields = {
        "size": output.size,
        "mantissa": mantissa,
        "shift": shift,
        "activation": _activation(inputs[0], output, operator.clamp),
    }
    return Kernel("te_requantize_s8", "te_requantize", fields)


@_kernel.register
def _lookup(operator: ops.Lookup, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    table = operator.table(inputs[0].quantization, output.quantization)
    fields: Fields = {"size": output.size, "table": f"{choice.identifier}_table"}
    return Kernel("te_lookup_s8", "te_lookup", fields, table=table)


@_kernel.register
def _softmax(operator: ops.Softmax, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    source = inputs[0].quantization
    mantissa, shift = operator.multiplier(source)
    fields: Fields = {
        "rows": math.prod(output.shape[:-1]),
        "depth": output.shape[-1],
        "mantissa": mantissa,
        "shift": shift,
        "smallest": operator.smallest_difference(source),
    }
    return Kernel("te_softmax_s8", "te_softmax", fields)
