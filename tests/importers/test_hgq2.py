"""Models of HGQ2 are what HGQ2 says they are, read without it and without Keras."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import require, require_packages

require_packages("h5py")

import h5py  # noqa: E402

from tinyedge import demo  # noqa: E402
from tinyedge.boards import load_board  # noqa: E402
from tinyedge.errors import ModelError, TinyEdgeError  # noqa: E402
from tinyedge.evaluation.session import emulated_device  # noqa: E402
from tinyedge.exporters.converted import write_converted  # noqa: E402
from tinyedge.firmware.twin import Twin  # noqa: E402
from tinyedge.graph import reference  # noqa: E402
from tinyedge.graph.graph import Graph  # noqa: E402
from tinyedge.importers import (  # noqa: E402
    import_model,
    plain,
    ranges,
)
from tinyedge.importers import nodes as n  # noqa: E402
from tinyedge.importers.hgq2 import import_hgq2  # noqa: E402
from tinyedge.importers.hgq2.fixed import Fixed, codes_of  # noqa: E402
from tinyedge.importers.hgq2.layers import _calls, trace  # noqa: E402
from tinyedge.keras.contents import read_contents  # noqa: E402
from tinyedge.targets import available_emulators  # noqa: E402
from tinyedge.toolchains.compilers import available_compilers  # noqa: E402

DATA = Path(__file__).parents[1] / "data"
TRAINED = DATA / "hgq2_residual.keras"
LAYERS = DATA / "hgq2_layers.zip"
BOARD = load_board("netduinoplus2")

KINDS = {
    "channels": ["Conv2D", "MaxPool2D", "Reshape", "FullyConnected"],
    "groups": None,
    "row": None,
    "merges": None,
    "normalizations": None,
}
"""Operators of each network, where scaled channels have to cost none of their own."""


def drawn(name: str, folder: Path) -> tuple[Path, NDArray[np.int8], NDArray[np.float32]]:
    """A network of few layers: its file, inputs in steps of 1/128, and HGQ2's outputs."""
    with zipfile.ZipFile(LAYERS) as archive:
        path = folder / f"{name}.keras"
        path.write_bytes(archive.read(path.name))
        inputs, outputs = (
            np.load(io.BytesIO(archive.read(f"{name}_{part}.npy")))
            for part in ("inputs", "outputs")
        )
    return path, inputs, outputs


def steps_apart(graph: Graph, samples: NDArray[np.int8], expected: Any) -> NDArray[np.float64]:
    found = reference.run(graph, samples)
    output = graph.output_tensor.quantization
    reals = output.dequantize(found).reshape(expected.shape)
    apart = (reals - expected) / output.scale
    return np.asarray(np.abs(apart))


def in_real_numbers(path: Path, inputs: NDArray[Any]) -> NDArray[np.float64]:
    """The values of a file's nodes with HGQ2's rounding, by no arithmetic of the integer graph."""
    nodes, _ = trace(path, read_contents(path))
    values: dict[int, Any] = {}
    for node in nodes:
        value = inputs
        if not isinstance(node, n.Input):
            value = ranges.compute(node, [values[id(source)] for source in node.inputs])
        if node.grid:
            grid = node.grid.quantization
            low, high = (end - grid.zero_point for end in node.grid.clamp)
            value = np.clip(np.floor(value / grid.scale + 0.5), low, high) * grid.scale
        values[id(node)] = np.clip(value, *node.bounds).astype(np.float32)
    return np.asarray(values[id(nodes[-1])], np.float64)


@pytest.mark.parametrize("name", KINDS)
def test_layers_give_what_hgq2_gives(name: str, tmp_path: Path) -> None:
    path, inputs, outputs = drawn(name, tmp_path)
    assert len(np.unique(outputs)) > 10
    real = in_real_numbers(path, inputs.astype(np.float32) / np.float32(128))
    np.testing.assert_array_equal(real.reshape(outputs.shape), outputs)
    result = import_model(path)
    assert result.graph.source["producer"] == "HGQ2"
    assert result.graph.input_tensor.quantization.scale == 1 / 128
    # TFLite rounds twice, and halves elsewhere: a random network meets many.
    assert steps_apart(result.graph, inputs, outputs).mean() <= 2
    if (kinds := KINDS[name]) is not None:
        assert [type(operator).__name__ for operator in result.graph.operators] == kinds


