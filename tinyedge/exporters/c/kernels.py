"""Which C kernel computes an operator, and with which constants.

This is the only place that ties operators to kernels: a faster kernel is another ``Kernel``, chosen
here; the generated code that calls it has the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch

from tinyedge.exporters.c.packing import Packing, packing_for
from tinyedge.graph import operators as ops
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Tensor

Fields = Mapping[str, "int | str | list[int] | Fields"]
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
    """

    function: str
    struct: str
    fields: Fields
    packing: Packing | None = None
    scratch: int | None = None

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


def _weights(packing: Packing, choice: Choice) -> Fields:
    return {
        "packed": f"{choice.identifier}_weights",
        "unpack": f"te_unpack_{packing.name}",
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
        "weights": _weights(packing, choice),
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
        "weights": _weights(packing, choice),
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
        "weights": _weights(packing, choice),
    }
    return Kernel(
        "te_fully_connected_s8",
        "te_fully_connected",
        fields,
        packing,
        _scratch(operator, packing),
    )


@_kernel.register
def _add(operator: ops.Add, inputs: list[Tensor], output: Tensor, choice: Choice) -> Kernel:
    first, second, result = operator.multipliers(inputs, output)
    fields: Fields = {
        "size": output.size,
        "input_offset": [-tensor.quantization.zero_point for tensor in inputs],
        "mantissa": [first[0], second[0]],
        "shift": [first[1], second[1]],
        "output_mantissa": result[0],
        "output_shift": result[1],
        "output_offset": output.quantization.zero_point,
        **_clamp(operator.clamp),
    }
    return Kernel("te_add_s8", "te_add", fields)


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
        "value": inputs[0].quantization.zero_point,
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
