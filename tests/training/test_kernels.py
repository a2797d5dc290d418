from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.models.kernels import quantized_kernels
from tinyedge.models.networks import build_network
from tinyedge.training.kernels import (
    PORTIONS,
    deterministic,
    filter_errors,
    partly_quantized,
    sampled,
    select_filters,
    training_kernels,
    write_quantized,
)
from tinyedge.training.trainer import portion_of

pytestmark = pytest.mark.keras

DRAWS = 400
KERNEL = tf.constant(np.random.default_rng(0).normal(0, 0.2, (3, 3, 4, 6)).astype(np.float32))


def seed(number: int) -> Any:
    return tf.constant([7, number])


@pytest.mark.slow
@pytest.mark.parametrize(
    "quantizer",
    [qkeras.stochastic_ternary(alpha="auto"), qkeras.stochastic_binary(alpha="auto")],
    ids=["ternary", "binary"],
)
def test_samples_are_distributed_as_those_of_qkeras(quantizer: Any) -> None:
    ours = np.mean([sampled(quantizer, KERNEL, 3, seed(i)).numpy() for i in range(DRAWS)], axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the scope is deprecated; QKeras reads it
        with tf_keras.backend.learning_phase_scope(1):
            theirs = np.mean([quantizer(KERNEL).numpy() for _ in range(DRAWS)], axis=0)
    scale = float(np.max(quantizer.scale))
    # Each mean of 400 draws has a deviation of at most scale / 20.
    assert np.abs(ours - theirs).max() < 5 * np.sqrt(2) * scale / 20
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_samples_follow_their_seed_alone() -> None:
    quantizer = qkeras.stochastic_ternary(alpha="auto")
    first, other, again = (sampled(quantizer, KERNEL, 3, seed(i)).numpy() for i in (1, 2, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    codes = first / np.asarray(quantizer.scale)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-5)
    assert set(np.rint(codes).ravel()) == {-1, 0, 1}


def test_gradient_goes_straight_through() -> None:
    quantizer = qkeras.stochastic_ternary(alpha="auto")
    for kernel in (sampled, deterministic, partial(partly_quantized, portion=tf.constant(0.5))):
        with tf.GradientTape() as tape:
            tape.watch(KERNEL)
            total = tf.reduce_sum(kernel(quantizer, KERNEL, 3, seed(0)))
        np.testing.assert_array_equal(tape.gradient(total, KERNEL), np.ones(KERNEL.shape))


@pytest.mark.parametrize("portion", PORTIONS)
def test_the_scheduled_share_of_filters_is_quantized(portion: float) -> None:
    quantizer = qkeras.stochastic_ternary(alpha="auto")
    kernel = tf.random.stateless_normal((3, 3, 2, 16), seed(0))
    quantized = deterministic(quantizer, kernel).numpy()
    for number in range(5):
        found = partly_quantized(quantizer, kernel, 3, seed(number), portion=portion).numpy()
        whole = [np.array_equal(found[..., i], quantized[..., i]) for i in range(16)]
        kept = [np.array_equal(found[..., i], kernel[..., i]) for i in range(16)]
        assert sum(whole) == round(portion * 16)
        assert sum(kept) == 16 - round(portion * 16)


def test_filters_are_chosen_inversely_to_their_error() -> None:
    """With one filter of four drawn, the probabilities are exactly 1/error, normalized."""
    error = tf.constant([0.1, 0.2, 0.4, 0.8])
    draws = [select_filters(error, 0.25, seed(i)).numpy() for i in range(4000)]
    assert {int(draw.sum()) for draw in draws} == {1}
    expected = 1 / error.numpy().astype(np.float64)
    expected /= expected.sum()
    counts = np.sum(draws, axis=0)
    assert chisquare(counts, expected * len(draws)).pvalue > 1e-3


def test_errors_are_relative_l1_distances() -> None:
    kernel = np.array([[1.0, -2.0], [3.0, 4.0]], dtype=np.float32)
    quantized = np.array([[1.0, -3.0], [2.0, 3.0]], dtype=np.float32)
    np.testing.assert_allclose(filter_errors(kernel, quantized, 1), [1 / 4, 2 / 6], rtol=1e-5)
    np.testing.assert_allclose(filter_errors(kernel, quantized, 0), [1 / 3, 2 / 7], rtol=1e-5)


def test_portions_take_equal_shares_of_the_epochs() -> None:
    assert [portion_of(epoch, 8) for epoch in range(8)] == sorted(PORTIONS * 2)
    assert [portion_of(epoch, 1) for epoch in range(1)] == [0.5]
    assert portion_of(9, 10) == 1.0


def test_kernels_are_replaced_for_the_block_alone() -> None:
    model = build_network("stq", "stq", (8, 8, 1), 10, width=0.1)
    images = tf.random.stateless_uniform((2, 8, 8, 1), seed(0))
    before = model(images, training=False).numpy()
    seen = []

    def halved(quantizer: Any, kernel: Any, axis: int, seed: Any) -> Any:
        seen.append((quantizer, axis, tuple(seed.numpy())))
        return 0.5 * deterministic(quantizer, kernel)

    with training_kernels(model, halved, seed(0)):
        assert np.abs(model(images, training=False).numpy() - before).max() > 1e-3
    np.testing.assert_array_equal(model(images, training=False), before)
    assert len({own for _, _, own in seen}) == len(seen) == len(quantized_kernels(model))
    assert {axis for quantizer, axis, _ in seen if quantizer.bits == 8} == {1, 2, 3}


def test_written_kernels_hold_three_values_and_compute_the_same() -> None:
    model = build_network("stq", "stq", (8, 8, 1), 10, width=0.1)
    images = tf.random.stateless_uniform((2, 8, 8, 1), seed(0))
    before = model(images, training=False).numpy()
    write_quantized(model)
    np.testing.assert_allclose(model(images, training=False), before, atol=1e-5)
    ternary = [k for k in quantized_kernels(model) if isinstance(k.quantizer, qkeras.ternary)]
    assert len(ternary) == 4
    for kernel in ternary:
        values = kernel.variable.numpy()
        for channel in range(values.shape[-1]):
            scale = np.abs(values[..., channel]).max()
            assert set(np.unique(values[..., channel])) <= {-scale, np.float32(0), scale}
