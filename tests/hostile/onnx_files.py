"""ONNX files that name other files, steer terminals, or claim what they do not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from tests.hostile.files import CANARY, ESCAPE, Case, hostile, pickled
from tests.importers import onnx_models


def _converted(case: Case, edit: Callable[[Any], None] = lambda _: None) -> list[str]:
    model = onnx.ModelProto.FromString(onnx_models.qdq("residual"))
    edit(model)
    path = case.write("model.onnx", model.SerializeToString())
    return ["convert", path, "-o", str(case.folder / "out")]


@hostile("onnx", harmless=True)
def onnx_that_is_right(case: Case) -> list[str]:
    return _converted(case)


@hostile("onnx", canary=True)
def onnx_whose_data_lie_in_another_file(case: Case) -> list[str]:
    (case.folder.parent / "secret.bin").write_bytes(ESCAPE.encode() * 100)

    def edit(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../secret.bin"

    return _converted(case, edit)


@hostile("onnx", canary=True)
def onnx_whose_names_steer_a_terminal(case: Case) -> list[str]:
    def edit(model: Any) -> None:
        model.graph.name = model.producer_name = ESCAPE
        for node in model.graph.node:
            node.name = f"{ESCAPE}{node.name}"

    return _converted(case, edit)


@hostile("onnx", canary=True)
def onnx_with_an_operator_of_a_stranger(case: Case) -> list[str]:
    def edit(model: Any) -> None:
        node = next(each for each in model.graph.node if each.op_type == "Add")
        node.domain, node.op_type = "ai.onnx.contrib", "PyOp"
        code = f"open({str(case.folder / CANARY)!r}, 'w').close()"
        node.attribute.append(onnx.helper.make_attribute("code", code))

    return _converted(case, edit)


@hostile("onnx", canary=True)
def onnx_with_a_function_of_its_own(case: Case) -> list[str]:
    def edit(model: Any) -> None:
        function = model.functions.add()
        function.name, function.domain = f"f{ESCAPE}", "mine"

    return _converted(case, edit)


@hostile("onnx")
def onnx_of_a_tensor_of_terabytes(case: Case) -> list[str]:
    def edit(model: Any) -> None:
        model.graph.initializer[0].dims[:] = [2**20, 2**20]

    return _converted(case, edit)


@hostile("onnx")
def onnx_that_computes_a_constant_of_gigabytes(case: Case) -> list[str]:
    def edit(model: Any) -> None:
        shape = onnx.numpy_helper.from_array(np.array([2**31], np.int64), "shape")
        model.graph.initializer.append(shape)
        node = onnx.helper.make_node("ConstantOfShape", ["shape"], ["large"], "large")
        model.graph.node.insert(0, node)
        next(n for n in model.graph.node if n.op_type == "Add").input[1] = "large"

    return _converted(case, edit)


@hostile("onnx")
def onnx_of_a_hundred_thousand_nodes(case: Case) -> list[str]:
    def edit(model: Any) -> None:
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        model.graph.node.extend([node] * 10**5)

    return _converted(case, edit)


@hostile("onnx")
def onnx_of_groups_within_groups(case: Case) -> list[str]:
    """Protobuf gives up on a hundred levels; what reads it must not recurse without end."""
    field = b"\x0a\x00"
    for _ in range(5000):
        length, rest = len(field), b""
        while length > 127:
            rest += bytes([length & 127 | 128])
            length >>= 7
        field = b"\x3a" + rest + bytes([length]) + field
    return ["convert", case.write("model.onnx", field), "-o", str(case.folder / "out")]


@hostile("onnx", canary=True)
def onnx_that_is_a_pickle(case: Case) -> list[str]:
    return ["convert", case.write("model.onnx", pickled()), "-o", str(case.folder / "out")]
