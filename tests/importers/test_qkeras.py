from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.draws import some_of
from tests.importers import keras_models as km
from tinyedge import demo
from tinyedge.datasets import fashion_mnist
from tinyedge.errors import DataError, ModelError
from tinyedge.evaluation.metrics import verdicts
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers import import_model
from tinyedge.importers.qkeras import logits_function
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.samples.reading import read_calibration
from tinyedge.samples.scaling import ModelInput

pytestmark = pytest.mark.keras

layers = tf_keras.layers


def images(shape: tuple[int, ...], count: int = 200) -> np.ndarray:
    """Inputs in [0, 1] on the grid of 8-bit images, some of them smooth."""
    random = np.random.default_rng(5)
    noise = random.random((count, *shape))
    constant = random.random((count, *([1] * len(shape))))
    return (np.rint((noise + constant) / 2 * 255) / 255).astype(np.float32)


def difference(path: Path, x: np.ndarray, calibration: np.ndarray | None = None) -> Any:
    """Integer graph and float model: their difference in steps of the output."""
    graph = import_model(path, calibration).graph
    logits, _, _ = logits_function(path)
    expected = np.asarray(logits(x))
    quantization = graph.output_tensor.quantization
    found = quantization.dequantize(
        reference.run(graph, graph.input_tensor.quantization.quantize(x))
    )
    assert np.unique(found).size > 2
    return np.abs(found - expected) / quantization.scale


@pytest.mark.parametrize("name", some_of(km.EXACT_MODELS))
def test_models_on_grids_are_reproduced(name: str, tmp_path: Path) -> None:
    """All that differs is rounding: of biases and of scaled sums, finer than the output's step.

    It moves a few values across a boundary by one step, which later layers may enlarge.
    """
    model = km.randomized(km.EXACT_MODELS[name]())
    path = km.save(model, tmp_path / "model.h5")
    steps = difference(path, images(model.input_shape[1:]))
    operators = import_model(path).graph.operators
    weighted = sum(isinstance(operator, ops.Weighted) for operator in operators)
    if weighted == 1:
        assert steps.max() < 1.01
        assert (steps < 1e-3).mean() > 0.985
    else:
        assert np.sqrt((steps**2).mean()) < 0.25
        assert (steps < 1e-3).mean() > 0.95


def test_coarse_biases_get_a_finer_unit(tmp_path: Path) -> None:
    """One ternary product a channel: without multiples, its unit is far above an output's step."""
    x = layers.Input((6, 6, 1))
    y = km.relu(8, 0)(x)
    y = qkeras.QConv2D(4, 1, kernel_quantizer="ternary(alpha=1.0)", name="conv")(y)
    y = layers.BatchNormalization(name="normalization")(y)
    model = tf_keras.Model(x, km.signed(8, 1)(y))
    model.get_layer("conv").set_weights([np.ones((1, 1, 1, 4)), np.zeros(4)])
    gamma, beta = np.full(4, 30.0), np.array([0.3, 0.011, -0.507, 0.0])
    model.get_layer("normalization").set_weights([gamma, beta, np.zeros(4), np.full(4, 0.999)])
    graph = import_model(km.save(model, tmp_path / "model.h5")).graph
    (operator,) = [op for op in graph.operators if isinstance(op, ops.Weighted)]
    unit = graph.input_tensor.quantization.scale * operator.weights.scales.astype(np.float64)
    step = graph.output_tensor.quantization.scale
    assert operator.weights.integers.ravel().tolist() == [64, 64, 64, 64]
    np.testing.assert_allclose(operator.bias * unit, beta, atol=unit.max() / 2)
    assert (unit < step).all()


