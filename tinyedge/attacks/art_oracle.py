"""A converted model as attacks of ART's see it."""

from __future__ import annotations

from typing import Any

from tinyedge.attacks.environment import BlackBoxClassifierNeuralNetwork
from tinyedge.attacks.oracle import Float32, Oracle


class ArtOracle(BlackBoxClassifierNeuralNetwork):  # type: ignore[misc]
    """An oracle as a black-box classifier of ART's.

    Args:
        oracle: counts and records what is asked.
    """

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        super().__init__(
            oracle.logits,
            oracle.shape,
            oracle.classes,
            channels_first=False,
            clip_values=oracle.clip_values,
        )

    def predict(self, x: Any, batch_size: int = 128, **_: Any) -> Float32:  # noqa: ARG002
        """Logits divided by the temperature, float32 (n, classes)."""
        return self._oracle.predict(x)
