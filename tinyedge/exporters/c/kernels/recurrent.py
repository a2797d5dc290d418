"""The plain kernels of recurrent operators."""

from __future__ import annotations

import numpy as np

from tinyedge.exporters.c.kernels.kernel import Array, CodeOptions, Fields, Kernel
from tinyedge.exporters.c.kernels.plain import plain_kernel
from tinyedge.graph import recurrent
from tinyedge.graph.tensors import Tensor


def _own(identifier: str, *arrays: Array) -> Fields:
    """The members that point to arrays."""
    return {array.name: f"{identifier}_{array.name}" for array in arrays}


@plain_kernel.register
def _lstm(
    operator: recurrent.Lstm,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    source, target = inputs[0].quantization, output.quantization
    own, before = operator.multipliers(source, target)
    pairs = [*own, *before, *operator.products(target)]
    multiplier, shift = operator.tanh
    arrays = (
        Array("kernel", "int8_t", operator.kernel.ravel(), "gate, unit, input", weights=True),
        Array("recurrent", "int8_t", operator.recurrent.ravel(), "gate, unit, unit", weights=True),
        Array("bias", "int32_t", operator.bias.ravel()),
        Array("mantissa", "int32_t", np.array([mantissa for mantissa, _ in pairs], np.int32)),
        Array("shift", "int8_t", np.array([shift for _, shift in pairs], np.int8)),
        Array("table", "uint16_t", recurrent.sigmoid_table(), "sigmoid(i / 24)"),
    )
    fields: Fields = {
        "steps": inputs[0].shape[0],
        "inputs": inputs[0].shape[1],
        "units": operator.units,
        "input_zero_point": source.zero_point,
        "output_zero_point": target.zero_point,
        "tanh_multiplier": multiplier,
        "tanh_shift": shift,
        "cell_clip": operator.cell_clip,
        **_own(identifier, *arrays),
    }
    return Kernel("te_lstm_s8", "te_lstm", fields, arrays, "int8")


@plain_kernel.register
def _svdf(
    operator: recurrent.Svdf,
    inputs: list[Tensor],
    output: Tensor,
    identifier: str,
    options: CodeOptions,
) -> Kernel:
    source, target = inputs[0].quantization, output.quantization
    memory, result = operator.multipliers(source, target)
    narrow = isinstance(operator, recurrent.SvdfNarrow)
    times = operator.time.astype(np.int8) if narrow else operator.time
    arrays = (
        Array("feature", "int8_t", operator.feature.ravel(), "filter, input", weights=True),
        Array(
            "time", "int8_t" if narrow else "int16_t", times.ravel(), "filter, time", weights=True
        ),
        Array("bias", "int32_t", operator.bias),
    )
    fields: Fields = {
        "inputs": operator.feature.shape[1],
        "filters": operator.time.shape[0],
        "length": operator.time.shape[1],
        "units": len(operator.bias),
        "input_zero_point": source.zero_point,
        "output_zero_point": target.zero_point,
        "memory_mantissa": memory[0],
        "memory_shift": memory[1],
        "output_mantissa": result[0],
        "output_shift": result[1],
        **_own(identifier, *arrays),
    }
    if isinstance(operator, recurrent.SvdfNarrow):
        fields = {**fields, "memory_zero_point": operator.memory_zero}
        return Kernel("te_svdf_narrow_s8", "te_svdf_narrow", fields, arrays, "int8")
    return Kernel("te_svdf_s8", "te_svdf", fields, arrays, "int8")