@pytest.mark.parametrize("layers_of_few_bits", [1, 2])
def test_sums_without_a_bias_get_a_finer_unit(layers_of_few_bits: int, tmp_path: Path) -> None:
    """Their products with the multiplier are rounded twice, the first time to the unit."""

    def conv() -> Any:
        return qkeras.QConv2D(8, 3, kernel_quantizer="ternary(alpha=1.0)", use_bias=False)

    stack = [layer for _ in range(layers_of_few_bits) for layer in (conv(), km.relu(4, 2))]
    last = qkeras.QDense(5, kernel_quantizer="ternary(alpha=1.0)", use_bias=False)
    model = km.randomized(km.sequential((9, 8, 3), *stack, layers.Flatten(), last))
    path = km.save(model, tmp_path / "model.h5")
    x = images((9, 8, 3))
    graph = import_model(path, x).graph
    expected = np.asarray(logits_function(path)[0](x))
    found = graph.output_tensor.quantization.dequantize(
        reference.run(graph, graph.input_tensor.quantization.quantize(x))
    )
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error < (0.007, 0.09)[layers_of_few_bits - 1]


@pytest.mark.parametrize(
    "activation", ["quantized_bits(4,1,alpha=0.7)", "quantized_bits(8,2,alpha=2.0)"]
)
def test_activations_of_another_scale_are_refused(activation: str, tmp_path: Path) -> None:
    """QKeras rounds before it multiplies by alpha: another function than a scaled grid."""
    model = km.sequential((9, 8, 3), km.conv(), qkeras.QActivation(activation))
    with pytest.raises(ModelError, match="alpha") as caught:
        import_model(km.save(model, tmp_path / "model.h5"))
    assert "Rescaling" in caught.value.hint


def test_a_quantizer_behind_a_global_average_joins_it(tmp_path: Path) -> None:
    model = km.sequential((8, 8, 3), km.conv(), km.relu(), layers.GlobalAveragePooling2D())
    plain = import_model(km.save(km.randomized(model), tmp_path / "plain.h5")).graph
    model = tf_keras.Model(model.inputs, km.relu(8, 1)(model.outputs[0]))
    joined = import_model(km.save(model, tmp_path / "joined.h5")).graph
    assert len(joined.operators) == len(plain.operators)
    mean = next(op for op in joined.operators if isinstance(op, ops.Mean))
    assert joined.tensors[mean.output].quantization.scale == 2.0**-7


@pytest.mark.parametrize(("name", "calibrated"), some_of(km.APPROXIMATE_MODELS, [True, False]))
def test_values_between_grids_are_approximated(
    name: str,
    calibrated: bool,  # noqa: FBT001 - pytest names it
    tmp_path: Path,
) -> None:
    model = km.randomized(km.APPROXIMATE_MODELS[name]())
    path = km.save(model, tmp_path / "model.h5")
    x = images(model.input_shape[1:])
    steps = difference(path, x, x if calibrated else None)
    assert np.sqrt((steps**2).mean()) < (1.6 if calibrated else 3.2)
    assert steps.max() < (8 if calibrated else 16)


@pytest.mark.parametrize("suffix", [".keras", pytest.param("", marks=pytest.mark.slow)])
def test_every_file_format_gives_the_same_graph(suffix: str, tmp_path: Path) -> None:
    model = km.randomized(km.residual(quantized_branches=True))
    reference_path = km.save(model, tmp_path / "first" / "model.h5")
    path = km.save(model, tmp_path / f"model{suffix}")
    first, other = import_model(reference_path).graph, import_model(path).graph
    assert [op.name for op in first.operators] == [op.name for op in other.operators]
    assert first.hash == other.hash


@pytest.mark.parametrize(
    "ending",
    [
        [layers.Softmax()],
        [layers.Activation("softmax")],
        [qkeras.QActivation("quantized_bits(8,3,1)"), layers.Softmax()],
    ],
)
def test_final_softmax_is_left_out(ending: list[Any], tmp_path: Path) -> None:
    model = km.randomized(km.sequential((9, 8, 3), layers.Flatten(), km.dense(), *ending))
    x = images((9, 8, 3))
    path = km.save(model, tmp_path / "model.h5")
    assert difference(path, x, x).max() < 2.5
    logits, _, classes = logits_function(path)
    assert classes == 5
    softened = tf_keras.activations.softmax(logits(x))
    np.testing.assert_allclose(softened, model(x), rtol=1e-4, atol=1e-5)


