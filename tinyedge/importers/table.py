"""The table of what can be imported from where, made from what the importers have registered."""

from __future__ import annotations

from typing import NamedTuple

FORMATS = ("QKeras, Keras 2 and 3", "HGQ2", "`.tflite`", "`.onnx`")


class _Row(NamedTuple):
    """Names of one kind of operator in any format."""

    what: str
    names: str


_ROWS = (
    _Row(
        "convolution, with groups too",
        "QConv1D QConv2D QConv2DBatchnorm CONV_2D Conv QLinearConv",
    ),
    _Row(
        "depthwise convolution",
        "QDepthwiseConv2D QDepthwiseConv2DBatchnorm QSeparableConv2D DEPTHWISE_CONV_2D "
        "Conv QLinearConv",
    ),
    _Row("transposed convolution", "TRANSPOSE_CONV"),
    _Row("matrix product", "QDense FULLY_CONNECTED BATCH_MATMUL Gemm MatMul QLinearMatMul QGemm"),
    _Row(
        "sum, difference, product",
        "Add Multiply Subtract QAdd QMultiply QSubtract ADD SUB MUL Sub Mul Div Sum QLinearAdd "
        "QLinearMul",
    ),
    _Row("larger or smaller of two", "MAXIMUM MINIMUM"),
    _Row("place of the largest or smallest", "ARG_MAX ARG_MIN"),
    _Row("normalization, scaling", "BatchNormalization QBatchNormalization Rescaling"),
    _Row("limits", "ReLU RELU RELU6 Relu Clip"),
    _Row("slope below zero", "LeakyReLU LEAKY_RELU PRELU LeakyRelu QLinearLeakyRelu"),
    _Row(
        "functions by table",
        "HARD_SWISH LOGISTIC TANH Sigmoid Tanh QLinearSigmoid",
    ),
    _Row("activations by name", "Activation QActivation"),
    _Row("softmax", "QSoftmax SOFTMAX LOG_SOFTMAX Softmax QLinearSoftmax"),
    _Row(
        "maximum over windows",
        "MaxPooling1D MaxPooling2D GlobalMaxPooling1D GlobalMaxPooling2D QMaxPooling1D "
        "QMaxPooling2D QGlobalMaxPooling1D QGlobalMaxPooling2D MAX_POOL_2D REDUCE_MAX MaxPool "
        "GlobalMaxPool",
    ),
    _Row(
        "average over windows",
        "AveragePooling1D AveragePooling2D GlobalAveragePooling1D GlobalAveragePooling2D "
        "QAveragePooling1D QAveragePooling2D QGlobalAveragePooling1D QGlobalAveragePooling2D "
        "AVERAGE_POOL_2D MEAN AveragePool "
        "GlobalAveragePool ReduceMean QLinearAveragePool QLinearGlobalAveragePool",
    ),
    _Row("joining", "Concatenate CONCATENATION PACK TILE Concat QLinearConcat"),
    _Row("taking apart", "SLICE STRIDED_SLICE SPLIT SPLIT_V UNPACK"),
    _Row("padding", "ZeroPadding2D PAD PADV2 Pad"),
    _Row(
        "other shape",
        "Flatten Reshape RESHAPE SQUEEZE EXPAND_DIMS Squeeze Unsqueeze Shape",
    ),
    _Row("other order", "TRANSPOSE DEPTH_TO_SPACE SPACE_TO_DEPTH Transpose"),
    _Row("other size", "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR"),
    _Row(
        "quantizing",
        "Quantizer QUANTIZE QuantizeLinear DequantizeLinear Quant IntQuant BipolarQuant Trunc",
    ),
    _Row("recurrent", "SVDF UNIDIRECTIONAL_SEQUENCE_LSTM"),
    _Row("state between inferences", "CALL_ONCE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE"),
    _Row(
        "nothing at inference",
        "InputLayer Dropout SpatialDropout2D GaussianNoise GaussianDropout ActivityRegularization "
        "Identity Cast",
    ),
)
_OTHER = "other"


def rows() -> list[tuple[str, tuple[tuple[str, ...], ...]]]:
    """Lists the operators that can be imported, with their names in each of ``FORMATS``.

    What the importers have, and no row names, stands in a last one. TensorFlow is loaded.
    """
    from tinyedge.importers.hgq2 import layers as hgq2
    from tinyedge.importers.onnx import operators
    from tinyedge.importers.onnx.tracing import HANDLERS
    from tinyedge.importers.qkeras.layers import supported_layers
    from tinyedge.importers.tflite.operators import supported_operators

    registered = [
        supported_layers(),
        hgq2.supported_layers(),
        supported_operators(),
        sorted(kind for kind in HANDLERS if kind in operators.KNOWN),
    ]
    known = [{_bare(name) for name in names} for names in registered]
    result = []
    for row in _ROWS:
        wanted = row.names.split()
        cells = tuple(tuple(name for name in wanted if name in names) for names in known)
        result.append((row.what, cells))
    told = {name for row in _ROWS for name in row.names.split()}
    others = tuple(tuple(sorted(names - told)) for names in known)
    if any(others):
        result.append((_OTHER, others))
    return result


def _bare(kind: str) -> str:
    """An operator without the domain that it is of."""
    return kind.rpartition(".")[2]


def markdown() -> str:
    """The table, as ``docs/importing.md`` has it."""
    lines = ["| | " + " | ".join(FORMATS) + " |", "|---" * (len(FORMATS) + 1) + "|"]
    lines += [f"| {what} | " + " | ".join(map(", ".join, cells)) + " |" for what, cells in rows()]
    return "\n".join(lines) + "\n"
