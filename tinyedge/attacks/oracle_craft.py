"""Attacks by name on a converted model, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinyedge.attacks.craft import Crafter, Float32, Labels
from tinyedge.attacks.integer_craft import IntegerCrafter
from tinyedge.attacks.oracle import Oracle, Search
from tinyedge.attacks.settings import ATTACKS, AttackSettings


class OracleCrafter(Crafter):
    """A converted model under attack by its answers, a sample at a time.

    A device computes one sample after another anyway. So every sample has its own queries and its
    own random numbers, and what becomes of it does not depend on which others are attacked, but
    for the fallback of ``starting_points``. The result is the best input that was asked about, not
    what the attack returns: the device has given its verdict on exactly these bytes.

    White-box attacks go through the gradients of its graph, see ``IntegerCrafter``.

    Args:
        oracle: what is attacked.
        settings: of the attacks.
        surrogate: see ``Crafter``.
        transferred: see ``Crafter``.
    """

    def __init__(
        self,
        oracle: Oracle,
        settings: AttackSettings,
        surrogate: Crafter | None = None,
        transferred: Float32 | None = None,
    ) -> None:
        super().__init__(oracle, oracle, settings, surrogate, transferred)
        self._oracle = oracle
        self._searches: list[Search] = []

    @cached_property
    def _integers(self) -> IntegerCrafter:
        return IntegerCrafter(self._oracle)

    @cached_property
    def _estimator(self) -> Any:
        from tinyedge.attacks.art_oracle import ArtOracle

        return ArtOracle(self._oracle)

    def check(self, attacks: Sequence[str]) -> None:
        """Raises what would stop a white-box attack, before anything is computed.

        Raises:
            UsageError: an epsilon is below one int8 step of the input.
            ModelError: an operator has no gradient.
        """
        for attack in attacks:
            if ATTACKS[attack].kind == "white-box":
                for settings in self.settings.by_suite(attack).values():
                    self._integers.details(attack, settings)

    def details(self, attack: str) -> dict[str, Any]:
        if ATTACKS[attack].kind == "white-box":
            return self._integers.details(attack, self.settings)
        if ATTACKS[attack].kind != "black-box":
            return {}
        asked = [search.asked for search in self._searches]
        sent = [search.sent for search in self._searches]
        return {
            "oracle": self._oracle.about,
            "queries": sum(asked),
            "queries_sent": sum(sent),
            "queries_by_sample": {"asked": asked, "sent": sent},
            "query_budget": self._oracle.budget,
            "budget_reached": sum(search.exhausted for search in self._searches),
        }

    def _craft(
        self, attack: str, inputs: Float32, labels: Labels, progress: Callable[[int], None]
    ) -> Float32:
        if ATTACKS[attack].kind == "white-box":
            return self._integers.craft(attack, inputs, labels, self.settings, progress)
        self._searches = []
        crafted = []
        for index in range(len(inputs)):
            part = slice(index, index + 1)
            sequence = np.random.SeedSequence([self.settings.seed, index])
            np.random.seed(sequence.generate_state(1))  # noqa: NPY002 - that ART draws from
            random = np.random.default_rng(sequence)
            generate = self._method(attack, random, (inputs, labels))
            with self._oracle.search(inputs[index], int(labels[index]), ATTACKS[attack].norm) as of:
                generate(inputs[part], labels[part], part)
            self._searches.append(of)
            crafted.append(of.best)
            progress(1)
        return np.stack(crafted)
