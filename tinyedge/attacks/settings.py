"""Which attacks there are, and what can be set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from tinyedge.errors import UsageError
from tinyedge.naming import epsilon_text, same_epsilon

Kind = Literal["white-box", "black-box", "transfer", "control"]
Norm = Literal["Linf", "L2"]


@dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes:
        name: as the command line has it.
        title: with its source.
        kind: what it needs: gradients, answers of the model, another model, or nothing.
        norm: that its change is measured in. An ``Linf`` attack spends ``epsilon``; an ``L2`` one
            looks for the smallest change, and is judged by what lies within ``epsilon_l2``.
    """

    name: str
    title: str
    kind: Kind
    norm: Norm


ATTACKS = {
    attack.name: attack
    for attack in (
        Attack("fgsm", "FGSM (arXiv 1412.6572)", "white-box", "Linf"),
        Attack("pgd", "PGD (arXiv 1706.06083)", "white-box", "Linf"),
        Attack("pgd-l2", "PGD in L2 (arXiv 1706.06083)", "white-box", "L2"),
        Attack("apgd", "Auto-PGD (arXiv 2003.01690)", "white-box", "Linf"),
        Attack("cw", "C&W L2 (arXiv 1608.04644)", "white-box", "L2"),
        Attack("square", "Square (arXiv 1912.00049)", "black-box", "Linf"),
        Attack("boundary", "Boundary (arXiv 1712.04248)", "black-box", "L2"),
        Attack("zoo", "ZOO (arXiv 1708.03999)", "black-box", "L2"),
        Attack("hopskipjump", "HopSkipJump (arXiv 1904.02144)", "black-box", "L2"),
        Attack("simba", "SimBA (arXiv 1905.07121)", "black-box", "L2"),
        Attack("refine", "transfer, then Square (arXiv 1908.07000)", "black-box", "Linf"),
        Attack("autoattack", "AutoAttack (arXiv 2003.01690)", "white-box", "Linf"),
        Attack("transfer-fgsm", "FGSM on the surrogate", "transfer", "Linf"),
        Attack("transfer-pgd", "PGD on the surrogate", "transfer", "Linf"),
        Attack("noise", "uniform noise", "control", "Linf"),
    )
}
"""All attacks by name."""

DESCENTS = ("fgsm", "pgd", "pgd-l2", "apgd", "autoattack")
"""White-box attacks that are one implementation for float models and integer graphs."""

INTEGER_ATTACKS = ("fgsm", "pgd", "apgd", "autoattack")
"""White-box attacks that there are on a converted model too, by whole int8 steps of its input."""


def checked_epsilons(values: Sequence[float]) -> tuple[float, ...]:
    """Epsilons from the smallest to the largest.

    Raises:
        UsageError: there is none, one is not positive and finite, or two are the same to the three
            digits that suites are named by.
    """
    hint = "one number, or several, as 2/255, 4/255 and 8/255"
    if not len(values):
        raise UsageError("epsilon: none is given", hint)
    epsilons = tuple(sorted(float(value) for value in values))
    for epsilon in epsilons:
        if not 0 < epsilon < math.inf:
            raise UsageError(f"epsilon is {epsilon:g}, allowed: above 0, and finite", hint)
    for first, second in pairwise(epsilons):
        if same_epsilon(first, second):
            raise UsageError(
                f"epsilon is {epsilon_text(second)} twice, allowed: values that differ in three "
                "digits",
                hint,
            )
    return epsilons


