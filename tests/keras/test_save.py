"""Models at hand are what their files say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.importers import keras_models as km
from tinyedge.errors import ModelError
from tinyedge.importers import import_model
from tinyedge.keras.environment import qkeras, tf_keras
from tinyedge.keras.load import load_keras_model
from tinyedge.keras.save import save_keras_model

layers = tf_keras.layers

LOST: dict[str, tuple[Callable[[], Any], str]] = {
    "activation": (
        lambda: qkeras.QActivation(
            qkeras.quantized_relu(4, 1, is_quantized_clip=False, relu_upper_bound=1.5), name="a"
        ),
        "layer 'a': activation is quantized_relu with is_quantized_clip False, .* it is True",
    ),
    "activation of a layer": (
        lambda: qkeras.QDense(
            3,
            kernel_quantizer="ternary",
            activation=qkeras.quantized_relu(4, 1, is_quantized_clip=False),
            name="b",
        ),
        "layer 'b': activation is quantized_relu with is_quantized_clip False, .* it is True",
    ),
    "kernel": (
        lambda: qkeras.QDense(
            3, kernel_quantizer=qkeras.quantized_bits(4, 0, 1, alpha="auto", scale_axis=0), name="c"
        ),
        "layer 'c': kernel_quantizer is quantized_bits with scale_axis 0, .* it is None",
    ),
    "layer of a layer": (
        lambda: layers.TimeDistributed(
            qkeras.QActivation(qkeras.quantized_relu(4, 1, is_quantized_clip=False), name="d")
        ),
        "layer 'd': activation is quantized_relu with is_quantized_clip",
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_a_setting_that_a_file_does_not_keep_is_refused(case: str, tmp_path: Path) -> None:
    make, told = LOST[case]
    model = km.sequential((4, 6), make())
    with pytest.raises(ModelError, match=told):
        save_keras_model(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_settings_that_are_kept_are_saved(tmp_path: Path) -> None:
    """Before and after the quantizers have run; settings for training alone go without a word."""
    relu = qkeras.quantized_relu(4, 1, use_ste=False)
    kernel = qkeras.quantized_bits(4, 0, 1, alpha="auto")
    stack = (
        km.conv(quantizer="stochastic_ternary", bias_quantizer="quantized_bits(8, 2)"),
        qkeras.QActivation(relu),
        km.separable(quantizer="binary"),
        layers.Flatten(),
        qkeras.QDense(3, kernel_quantizer=kernel),
    )
    model = km.sequential((6, 6, 2), *stack)
    save_keras_model(model, tmp_path)
    km.randomized(model)
    path = save_keras_model(model, tmp_path)
    assert len(load_keras_model(path).layers) == len(model.layers)
    assert import_model(path).graph.operators
