"""The kernels in plain C: one for every operator, of any shape, on any core."""

from __future__ import annotations

import math
from functools import singledispatch
from operator import le

from tinyedge.exporters.c.kernels import layers
from tinyedge.exporters.c.kernels.kernel import Array, CodeOptions, Fields, Kernel
from tinyedge.exporters.c.packing import Packing, densest, fastest
from tinyedge.graph import operators as ops
from tinyedge.graph.memory import lies_in_input
from tinyedge.graph.tensors import Tensor


@singledispatch
def plain_kernel(
    operator: ops.Operator,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel | None:
    """The kernel for an operator, or None for one that needs no code."""
    raise NotImplementedError(type(operator).__name__)


_ADD_TABLES = 2 * 256 * 4
"""Bytes of the terms of both inputs."""


def _packing(operator: ops.Weighted, options: CodeOptions) -> Packing:
    weights = operator.weights
    if options.optimize == "size":
        return densest(weights.codes, weights.bits)
    return fastest(weights.bits)


def _weighted(
    function: str,
    operator: ops.Weighted,
    inputs: list[Tensor],
    output: Tensor,
    fields: Fields,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    """A kernel that reads the weights of one output channel after the other."""
    packing = _packing(operator, options)
    packed = packing.pack(operator.weights.codes)
    unpacked = packing.needs_scratch or options.features.flash_apart
    description = f"output channel first, {packing.description}"
    return Kernel(
        f"{function}_s8",
        function,
        {
            **fields,
            "activation": layers.activation(inputs[0], output, operator.clamp),
            "weights": layers.weights(operator, identifier, packing.unpack),
        },
        (
            layers.packed_array(operator, packed, description),
            *layers.channel_arrays(operator, inputs[0], output),
        ),
        packing.name,
        operator.weights.codes[0].size if unpacked else 0,
        unpack=(f"{packing.unpack}.c",),
    )


@plain_kernel.register
def _conv2d(
    operator: ops.Conv2D,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    _, height, width, _ = operator.weights.codes.shape
    fields: Fields = {
        "input": layers.shape(inputs[0]),
        "output": layers.shape(output),
        "window": layers.window(operator, (height, width), operator.dilation),
    }
    return _weighted("te_conv2d", operator, inputs, output, fields, identifier, options)


@plain_kernel.register
def _depthwise_conv2d(
    operator: ops.DepthwiseConv2D,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    channels, height, width = operator.weights.codes.shape
    fields: Fields = {
        "input": layers.shape(inputs[0]),
        "output": layers.shape(output),
        "window": layers.window(operator, (height, width), operator.dilation),
        "multiplier": channels // inputs[0].shape[2],
    }
    return _weighted("te_depthwise_conv2d", operator, inputs, output, fields, identifier, options)


@plain_kernel.register
def _fully_connected(
    operator: ops.FullyConnected,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    fields: Fields = {"inputs": inputs[0].size, "outputs": output.size}
    return _weighted("te_fully_connected", operator, inputs, output, fields, identifier, options)


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


def _elementwise_leads(operator: ops.Elementwise, inputs: list[Tensor]) -> tuple[int | None, ...]:
    """An input whose elements are each read once, in the order of the output, may be replaced."""
    axes = operator.axes([tensor.shape for tensor in inputs])
    return tuple(
        None if any(repeated[which] for _, repeated in axes) else 0 for which in range(len(inputs))
    )


@plain_kernel.register
def _add(
    operator: ops.Add, inputs: list[Tensor], output: Tensor, identifier: str, options: CodeOptions
) -> Kernel:
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
        **layers.clamp_range(operator.clamp),
    }
    leads = _elementwise_leads(operator, inputs)
    # Where multiplication to 64 bits takes many instructions, and there is RAM for tables.
    tabled = not options.features.thumb2 and not options.features.flash_apart
    if tabled and None not in leads and -layers.LARGEST_RIGHT_SHIFT <= result[1] < 0:
        return Kernel("te_add_lookup_s8", "te_add", fields, scratch=_ADD_TABLES, leads=leads)
    return Kernel("te_add_s8", "te_add", fields, leads=leads)


@plain_kernel.register
def _mul(
    operator: ops.Mul, inputs: list[Tensor], output: Tensor, identifier: str, options: CodeOptions
) -> Kernel:
    mantissa, shift = operator.multiplier(inputs, output)
    fields: Fields = {
        "elements": _elementwise(operator, inputs),
        "input_offset": [-tensor.quantization.zero_point for tensor in inputs],
        "mantissa": mantissa,
        "shift": shift,
        "output_offset": output.quantization.zero_point,
        **layers.clamp_range(operator.clamp),
    }
    return Kernel("te_mul_s8", "te_mul", fields, leads=_elementwise_leads(operator, inputs))


@plain_kernel.register
def _extreme(
    operator: ops.Extreme,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    fields: Fields = {
        "elements": _elementwise(operator, inputs),
        "largest": int(isinstance(operator, ops.Maximum)),
        **layers.clamp_range(operator.clamp),
    }
    return Kernel("te_extreme_s8", "te_extreme", fields, leads=_elementwise_leads(operator, inputs))


@plain_kernel.register
def _prelu(
    operator: ops.Prelu, inputs: list[Tensor], output: Tensor, identifier: str, options: CodeOptions
) -> Kernel:
    positive, negative = operator.multipliers(inputs, output)
    fields: Fields = {
        "elements": _elementwise(operator, inputs),
        "input_offset": [-tensor.quantization.zero_point for tensor in inputs],
        "mantissa": [positive[0], negative[0]],
        "shift": [positive[1], negative[1]],
        "output_offset": output.quantization.zero_point,
        **layers.clamp_range(operator.clamp),
    }
    return Kernel("te_prelu_s8", "te_prelu", fields, leads=_elementwise_leads(operator, inputs))


@plain_kernel.register
def _resize(
    operator: ops.Resize,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    names = ("rows", "columns")
    fields: Fields = {
        "input": layers.shape(inputs[0]),
        "output": layers.shape(output),
        **{name: f"{identifier}_{name}" for name in names},
    }
    arrays = tuple(
        Array(name, "te_resize_cell", operator.cells(inputs[0].shape[axis], output.shape[axis]))
        for axis, name in enumerate(names)
    )
    mixed = isinstance(operator, ops.ResizeBilinear)
    function = "te_resize_bilinear_s8" if mixed else "te_resize_nearest_s8"
    return Kernel(function, "te_resize", fields, arrays)


@plain_kernel.register
def _rearrangement(
    operator: ops.Rearrangement,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    first, steps = operator.steps(inputs[0].shape)
    axes: list[tuple[int, int]] = []
    for size, step in zip(output.shape, steps, strict=True):
        if size > 1 and axes and axes[-1][1] == size * step:
            axes[-1] = (axes[-1][0] * size, step)
        elif size > 1:
            axes.append((size, step))
    axes = [(1, 0)] * (ops.MAXIMUM_REARRANGED - len(axes)) + axes
    fields: Fields = {
        "first": first,
        "size": [size for size, _ in axes],
        "step": [step for _, step in axes],
    }
    return Kernel("te_rearrange_s8", "te_rearrange", fields)


@plain_kernel.register
def _concatenation(
    operator: ops.Concatenation,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    fields: Fields = {
        "count": len(inputs),
        "repeats": math.prod(output.shape[: operator.axis]),
        "bytes": [math.prod(tensor.shape[operator.axis :]) for tensor in inputs],
    }
    return Kernel("te_concatenation_s8", "te_concatenation", fields, takes_array=True)


@plain_kernel.register
def _join(
    operator: ops.Join,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    fields: Fields = {
        "count": len(inputs),
        "repeats": 1,
        "bytes": [tensor.size for tensor in inputs],
    }
    return Kernel("te_concatenation_s8", "te_concatenation", fields, takes_array=True)


@plain_kernel.register
def _part(
    operator: ops.Part, inputs: list[Tensor], output: Tensor, identifier: str, options: CodeOptions
) -> Kernel | None:
    """Copied only where its bytes would not begin on a word."""
    return None if lies_in_input(operator) else part_copy(operator, output)


def part_copy(operator: ops.Part, output: Tensor) -> Kernel:
    """The kernel that copies a Part."""
    fields: Fields = {"first": operator.begin, "size": [1, 1, 1, output.size], "step": [0, 0, 0, 1]}
    return Kernel("te_rearrange_s8", "te_rearrange", fields)


@plain_kernel.register
def _mat_mul(
    operator: ops.MatMul,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    depth = operator.depth(inputs[0].shape)
    groups, rows, columns = output.shape
    mantissa, shift = operator.multiplier(inputs, output)
    first, second = operator.transposed
    fields: Fields = {
        "groups": groups,
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "first_group": rows * depth if inputs[0].shape[0] > 1 else 0,
        "second_group": depth * columns if inputs[1].shape[0] > 1 else 0,
        "first_step": [1, rows] if first else [depth, 1],
        "second_step": [depth, 1] if second else [1, columns],
        "zero_point": [tensor.quantization.zero_point for tensor in inputs],
        "mantissa": mantissa,
        "shift": shift,
        "output_zero_point": output.quantization.zero_point,
    }
    return Kernel("te_mat_mul_s8", "te_mat_mul", fields)


@plain_kernel.register
def _arg_max(
    operator: ops.ArgMax,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    shape = inputs[0].shape
    fields: Fields = {
        "outer": math.prod(shape[: operator.axis]),
        "count": shape[operator.axis],
        "inner": math.prod(shape[operator.axis + 1 :]),
        "largest": int(operator.largest),
    }
    return Kernel("te_arg_max_s8", "te_arg_max", fields)


def _pool2d(function: str, operator: ops.Pool2D, source: Tensor, output: Tensor) -> Kernel:
    fields: Fields = {
        "input": layers.shape(source),
        "output": layers.shape(output),
        "window": layers.window(operator, operator.kernel, (1, 1)),
        **layers.clamp_range(operator.clamp),
    }
    apart = all(map(le, operator.kernel, operator.stride)) and not any(operator.padding)
    return Kernel(function, "te_pool2d", fields, leads=(0,) if apart else ())


@plain_kernel.register
def _average_pool2d(
    operator: ops.AveragePool2D,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    return _pool2d("te_average_pool2d_s8", operator, inputs[0], output)


@plain_kernel.register
def _max_pool2d(
    operator: ops.MaxPool2D,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    return _pool2d("te_max_pool2d_s8", operator, inputs[0], output)


@plain_kernel.register
def _mean(
    operator: ops.Mean, inputs: list[Tensor], output: Tensor, identifier: str, options: CodeOptions
) -> Kernel:
    mantissa, shift = operator.multiplier(inputs[0], output)
    fields: Fields = {
        "input": layers.shape(inputs[0]),
        "input_offset": -inputs[0].quantization.zero_point,
        "output_offset": output.quantization.zero_point,
        "mantissa": mantissa,
        "shift": shift,
    }
    return Kernel("te_mean_s8", "te_mean", fields)


@plain_kernel.register
def _pad(
    operator: ops.Pad, inputs: list[Tensor], output: Tensor, identifier: str, options: CodeOptions
) -> Kernel:
    fields: Fields = {
        "input": layers.shape(inputs[0]),
        "output": layers.shape(output),
        "padding_top": operator.padding[0],
        "padding_left": operator.padding[2],
        "padding_channel": operator.channels[0],
        "value": operator.filler(inputs[0]),
    }
    return Kernel("te_pad_s8", "te_pad", fields)


@plain_kernel.register
def _reshape(
    operator: ops.Reshape,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> None:
    return None


@plain_kernel.register
def _requantize(
    operator: ops.Requantize,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    mantissa, shift = operator.multiplier(inputs[0], output)
    fields: Fields = {
        "size": output.size,
        "mantissa": mantissa,
        "shift": shift,
        "activation": layers.activation(inputs[0], output, operator.clamp),
    }
    return Kernel("te_requantize_s8", "te_requantize", fields, leads=(0,))


@plain_kernel.register
def _lookup(
    operator: ops.Lookup,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    table = operator.table(inputs[0].quantization, output.quantization)
    fields: Fields = {"size": output.size, "table": f"{identifier}_table"}
    array = Array("table", "int8_t", table, f"{operator.name}: results for -128 to 127")
    return Kernel("te_lookup_s8", "te_lookup", fields, (array,), leads=(0,))


@plain_kernel.register
def _softmax(
    operator: ops.Softmax,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    fields = _softmax_fields(operator, inputs[0], output)
    return Kernel("te_softmax_s8", "te_softmax", fields)


def _softmax_fields(operator: ops.Softmax, source: Tensor, output: Tensor) -> Fields:
    """``te_softmax``."""
    mantissa, shift = operator.multiplier(source.quantization)
    return {
        "rows": math.prod(output.shape[:-1]),
        "depth": output.shape[-1],
        "mantissa": mantissa,
        "shift": shift,
        "smallest": operator.smallest_difference(source.quantization),
    }


@plain_kernel.register
def _log_softmax(
    operator: ops.LogSoftmax,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    mantissa, shift = operator.reverse_multiplier(inputs[0].quantization)
    fields: Fields = {
        "softmax": _softmax_fields(operator, inputs[0], output),
        "reverse_mantissa": mantissa,
        "reverse_shift": shift,
    }
    return Kernel("te_log_softmax_s8", "te_log_softmax", fields)