@dataclass(frozen=True)
class AttackSettings:
    """Budgets of the attacks; lengths are in units of the model's float input.

    Attributes:
        epsilon: largest change of any input value (L-infinity); of several the largest.
        epsilons: all of several, from the smallest to the largest; empty if there is one.
        step: of each PGD iteration; a quarter of its epsilon by default.
        iterations: of PGD.
        restarts: random starts of each of PGD's losses, in both norms, and of Square.
        pgd_l2_iterations: of PGD in L2, in steps of 2.5 times its budget over their number.
        epsilon_l2: length of the change (L2) up to which an L2 attack counts as successful; by
            default that of a change of half epsilon, of several the largest, in every value.
        cw_iterations, cw_searches: of C&W: descent steps, and steps of the search for the constant.
        square_queries: of Square and of refining, a sample and restart.
        boundary_iterations: of Boundary; each takes some 40 queries a sample.
        zoo_iterations: of ZOO; each takes 256 queries a sample.
        hopskipjump_iterations: of HopSkipJump; the k-th takes some 100 * sqrt(k) queries a sample.
        simba_iterations: of SimBA; each takes 2 queries a sample.
        autoattack_iterations: of each Auto-PGD, alone and in AutoAttack, from one start for every
            loss and target, and of FAB for every target.
        autoattack_queries: of Square in AutoAttack, a sample.
        temperature: that attacks divide the logits by. At that which the model was trained with,
            its softmax does not saturate, and C&W's constant weighs what it does elsewhere.
        seed: of everything random.
        batch: samples at a time.
        clip: range that every sample stays in.
    """

    epsilon: float
    step: float | None = None
    iterations: int = 20
    restarts: int = 1
    pgd_l2_iterations: int = 60
    epsilon_l2: float | None = None
    cw_iterations: int = 200
    cw_searches: int = 6
    square_queries: int = 1000
    boundary_iterations: int = 200
    zoo_iterations: int = 100
    hopskipjump_iterations: int = 10
    simba_iterations: int = 1000
    autoattack_iterations: int = 100
    autoattack_queries: int = 5000
    temperature: float = 1.0
    seed: int = 0
    batch: int = 100
    clip: tuple[float, float] = (0.0, 1.0)
    epsilons: tuple[float, ...] = ()

    @classmethod
    def at(cls, epsilons: Sequence[float], **others: Any) -> AttackSettings:
        """Settings of attacks at one epsilon or several.

        Args:
            epsilons: in any order.
            **others: all other settings.

        Raises:
            UsageError: see ``checked_epsilons``.
        """
        ordered = checked_epsilons(epsilons)
        several = ordered if len(ordered) > 1 else ()
        return cls(epsilon=ordered[-1], epsilons=several, **others)

    def by_suite(self, attack: str) -> dict[str, AttackSettings]:
        """The settings of each suite that an attack makes, by its name.

        That is one suite an epsilon, named ``ATTACK@EPSILON`` if there are several; one in all of
        an L2 attack, which has none to spend.
        """
        if not self.epsilons or ATTACKS[attack].norm == "L2":
            return {attack: self}
        return {
            f"{attack}@{epsilon_text(epsilon)}": replace(self, epsilon=epsilon, epsilons=())
            for epsilon in self.epsilons
        }

    @property
    def pgd_step(self) -> float:
        """Step of each PGD iteration."""
        return self.epsilon / 4 if self.step is None else self.step

    def step_of(self, attack: str, values: int) -> float:
        """Step of each iteration of PGD in its own norm, for inputs of so many values."""
        if ATTACKS[attack].norm == "Linf":
            return self.pgd_step
        return 2.5 * self.l2_budget(values) / self.pgd_l2_iterations

    def l2_budget(self, values: int) -> float:
        """Length up to which an L2 attack's change counts, for inputs of so many values."""
        half = 0.5 * self.epsilon * float(values) ** 0.5
        return half if self.epsilon_l2 is None else self.epsilon_l2

    def describe(self, name: str, values: int) -> dict[str, Any]:
        """Describes an attack on inputs of so many values, for a report."""
        attack = ATTACKS[name]
        linf = attack.norm == "Linf"
        described: dict[str, Any] = {
            "attack": name,
            "kind": attack.kind,
            "norm": attack.norm,
            "epsilon": self.epsilon if linf else self.l2_budget(values),
            "epsilon_unit": "float input",
            "clip": list(self.clip),
            "seed": self.seed,
        }
        if attack.kind == "white-box":
            described["gradient_of"] = "logits of the float model, straight-through quantizers"
            described["temperature"] = self.temperature
        return described | {
            "pgd": self._pgd(),
            "pgd-l2": {
                "step": self.step_of("pgd-l2", values),
                "iterations": self.pgd_l2_iterations,
                "restarts": self.restarts,
            },
            "transfer-pgd": self._pgd(),
            "cw": {"iterations": self.cw_iterations, "searches": self.cw_searches},
            "square": {"square_queries": self.square_queries, "restarts": self.restarts},
            "boundary": {"iterations": self.boundary_iterations},
            "zoo": {"iterations": self.zoo_iterations},
            "hopskipjump": {"iterations": self.hopskipjump_iterations},
            "simba": {"iterations": self.simba_iterations, "temperature": self.temperature},
            "refine": {"square_queries": self.square_queries, "restarts": self.restarts},
            "apgd": {"iterations": self.autoattack_iterations, "restarts": 1},
            "autoattack": {
                "iterations": self.autoattack_iterations,
                "restarts": 1,
                "queries": self.autoattack_queries,
            },
        }.get(name, {})

    def _pgd(self) -> dict[str, Any]:
        return {"step": self.pgd_step, "iterations": self.iterations, "restarts": self.restarts}
