import numpy as np
import pytest
from numpy.typing import NDArray

from tinyedge.datasets import LabelledSamples
from tinyedge.errors import DataError
from tinyedge.evaluation.suites import Suite, suite_of
from tinyedge.graph.tensors import Quantization
from tinyedge.naming import epsilon_number, epsilon_text
from tinyedge.samples.scaling import ModelInput, checked_values, wide_epsilon

BYTES = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
SHAPE = (16, 16, 1)
UNIT = Quantization(1 / 255, -128)
SIGNED = Quantization(2 / 255, 0)
RAW = Quantization(0.984, -128)


@pytest.mark.parametrize("quantization", [UNIT, SIGNED, RAW])
def test_int8_values_are_the_input_itself(quantization: Quantization) -> None:
    takes = ModelInput(SHAPE, quantization)
    values = BYTES.view(np.int8)
    assert takes.int8(values).tobytes() == BYTES.tobytes()
    assert quantization.quantize(takes.real(values)).tobytes() == BYTES.tobytes()
    assert takes.reading(values) == "int8 values are the input itself"


@pytest.mark.parametrize("quantization", [UNIT, SIGNED, Quantization(1.0, -128)])
def test_bytes_are_the_input_where_the_model_file_takes_bytes(quantization: Quantization) -> None:
    takes = ModelInput(SHAPE, quantization, takes_bytes=True)
    expected = (BYTES.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_array_equal(takes.int8(BYTES), expected)
    np.testing.assert_array_equal(quantization.quantize(takes.real(BYTES)), expected)
    assert "bytes are the input itself" in takes.reading(BYTES)


def test_the_user_decides_what_pixels_stand_for() -> None:
    takes = ModelInput(SHAPE, RAW, takes_bytes=True, pixels=(0.0, 1.0))
    assert takes.int8(BYTES).max() <= -126
    assert takes.reading(BYTES) == "pixels from 0 to 255 stand for 0 to 1"


@pytest.mark.parametrize(
    ("quantization", "low", "high"),
    [(UNIT, 0, 1), (SIGNED, -1, 1), (RAW, 0, 255), (Quantization(1.0, 0), -128, 127)],
)
def test_pixels_are_scaled_by_the_range_of_the_input(
    quantization: Quantization, low: float, high: float
) -> None:
    takes = ModelInput(SHAPE, quantization)
    assert takes.pixel_range == (low, high)
    floats = (low + BYTES.astype(np.float64) * ((high - low) / 255)).astype(np.float32)
    np.testing.assert_array_equal(takes.int8(BYTES), quantization.quantize(floats))
    assert len(np.unique(takes.int8(BYTES))) > 200


@pytest.mark.parametrize("quantization", [SIGNED, Quantization(2 / 255, -1), UNIT])
def test_files_data_sets_and_attacks_give_a_pixel_one_value(quantization: Quantization) -> None:
    run = ModelInput(SHAPE, quantization)
    attack = ModelInput(pixels=run.pixel_range)
    labels = np.zeros(1, np.int64)
    data = LabelledSamples(BYTES, labels, ("a",), "somewhere")
    ways = [
        run.int8(BYTES),
        run.int8(Suite("clean", BYTES, labels).fitted(run).inputs),
        run.int8(suite_of(data, "clean", run).inputs),
        run.int8(suite_of(data, "clean", attack).inputs),
    ]
    assert len({way.tobytes() for way in ways}) == 1


@pytest.mark.parametrize(
    ("quantization", "factor"),
    [(UNIT, "divided by 255"), (SIGNED, "divided by 127.5, and 1 subtracted")],
)
def test_floats_that_are_clipped_are_warned_of(quantization: Quantization, factor: str) -> None:
    takes = ModelInput(SHAPE, quantization)
    warning = takes.clipping(BYTES.astype(np.float32))
    assert warning.startswith("99 % of the values")
    assert factor in warning


def test_floats_that_fit_are_not_warned_of() -> None:
    for quantization in (UNIT, SIGNED):
        takes = ModelInput(SHAPE, quantization)
        fitting = takes.real(BYTES)
        fitting[0, 0, :2] = 1000.0  # 2 of 256: below 1 %
        assert not takes.clipping(fitting)
        assert not takes.clipping(BYTES)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[0.0, 1.0], [0.5, np.nan]], np.float32), "sample 1 holds nan"),
        (np.array([[0.0], [np.inf]], np.float16), "sample 1 holds inf"),
        (np.array([[1e300], [0.0]]), "sample 0 holds 1e"),
        (np.ones((2, 2), complex), "values are complex128"),
        (np.ones((2, 2), np.int64), "values are int64"),
        (np.array([[None]]), "values are object"),
        (np.array([["a"]]), "values are <U1"),
    ],
)
def test_values_that_are_no_samples_are_refused(values: NDArray[np.float32], said: str) -> None:
    with pytest.raises(DataError, match=f"s.npz: x: {said}"):
        checked_values("s.npz: x", values)


@pytest.mark.parametrize("clip", [(0.0, 1.0), (-1.0, 1.0)])
def test_an_epsilon_of_pixels_is_warned_of(clip: tuple[float, float]) -> None:
    width = clip[1] - clip[0]
    assert f"8 steps of a pixel are {8 * width / 255:.3g}" in wide_epsilon(8.0, clip)
    assert not wide_epsilon(8 / 255, clip)
    assert not wide_epsilon(8.0, (0.0, 255.0))


def test_int8_samples_are_refused_by_a_float_model() -> None:
    with pytest.raises(DataError, match="the model takes floats"):
        ModelInput().real(BYTES.view(np.int8))


@pytest.mark.parametrize(
    "typed", ["8/255", "2/255", "1/255", "0.1", "0.2", "0.0314", "1", "16/255"]
)
def test_an_epsilon_is_shown_as_it_was_typed(typed: str) -> None:
    assert epsilon_text(epsilon_number(typed)) == typed


def test_other_epsilons_are_shown_with_three_digits() -> None:
    assert epsilon_text(0.123456) == "0.123"
    assert epsilon_text(float(np.float32(8 / 255))) == "8/255"
    assert epsilon_text(1e-9) == "1e-09"