def test_softmax_inside_the_last_layer_is_left_out(tmp_path: Path) -> None:
    model = km.randomized(
        km.sequential((9, 8, 3), layers.Flatten(), km.dense(activation="softmax"))
    )
    x = images((9, 8, 3))
    path = km.save(model, tmp_path / "model.h5")
    assert difference(path, x, x).max() < 2.5


@pytest.mark.parametrize(
    "ending",
    [[km.dense(1, activation="sigmoid")], [km.dense(1), layers.Activation("sigmoid")]],
)
def test_sigmoid_of_one_output_is_left_out(ending: list[Any], tmp_path: Path) -> None:
    model = km.randomized(km.sequential((9, 8, 3), layers.Flatten(), *ending))
    x = images((9, 8, 3))
    path = km.save(model, tmp_path / "model.h5")
    assert difference(path, x, x).max() < 2.5
    graph = import_model(path, x).graph
    logits = reference.run(graph, ModelInput.of(graph).int8(x))
    found = verdicts(logits, graph.output_tensor.quantization)
    expected = (model(x).numpy().ravel() > 0.5).astype(int)
    assert set(expected) == {0, 1}
    assert (found == expected).mean() > 0.95


@pytest.mark.parametrize("scale", [1 / 255, 1 / 127.5])
def test_pixels_are_what_the_model_scales_itself(scale: float, tmp_path: Path) -> None:
    rescaling = layers.Rescaling(scale, offset=0.0 if scale < 1 / 200 else -1.0)
    model = km.randomized(km.sequential((9, 8, 3), rescaling, layers.Flatten(), km.dense()))
    path = km.save(model, tmp_path / "model.h5")
    pixels = np.rint(images((9, 8, 3)) * 255).astype(np.uint8)
    floats = pixels.astype(np.float32)
    graph = import_model(path, pixels).graph
    assert graph.hash == import_model(path, floats, (0, 255)).graph.hash
    takes = ModelInput.of(graph)
    np.testing.assert_array_equal(takes.int8(pixels), takes.int8(floats))
    assert len(np.unique(reference.run(graph, takes.int8(pixels)), axis=0)) > 100
    assert import_model(path).graph.input_tensor.quantization.scale == pytest.approx(1)


def test_raw_pixels_for_a_model_of_fractions_are_warned_of() -> None:
    fractions = demo.clean_suite().inputs[:40]
    [note] = import_model(demo.MODEL, fractions * 255).notes
    assert "reach 255" in note
    assert "divided by 255" in note
    assert not import_model(demo.MODEL, fractions).notes


def test_an_activation_that_is_zero_for_all_data_is_refused(tmp_path: Path) -> None:
    model = km.randomized(km.sequential((9, 8, 3), layers.Flatten(), km.dense(use_bias=False)))
    path = km.save(model, tmp_path / "model.h5")
    with pytest.raises(DataError, match="gives zero for all of the data"):
        import_model(path, np.zeros((10, 9, 8, 3), np.float32))


def test_layer_used_twice(tmp_path: Path) -> None:
    shared = km.conv(3, padding="same", activation="quantized_relu(8,2)")
    model = km.randomized(km.sequential((6, 6, 3), shared, shared))
    path = km.save(model, tmp_path / "model.h5")
    steps = difference(path, images((6, 6, 3)))
    assert steps.max() < 2.01
    assert (steps < 1e-3).mean() > 0.8


def test_weights_are_the_model_s_own_codes(tmp_path: Path) -> None:
    model = km.randomized(
        km.sequential(
            (9, 7, 3), km.conv(quantizer="ternary"), layers.BatchNormalization(), km.relu()
        )
    )
    graph = import_model(km.save(model, tmp_path / "model.h5")).graph
    operator = graph.operators[0]
    assert isinstance(operator, ops.Conv2D)
    assert operator.weights.bits == 2
    quantizer = qkeras.get_quantizer(km.KERNEL_QUANTIZERS["ternary"])
    expected = np.sign(np.asarray(quantizer(model.layers[1].kernel))).transpose(3, 0, 1, 2)
    gamma = model.layers[2].gamma.numpy()
    expected *= np.sign(gamma).reshape(-1, 1, 1, 1)
    assert np.array_equal(operator.weights.codes, expected)


