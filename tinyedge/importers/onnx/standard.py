"""A file's quantizers and operators on integers as ONNX's own operators on real numbers.

Every runtime computes these alike, but for the rounding of float32.
"""

from __future__ import annotations

from typing import Any

from tinyedge.errors import ModelError
from tinyedge.importers.onnx.reader import DOMAINS, onnx_package


def in_real_numbers(model: Any) -> Any:
    """A ``ModelProto`` that computes the same with ONNX's own operators on real numbers.

    Raises:
        ModelError: it holds an operator, or a way to round, that is not known.
    """
    result = type(model)()
    result.CopyFrom(model)
    del result.graph.node[:]
    for index, node in enumerate(model.graph.node):
        writer = _Writer(result, f"{next(iter(node.output), '')}/{index}")
        if DOMAINS.get(node.domain) == "qonnx":
            match node.op_type:
                case "Quant" | "IntQuant":
                    _quant(writer, node)
                case "BipolarQuant":
                    _bipolar(writer, node)
                case "Trunc":
                    _trunc(writer, node)
                case other:
                    raise ModelError(f"node '{node.name}' ({other}): not a quantizer of QONNX")
        elif node.op_type in _ON_INTEGERS:
            _on_integers(writer, node)
        else:
            result.graph.node.append(node)
    return result


class _Writer:
    """Appends nodes to a model, whose values have names that begin alike."""

    def __init__(self, model: Any, prefix: str) -> None:
        self._graph = model.graph
        self._prefix = prefix
        self._helper = onnx_package().helper
        self._count = 0

    def number(self, value: float) -> str:
        """A constant; gives its name."""
        types = onnx_package().TensorProto
        tensor = self._helper.make_tensor(self._name(), types.FLOAT, [], [value])
        self._graph.initializer.append(tensor)
        return str(tensor.name)

    def add(self, kind: str, *inputs: str, output: str = "", attributes: Any = ()) -> str:
        """A node; gives the name of its value."""
        name = output or self._name()
        node = self._helper.make_node(kind, list(inputs), [name])
        node.attribute.extend(attributes)
        self._graph.node.append(node)
        return name

    def axis(self, axis: int) -> list[Any]:
        """The attribute ``axis``."""
        return [self._helper.make_attribute("axis", axis)]

    def _name(self) -> str:
        self._count += 1
        return f"{self._prefix}/{self._count}"


def _attributes(node: Any) -> dict[str, Any]:
    helper = onnx_package().helper
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


_ROUNDING = {"ROUND": "Round", "HALF_EVEN": "Round", "FLOOR": "Floor", "CEIL": "Ceil"}


def _rounding(node: Any, default: str) -> str:
    mode = _attributes(node).get("rounding_mode", default.encode()).decode().upper()
    if mode not in _ROUNDING:
        raise ModelError(f"node '{node.name}' ({node.op_type}): rounding_mode {mode}")
    return _ROUNDING[mode]


def _limits(writer: _Writer, node: Any, bits: str) -> tuple[str, str]:
    """Smallest and largest integer, computed from the bits as the node has them."""
    attributes = _attributes(node)
    signed, narrow = attributes.get("signed", 1), attributes.get("narrow", 0)
    one, two = writer.number(1.0), writer.number(2.0)
    power = writer.add("Pow", two, writer.add("Sub", bits, one) if signed else bits)
    high = writer.add("Sub", power, one if signed or not narrow else two)
    if not signed:
        return writer.number(0.0), high
    low = writer.add("Neg", power)
    return (writer.add("Add", low, one) if narrow else low), high


def _quant(writer: _Writer, node: Any) -> None:
    x, scale, zero_point, bits = node.input
    low, high = _limits(writer, node, bits)
    steps = writer.add("Add", writer.add("Div", x, scale), zero_point)
    limited = writer.add("Max", writer.add("Min", steps, high), low)
    whole = writer.add(_rounding(node, "ROUND"), limited)
    writer.add("Mul", writer.add("Sub", whole, zero_point), scale, output=node.output[0])


def _bipolar(writer: _Writer, node: Any) -> None:
    x, scale = node.input
    positive = writer.add("GreaterOrEqual", x, writer.number(0.0))
    sign = writer.add("Where", positive, writer.number(1.0), writer.number(-1.0))
    writer.add("Mul", sign, scale, output=node.output[0])


def _trunc(writer: _Writer, node: Any) -> None:
    """Handles both versions: the newer has the scale of its result, and limits it."""
    x, scale, zero_point, bits_in, *rest = node.input
    steps = writer.add("Round", writer.add("Add", writer.add("Div", x, scale), zero_point))
    two = writer.number(2.0)
    if len(rest) == 1:
        step, less = scale, writer.add("Pow", two, writer.add("Sub", bits_in, rest[0]))
        cut = writer.add("Div", steps, less)
    else:
        step, less = rest[0], writer.add("Div", rest[0], scale)
        low, high = _limits(writer, node, rest[1])
        cut = writer.add("Max", writer.add("Min", writer.add("Div", steps, less), high), low)
    whole = writer.add(_rounding(node, "FLOOR"), cut)
    writer.add("Mul", writer.add("Sub", whole, zero_point), step, output=node.output[0])


_ON_INTEGERS = {
    "QLinearConv": ("Conv", (0, 3), 6, 8),
    "QLinearMatMul": ("MatMul", (0, 3), 6, None),
    "QGemm": ("Gemm", (0, 3), 7, 6),
    "QLinearAdd": ("Add", (0, 3), 6, None),
    "QLinearMul": ("Mul", (0, 3), 6, None),
    "QLinearSigmoid": ("Sigmoid", (0,), 3, None),
    "QLinearLeakyRelu": ("LeakyRelu", (0,), 3, None),
    "QLinearSoftmax": ("Softmax", (0,), 3, None),
    "QLinearAveragePool": ("AveragePool", (0,), 3, None),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,), 3, None),
    "QLinearConcat": ("Concat", (), 0, None),
}
"""The operator on real numbers, and where among the inputs are the integers, which scale and zero
point follow, the result's scale, and the bias."""
_OTHER_ATTRIBUTES = ("channels_last", "opset")


def _on_integers(writer: _Writer, node: Any) -> None:
    """Between DequantizeLinear and QuantizeLinear; the scale of a bias is the others' product."""
    kind, positions, result, bias = _ON_INTEGERS[node.op_type]
    given = list(node.input)
    if kind == "Concat":
        positions = tuple(range(2, len(given), 3))
    attributes = [each for each in node.attribute if each.name not in _OTHER_ATTRIBUTES]
    turned = bool(_attributes(node).get("transB", 0))
    axis = 0 if kind == "Conv" or turned else 1
    reals = []
    for position in positions:
        weights = (position == 3 and bias is not None) or (kind == "MatMul" and position == 3)
        reals.append(
            writer.add(
                "DequantizeLinear",
                *given[position : position + 3],
                attributes=writer.axis(axis) if weights else (),
            )
        )
    if bias is not None and len(given) > bias and given[bias]:
        scale = writer.add("Mul", given[1], given[4])
        reals.append(writer.add("DequantizeLinear", given[bias], scale, attributes=writer.axis(0)))
    real = writer.add(kind, *reals, attributes=attributes)
    writer.add("QuantizeLinear", real, *given[result : result + 2], output=node.output[0])
