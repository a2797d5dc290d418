"""Attacks by name on a converted model, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinyedge.attacks.craft import Crafter, Float32, Labels
from tinyedge.attacks.integer_craft import IntegerCrafter
from tinyedge.attacks.oracle import Oracle
from tinyedge.attacks.pieces import Piece
from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.threads import one_thread

_SAMPLES_AT_ONCE = 10
"""Samples in a part of an attack by queries; each is attacked by itself."""


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

    def details(self, attack: str, crafted: Piece) -> dict[str, Any]:
        if ATTACKS[attack].kind == "white-box":
            return self._integers.details(attack, self.settings)
        if ATTACKS[attack].kind != "black-box":
            return {}
        asked, sent = crafted.asked.tolist(), crafted.sent.tolist()
        return {
            "oracle": self._oracle.about,
            "queries": sum(asked),
            "queries_sent": sum(sent),
            "queries_by_sample": {"asked": asked, "sent": sent},
            "query_budget": self._oracle.budget,
            "budget_reached": int(crafted.exhausted.sum()),
        }

    def _part_size(self, attack: str) -> int:
        white_box = ATTACKS[attack].kind == "white-box"
        return self.settings.batch if white_box else _SAMPLES_AT_ONCE

    def _part(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        at: slice,
        progress: Callable[[int], None],
    ) -> Piece:
        if ATTACKS[attack].kind == "white-box":
            with one_thread():
                found = self._integers.craft(
                    attack, inputs[at], labels[at], self.settings, progress, at.start
                )
            return Piece(found)
        searches = []
        for index in range(at.start, at.stop):
            part = slice(index, index + 1)
            sequence = np.random.SeedSequence([self.settings.seed, index])
            np.random.seed(sequence.generate_state(1))  # noqa: NPY002 - that ART draws from
            random = np.random.default_rng(sequence)
            generate = self._method(attack, random, (inputs, labels))
            with self._oracle.search(inputs[index], int(labels[index]), ATTACKS[attack].norm) as of:
                generate(inputs[part], labels[part], part)
            searches.append(of)
            progress(1)
        return Piece(
            np.stack([search.best for search in searches]),
            np.array([search.asked for search in searches], np.int64),
            np.array([search.sent for search in searches], np.int64),
            np.array([search.exhausted for search in searches], np.int64),
        )
