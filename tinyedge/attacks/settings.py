"""Which attacks there are, and what can be set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ATTACKS = ("fgsm", "pgd")
"""Names of the attacks, all of them white-box and bounded in L-infinity."""


@dataclass(frozen=True)
class AttackSettings:
    """Budget of the attacks, in units of the model's float input.

    Attributes:
        epsilon: largest change of any input value (L-infinity).
        step: of each PGD iteration; a quarter of epsilon by default.
        iterations: of PGD.
        restarts: random starts of PGD.
        seed: of the random starts.
        batch: samples at a time.
        clip: range that every sample stays in.
    """

    epsilon: float
    step: float | None = None
    iterations: int = 20
    restarts: int = 1
    seed: int = 0
    batch: int = 100
    clip: tuple[float, float] = (0.0, 1.0)

    @property
    def pgd_step(self) -> float:
        """Step of each PGD iteration."""
        return self.epsilon / 4 if self.step is None else self.step

    def describe(self, attack: str) -> dict[str, Any]:
        """What a report has to say of an attack."""
        described: dict[str, Any] = {
            "attack": attack,
            "norm": "Linf",
            "epsilon": self.epsilon,
            "epsilon_unit": "float input",
            "clip": list(self.clip),
            "gradient_of": "logits of the float model, straight-through quantizers",
        }
        if attack == "pgd":
            described |= {
                "step": self.pgd_step,
                "iterations": self.iterations,
                "restarts": self.restarts,
                "seed": self.seed,
            }
        return described