BITS = {"ternary": 2, "binary": 1, "bits4": 4, "bits8": 8, "stochastic_ternary": 2}


@pytest.mark.parametrize("quantizer", BITS)
def test_bits_follow_the_quantizer(quantizer: str, tmp_path: Path) -> None:
    model = km.randomized(km.sequential((9, 7, 3), km.conv(quantizer=quantizer), km.signed()))
    operator = import_model(km.save(model, tmp_path / "model.h5")).graph.operators[0]
    assert isinstance(operator, ops.Conv2D)
    assert operator.weights.bits == BITS[quantizer]


UNSUPPORTED: dict[str, tuple[Any, str]] = {
    "transposed": (lambda: km.sequential((9, 8, 3), layers.Conv2DTranspose(4, 3)), "Transpose"),
    "plain convolution": (
        lambda: km.sequential((9, 8, 3), layers.Conv2D(4, 3)),
        "Conv2D has float weights",
    ),
    "tanh": (
        lambda: km.sequential((9, 8, 3), km.conv(), qkeras.QActivation("quantized_tanh(8)")),
        "quantized_tanh",
    ),
    "16 bits": (
        lambda: km.sequential((9, 8, 3), km.conv(), qkeras.QActivation("quantized_relu(16,4)")),
        "16 bits",
    ),
    "no kernel quantizer": (lambda: km.sequential((9, 8, 3), qkeras.QConv2D(4, 3)), "kernel quant"),
    "softmax inside": (
        lambda: km.sequential((9, 8, 3), km.conv(), layers.Softmax(), km.conv(), km.signed()),
        "softmax",
    ),
    "recurrent": (
        lambda: km.sequential((6, 4), layers.LSTM(3), km.dense()),
        "LSTM",
    ),
    "several outputs": (
        lambda: tf_keras.Model(
            inputs := layers.Input((9, 8, 3)), [km.conv()(inputs), km.conv()(inputs)]
        ),
        "one output",
    ),
    "open shape": (lambda: km.sequential((None, None, 3), km.conv(), km.signed()), "not fixed"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported_models_are_refused_by_name(case: str, tmp_path: Path) -> None:
    build, message = UNSUPPORTED[case]
    path = km.save(build(), tmp_path / "model.h5")
    with pytest.raises(ModelError, match=message) as caught:
        import_model(path)
    assert caught.value.hint


def test_lambda_is_refused(tmp_path: Path) -> None:
    model = km.sequential((9, 8, 3), km.conv(), layers.Lambda(lambda x: x * 2))
    for suffix in (".h5", ".keras"):
        path = km.save(model, tmp_path / f"model{suffix}")
        with pytest.raises(ModelError, match="Lambda"):
            import_model(path)


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    good = demo.MODEL.read_bytes()
    for name, content in (("cut.h5", good[:5000]), ("empty.keras", b""), ("text.h5", b"hello")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ModelError, match=name):
            import_model(path)
    with pytest.raises(ModelError, match="no such file"):
        import_model(tmp_path / "missing.h5")
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="kind of model") as caught:
        import_model(tmp_path / "model.bin")
    assert ".keras" in caught.value.hint


def test_calibration_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(DataError, match="28, 28, 1"):
        import_model(demo.MODEL, np.zeros((4, 27, 28, 1), np.float32))


def demo_graph() -> Graph:
    return import_model(demo.MODEL, read_calibration(demo.CALIBRATION)).graph


def test_demo_agrees_with_qkeras_on_the_test_set() -> None:
    """Top-1 on 2,000 images of the test set, of which half ship with the demonstration."""
    from tests.conftest import require

    try:
        x = (fashion_mnist.load("test").x / 255.0).astype(np.float32)
        found = ["Fashion-MNIST"]
    except DataError:
        found = []
    require(found, "Fashion-MNIST")
    graph = demo_graph()
    logits, _, _ = logits_function(demo.MODEL)
    expected = np.concatenate([np.asarray(logits(x[i : i + 500])) for i in range(0, 2000, 500)])
    found_logits = reference.run(graph, graph.input_tensor.quantization.quantize(x[:2000]))
    assert (found_logits.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.997


def test_demo_holds_every_kind_of_layer() -> None:
    graph = demo_graph()
    kinds = {type(operator) for operator in graph.operators}
    assert {ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected, ops.Add} <= kinds
    assert {ops.MaxPool2D, ops.AveragePool2D} <= kinds
    bits = {op.weights.bits for op in graph.operators if isinstance(op, ops.Weighted)}
    assert bits == {2, 8}


AVERAGES: dict[str, tuple[Any, ...]] = {
    "whole": (layers.AveragePooling2D(8), layers.Flatten()),
    "whole, same": (layers.AveragePooling2D(9, padding="same"), layers.Flatten()),
    "whole, QKeras": (qkeras.QAveragePooling2D(8), layers.Flatten()),
    "windows": (layers.AveragePooling2D(4), layers.Flatten()),
    "behind a maximum": (layers.MaxPooling2D(2), layers.AveragePooling2D(2), layers.Flatten()),
}


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("bits", [2, 4])
def test_averages_of_few_bits_are_fine(average: str, bits: int, tmp_path: Path) -> None:
    """An average of coarse values lies between their steps; the next layer reads it there."""
    model = km.randomized(
        km.sequential(
            (8, 8, 3),
            km.conv(padding="same"),
            layers.BatchNormalization(),
            km.relu(bits, 1),
            *AVERAGES[average],
            km.dense(10, "bits8"),
            km.signed(8, 3),
        )
    )
    path = km.save(model, tmp_path / "model.h5")
    steps = difference(path, images((8, 8, 3)))
    assert steps.mean() < 0.15
    assert steps.max() < 2.01
    kinds = {type(operator) for operator in import_model(path).graph.operators}
    assert (ops.Mean in kinds) == average.startswith("whole")


def test_a_quantizer_behind_an_average_of_few_bits_stays(tmp_path: Path) -> None:
    """It rounds the finer average back to the steps before it; ninths have no halves between."""
    model = km.randomized(
        km.sequential(
            (9, 9, 3),
            km.conv(padding="same"),
            layers.BatchNormalization(),
            km.relu(2, 1),
            layers.AveragePooling2D(3),
            km.relu(2, 1),
            layers.Flatten(),
            km.dense(10, "bits8"),
            km.signed(8, 3),
        )
    )
    path = km.save(model, tmp_path / "model.h5")
    steps = difference(path, images((9, 9, 3)))
    assert steps.mean() < 0.15
    assert steps.max() < 2.01


def test_an_average_of_8_bits_takes_no_more_operators(tmp_path: Path) -> None:
    model = km.sequential((8, 8, 3), km.conv(), km.relu(8, 1), layers.AveragePooling2D(2))
    graph = import_model(km.save(km.randomized(model), tmp_path / "model.h5")).graph
    assert [type(operator) for operator in graph.operators] == [ops.Conv2D, ops.AveragePool2D]


@pytest.mark.parametrize("outputs", [1, 5])
def test_calibration_data_tell_the_agreement_with_the_model(outputs: int, tmp_path: Path) -> None:
    stack = (layers.Flatten(), km.dense(outputs, "bits8"), km.signed(8, 3))
    path = km.save(km.randomized(km.sequential((6, 6, 2), *stack)), tmp_path / "model.h5")
    x = images((6, 6, 2), 300)
    assert import_model(path).agreement is None
    agreement = import_model(path, x).agreement
    assert agreement is not None
    assert agreement.samples == 256
    assert agreement.same > 0.97
    assert agreement.mean_error == pytest.approx(difference(path, x, x)[:256].mean())
    pixels = np.rint(255 * x).astype(np.uint8)  # the float model takes them scaled, too
    same = import_model(path, pixels).agreement
    assert same == import_model(path, x, (0.0, 1.0)).agreement
