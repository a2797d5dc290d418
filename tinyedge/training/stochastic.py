"""Training with QKeras' stochastic quantizers actually stochastic."""

from __future__ import annotations

import warnings
from typing import Any

from tinyedge.keras.environment import tf_keras


class StochasticTrainingModel(tf_keras.Model):  # type: ignore[misc]
    """A functional model whose training steps sample the stochastic quantizers.

    QKeras' ``stochastic_ternary`` and ``stochastic_binary`` sample only in Keras' learning phase 1.
    ``fit`` never sets it, so they would silently stay deterministic. The scope is opened for the
    training step alone: validation and inference stay deterministic.
    """

    def train_step(self, data: Any) -> Any:
        """Runs one optimizer step on a batch in learning phase 1; returns the metrics."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the scope is deprecated; QKeras reads it
            with tf_keras.backend.learning_phase_scope(1):
                return super().train_step(data)


def with_stochastic_training(model: Any) -> StochasticTrainingModel:
    """Wraps a functional model for training; the layers, and so the weights, are shared."""
    return StochasticTrainingModel(model.inputs, model.outputs, name=model.name)