def test_the_trained_network(tmp_path: Path) -> None:
    """1,000 images: right, as in HGQ2, and the same bytes wherever they are computed."""
    suite = demo.clean_suite()
    expected = np.load(DATA / "hgq2_residual_logits.npy")
    assert (expected.argmax(axis=1) == suite.labels).mean() >= 0.85
    result = import_model(TRAINED)
    graph = result.graph
    assert not any("estimated" in note for note in result.notes)
    samples = graph.input_tensor.quantization.quantize(suite.inputs)
    logits = reference.run(graph, samples)
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.99
    apart = steps_apart(graph, samples, expected)
    assert apart.max() <= 3
    assert (apart == 0).mean() >= 0.75
    real = in_real_numbers(TRAINED, np.asarray(suite.inputs, np.float32)[:200])
    np.testing.assert_array_equal(real, expected[:200])
    model = write_converted(graph, tmp_path / "converted", "test")
    np.testing.assert_array_equal(Twin(model).run(samples), logits)
    require(available_compilers(), "gcc")
    require(available_emulators(BOARD), "unicorn")
    with emulated_device(model, BOARD, "unicorn", "gcc") as emulated:
        np.testing.assert_array_equal(emulated.device.run(samples[:8]).logits, logits[:8])


def test_no_framework_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tinyedge.importers import import_model\n"
        f"import_model(Path({str(TRAINED)!r}))\n"
        "print({'hgq', 'keras', 'tensorflow', 'tf_keras', 'torch'} & set(sys.modules))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert ran.stdout == "set()\n"


def edited(
    path: Path, config: Callable[[dict[str, Any]], Any], weights: Callable[[Any], Any]
) -> Path:
    """The same file with other settings (of layers by name) or weights (groups by name)."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(held["config.json"])
    config({layer["config"]["name"]: layer for layer in described["config"]["layers"]})
    held["config.json"] = json.dumps(described).encode()
    stream = io.BytesIO(held["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        weights({group["vars"].attrs["name"]: group for group in file["layers"].values()})
    held["model.weights.h5"] = stream.getvalue()
    other = path.with_name("edited.keras")
    with zipfile.ZipFile(other, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return other


def _nothing(_: Any) -> None:
    pass


def _iq(**settings: Any) -> Callable[[dict[str, Any]], Any]:
    """Settings of the convolution's input quantizer."""
    return lambda layers: layers["q_conv2d"]["config"]["iq_conf"]["config"].update(settings)


def _set(part: str, number: int, value: float) -> Callable[[Any], Any]:
    """The bits of a quantizer, by its place in the file."""

    def put(groups: Any) -> None:
        layer, _, quantizer = part.partition("/")
        groups[layer][f"{quantizer}/quantizer/vars/{number}"][...] = value

    return put


def _bits(part: str, *shapes: tuple[int, ...]) -> Callable[[Any], Any]:
    """Bits of one in other shapes, for the first of a quantizer's weights."""

    def put(groups: Any) -> None:
        layer, _, quantizer = part.partition("/")
        held = groups[layer][f"{quantizer}/quantizer/vars"]
        for name, shape in zip(sorted(held), shapes, strict=False):
            del held[name]
            held[name] = np.ones(shape, np.float32)

    return put


def _differing_rows(groups: Any) -> None:
    dataset = groups["q_max_pooling2d"]["iq/quantizer/vars"]
    shape = (1, 6, 6, 6)
    for name in ("0", "1", "2"):
        held = np.broadcast_to(np.asarray(dataset[name]), shape).copy()
        held[0, 2] += 1
        del dataset[name]
        dataset[name] = held


def _bias_of_nan(groups: Any) -> None:
    groups["q_conv2d"]["vars/1"][1] = np.nan


def _one_coarse_weight(groups: Any) -> None:
    """One weight of 3 and one of 2^-7, in one channel."""
    held = groups["q_conv2d"]
    kernel = np.asarray(held["vars/0"])
    kernel[0, 0, 0], kernel[0, 0, 1] = 3.0, 2.0**-7
    held["vars/0"][...] = kernel
    held["kq/quantizer/vars/0"][...] = 2
    held["kq/quantizer/vars/1"][...] = 7


def _kind(layer: str, kind: str) -> Callable[[dict[str, Any]], Any]:
    def put(layers: dict[str, Any]) -> None:
        layers[layer]["class_name"] = kind

    return put


def _second_input(layers: dict[str, Any]) -> None:
    layers["q_conv2d"]["inbound_nodes"][0]["kwargs"] = {"mask": 1}


def _ends_in(kind: str, **settings: Any) -> Callable[[dict[str, Any]], Any]:
    """A layer of that kind instead of the flattening, and nothing behind it."""

    def put(layers: dict[str, Any]) -> None:
        layers["flatten"]["class_name"] = kind
        layers["flatten"]["config"].update(settings)
        layers["q_dense"].update(class_name="Dropout", module="keras.layers", registered_name=None)

    return put


REFUSED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], str, str]] = {
    "truncation": (_iq(round_mode="TRN"), _nothing, "'q_conv2d': its iq rounds by TRN", "RND"),
    "floating point": (_iq(q_type="float"), _nothing, "'q_conv2d': its iq: .*'float'", "'kif'"),
    "an affine quantizer": (_iq(affine=[0.25, 0.5]), _nothing, "affine or bw_mapper", "None"),
    "another overflow": (_iq(overflow_mode="WRAP_SM"), _nothing, "'WRAP_SM'", "SAT_SYM"),
    "nine bits": (
        _nothing,
        _set("q_conv2d/iq", 1, 8),
        "'q_conv2d': its iq has values of 512 steps; int8 has 256",
        r"MinMax\(0, 7\)",
    ),
    "dilations of zero": (
        lambda layers: layers["q_conv2d"]["config"].update(dilation_rate=[0, 0]),
        _nothing,
        r"'q_conv2d': settings or weights that do not fit it: a window of .* dilations \(0, 0\)",
        "damaged",
    ),
    "a maximum that is no number": (
        _ends_in("ReLU", max_value=float("nan"), negative_slope=0, threshold=0),
        _nothing,
        "'flatten': ReLU with max_value nan",
        "zero or more",
    ),
    "bits that are no numbers": (_nothing, _set("q_conv2d/iq", 1, np.nan), "not numbers", ""),
    "a negative scaler": (_iq(scaler=-0.5), _nothing, "its iq: a scaler of -0.5", "2^-64"),
    "a huge scaler": (_iq(scaler=1e300), _nothing, r"its iq: a scaler of 1e\+300", "2^64"),
    "a tiny scaler": (_iq(scaler=1e-310), _nothing, "its iq: a scaler of 1e-310", "2^-64"),
    "bits of another shape": (
        _nothing,
        _bits("q_conv2d/bq", (6, 6)),
        r"'q_conv2d': its bias: bits of shape \(6, 6\) for values of shape \(6,\)",
        "",
    ),
    "bits that multiply out": (
        _nothing,
        _bits("q_conv2d/iq", (50_000, 1), (1, 50_000)),
        r"'q_conv2d': .*(broadcast|bits of shape)",
        "",
    ),
    "a bias that is no number": (
        _nothing,
        _bias_of_nan,
        "'q_conv2d': settings or weights that do not fit it: weights that are not finite",
        "",
    ),
    "bits of their own for each row": (
        _nothing,
        _differing_rows,
        "'q_max_pooling2d': its iq has other bits from row to row",
        r"homogeneous_axis=\(0, 1, 2\)",
    ),
    "weights that int8 does not hold": (
        _nothing,
        _one_coarse_weight,
        "'q_conv2d': its kernel takes codes from .* to 384 in one channel",
        r"MinMax\(0, 7\)",
    ),
    "another layer of HGQ2": (
        _kind("q_max_pooling2d", "QSimpleRNN"),
        _nothing,
        "'q_max_pooling2d': unsupported layer QSimpleRNN",
        "supported: .*QConv2D",
    ),
    "a layer of float weights": (
        lambda layers: layers["flatten"].update(class_name="Dense", units=3),
        _nothing,
        "'flatten': unsupported layer Dense",
        "QDense",
    ),
    "weights of another shape": (
        lambda layers: layers["q_conv2d"]["config"].update(filters=7),
        _nothing,
        r"'q_conv2d': settings or weights that do not fit it: a kernel of shape \(3, 3, 3, 6\)",
        "damaged",
    ),
    "missing settings": (
        lambda layers: layers["q_conv2d"]["config"].pop("strides"),
        _nothing,
        "'q_conv2d': settings or weights that do not fit it: .*strides",
        "0.2",
    ),
    "a call with more": (_second_input, _nothing, "'q_conv2d': is called with mask=1", ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_on_int8_grids_is_refused_by_name(case: str, tmp_path: Path) -> None:
    config, weights, message, hint = REFUSED[case]
    path = edited(drawn("channels", tmp_path)[0], config, weights)
    with pytest.raises(ModelError, match=message) as caught:
        import_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hint == "" or any(
        part in caught.value.hint for part in hint.replace("\\", "").split(".*")
    )


def test_a_softmax_at_the_end_is_left_out_and_one_before_it_refused(tmp_path: Path) -> None:
    path, inputs, outputs = drawn("channels", tmp_path)
    activation = {"activation": "softmax"}
    last = edited(path, lambda layers: layers["q_dense"]["config"].update(activation), _nothing)
    found = in_real_numbers(last, inputs.astype(np.float32) / np.float32(128))
    assert (found.argmax(axis=-1) == outputs.argmax(axis=-1)).mean() > 0.9
    assert import_model(last).graph.output_tensor.shape == (5,)
    first = edited(path, lambda layers: layers["q_conv2d"]["config"].update(activation), _nothing)
    with pytest.raises(ModelError, match="'q_conv2d': softmax or sigmoid before the end"):
        import_model(first)


def test_the_quantizer_of_left_out_probabilities_does_not_clamp_logits(tmp_path: Path) -> None:
    path, inputs, _ = drawn("channels", tmp_path)
    real = inputs.astype(np.float32) / np.float32(128)

    def logits(**settings: Any) -> Any:
        return in_real_numbers(
            edited(path, lambda layers: layers["q_dense"]["config"].update(settings), _nothing),
            real,
        )

    expected = logits(enable_oq=False)
    assert (logits(enable_oq=True) != expected).any()
    np.testing.assert_array_equal(logits(enable_oq=True, activation="softmax"), expected)
    last = edited(
        path, lambda layers: layers["q_dense"]["config"].update(activation="softmax"), _nothing
    )
    assert any(
        "'q_dense': the quantizer of its prob" in note
        for note in trace(last, read_contents(last))[1]
    )


def test_a_left_out_softmax_keeps_the_quantizer_before_it(tmp_path: Path) -> None:
    def softmax(layers: dict[str, Any]) -> None:
        own = layers["q_conv2d"]["config"]["iq_conf"]
        layers["q_dense"]["class_name"] = "QSoftmax"
        layers["q_dense"]["config"].update(enable_iq=True, iq_conf=own)

    path = drawn("channels", tmp_path)[0]
    last = edited(path, softmax, lambda groups: groups["q_conv2d"].copy("iq", groups["q_dense"]))
    nodes, notes = trace(last, read_contents(last))
    assert any(node.name.startswith("q_dense/iq") for node in nodes)
    assert any("'q_dense': the quantizer of its prob" in note for note in notes)


def test_averages_of_channels_with_steps_of_their_own_stay_as_fine(tmp_path: Path) -> None:
    path, inputs, _ = drawn("channels", tmp_path)
    real = inputs.astype(np.float32) / np.float32(128)
    flat = in_real_numbers(edited(path, _ends_in("Flatten"), _nothing), real)
    cells = flat.reshape(len(real), -1, 6)
    average = _ends_in("GlobalAveragePooling2D", keepdims=False)
    found = in_real_numbers(edited(path, average, _nothing), real)
    np.testing.assert_allclose(found.reshape(-1, 6), cells.mean(axis=1), atol=1e-5)


def test_calls_are_sorted_in_a_time_that_grows_with_their_number() -> None:
    """A chain in reverse, of which each round frees one call."""
    length = 20_000
    layers = [
        {"name": str(index), "inbound_nodes": [[[str(index - 1), 0, 0, {}]]] if index else []}
        for index in reversed(range(length))
    ]
    config = {"class_name": "Functional", "config": {"layers": layers}}
    start = time.process_time()
    assert [call[0] for call in _calls(config)] == [str(index) for index in range(length)]
    assert time.process_time() - start < 5
    layers.pop()
    with pytest.raises(ModelError, match=f"'{length - 1}': is called with a value that no layer"):
        list(_calls(config))


def test_zeros_between_groups_are_limited() -> None:
    codes = np.zeros((4096, 1, 1, 8), np.int16)
    linear = n.Linear(
        name="wide",
        inputs=[],
        shape=(1, 1, 4096),
        kind="conv2d",
        codes=codes,
        scales=np.ones(4096),
        bias=np.zeros(4096),
    )
    assert plain.ungrouped(linear, 16, 2).codes.shape == (4096, 1, 1, 16)
    linear.codes = codes
    with pytest.raises(ModelError, match="'wide': 134,217,728 weights"):
        plain.ungrouped(linear, 2**15, 2**12)


def test_errors_name_the_file_once(tmp_path: Path) -> None:
    for content in (b"", drawn("channels", tmp_path)[0].read_bytes()[:-30]):
        path = tmp_path / "cut.keras"
        path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            import_hgq2(path)
        assert str(caught.value).count(str(path)) == 1


def test_quantizers_that_wrap_are_told(tmp_path: Path) -> None:
    (note,) = import_model(drawn("channels", tmp_path)[0]).notes
    assert "HGQ2 wraps them (WRAP): q_max_pooling2d/iq" in note


def test_damaged_files_give_errors_only(tmp_path: Path) -> None:
    """Bytes of the settings and of the weights are changed at random."""
    generator = random.Random(0)  # noqa: S311
    path, _, _ = drawn("channels", tmp_path)
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    refused = 0
    for _ in range(100):
        name = generator.choice(["config.json", "model.weights.h5"])
        content = bytearray(held[name])
        for _ in range(generator.choice((1, 4, 16))):
            content[generator.randrange(len(content))] = generator.randrange(256)
        with zipfile.ZipFile(tmp_path / "damaged.keras", "w") as archive:
            for entry, own in held.items():
                archive.writestr(entry, bytes(content) if entry == name else own)
        try:
            import_model(tmp_path / "damaged.keras")
        except TinyEdgeError:
            refused += 1
    assert refused > 30


ROUNDED = {
    "RND": [-2, 3, -3, 2],
    "RND_CONV": [-2, 2, -3, 2],
    "RND_INF": [-3, 3, -3, 2],
    "RND_MIN_INF": [-3, 2, -3, 2],
    "RND_ZERO": [-2, 2, -3, 2],
    "TRN": [-3, 2, -3, 2],
    "TRN_ZERO": [-2, 2, -2, 2],
}


@pytest.mark.parametrize("rounding", ROUNDED)
def test_constants_are_rounded_as_their_quantizer_says(rounding: str) -> None:
    one = np.ones(1)
    fixed = Fixed(one, 4 * one, one, rounding, "SAT")
    values = np.array([-1.25, 1.25, -1.375, 1.125], np.float32)
    np.testing.assert_array_equal(fixed.constants(values) * 2, ROUNDED[rounding])


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [("SAT", [-4, 3.5, 3]), ("SAT_SYM", [-3.5, 3.5, 3]), ("WRAP", [3, -3.5, 3])],
)
def test_constants_beyond_the_range_saturate_or_wrap(overflow: str, expected: list[float]) -> None:
    one = np.ones(1)
    fixed = Fixed(one, 2 * one, one, "RND", overflow)
    values = np.array([-5, 4.5, 3], np.float32)
    np.testing.assert_array_equal(fixed.constants(values), expected)
    dead = Fixed(0 * one, one, -one, "RND", overflow)
    assert not dead.constants(values).any()


def test_constants_keep_their_shape() -> None:
    """Bits of a bias may have a batch's axis."""
    row = np.ones((1, 3))
    for overflow in ("SAT", "WRAP"):
        fixed = Fixed(row, 2 * row, row, "RND", overflow)
        values = np.array([0.5, 1, -1.5], np.float32)
        np.testing.assert_array_equal(fixed.constants(values), values, strict=False)
        assert fixed.constants(values).shape == (3,)


def test_codes_are_the_smallest_integers_of_each_channel() -> None:
    codes, scales = codes_of(np.array([[0.75, -0.5], [3.0, 0.0], [0.0, 0.0]]), 2.0**-4)
    np.testing.assert_array_equal(codes, [[3, -2], [3, 0], [0, 0]])
    np.testing.assert_array_equal(scales, [0.25, 1.0, 1.0])
