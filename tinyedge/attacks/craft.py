"""Attacks by name on a float model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.boundary import BatchedBoundary
from tinyedge.attacks.classifier import (
    Float32,
    FloatModel,
    FrozenClassifier,
    cross_entropy,
    logits_ratio,
)
from tinyedge.attacks.environment import (
    AutoAttack,
    AutoProjectedGradientDescent,
    CarliniL2Method,
    DeepFool,
    FastGradientMethod,
    ZooAttack,
)
from tinyedge.attacks.pgd import CompiledPGD
from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.attacks.square import BatchedSquare
from tinyedge.errors import UsageError
from tinyedge.importers.qkeras.environment import tensorflow as tf

_SQUARE_SHARE = 0.8
_ZOO_STEP = 0.2
"""Of ZOO's numerical derivatives, as a share of the input's range: a small one vanishes in the
quantization of the input."""

_BOUNDARY_RADIUS = 0.3
"""At the start, of steps along the sphere and towards the sample, as shares of the distance: ART's
0.01 takes tens of iterations to grow."""
_BOUNDARY_CANDIDATES = 10
"""Per step. Half of ART's gave the same distances after as many steps."""
_STRETCHES = tuple(np.float32(1 + 0.005 * 2**step) for step in range(7))


class Crafter:
    """A float model under attack.

    Args:
        model: to attack.
        settings: of the attacks.
        surrogate: whose adversarial samples are transferred.
    """

    def __init__(
        self, model: FloatModel, settings: AttackSettings, surrogate: FloatModel | None = None
    ) -> None:
        self.settings = settings
        self._model = model
        self._surrogate = surrogate
        self._classifier = FrozenClassifier(model, settings.clip, temperature=settings.temperature)

    def craft(
        self,
        attack: str,
        inputs: Float32,
        labels: NDArray[np.int64],
        progress: Callable[[int], None] | None = None,
    ) -> Float32:
        """Adversarial versions of labelled inputs, float32 (n, *shape).

        Raises:
            UsageError: the attack is unknown, or transfers from a surrogate that there is not.
        """
        if attack in ATTACKS and ATTACKS[attack].kind == "transfer":
            if self._surrogate is None:
                raise UsageError(
                    f"'{attack}' needs a model to transfer from", hint="name it with --surrogate"
                )
            own = attack.removeprefix("transfer-")
            return Crafter(self._surrogate, self.settings).craft(own, inputs, labels, progress)
        np.random.seed(self.settings.seed)  # noqa: NPY002 - the generator that ART draws from
        tf.random.set_seed(self.settings.seed)
        random = np.random.default_rng(self.settings.seed)
        generate = self._method(attack, random)
        crafted = []
        for start in range(0, len(inputs), self.settings.batch):
            part = slice(start, start + self.settings.batch)
            crafted.append(generate(inputs[part], labels[part]))
            if progress:
                progress(len(crafted[-1]))
        low, high = self.settings.clip
        result = np.clip(np.concatenate(crafted), low, high).astype(np.float32)
        return self._confirmed(inputs, result) if ATTACKS[attack].norm == "L2" else result

    def _confirmed(self, inputs: Float32, crafted: Float32) -> Float32:
        """Goes on a little where a smallest change does not quite change the model's verdict.

        It ends on the border between two classes, where what was compiled for the attack and the
        model file may disagree by a rounding.
        """
        low, high = self.settings.clip
        result = crafted.copy()
        own = self._model.logits(inputs).argmax(axis=1)
        moved = (crafted != inputs).reshape(len(inputs), -1).any(axis=1)
        for stretch in _STRETCHES:
            same = self._model.logits(result).argmax(axis=1) == own
            again = np.flatnonzero(same & moved)
            if not len(again):
                break
            changed = inputs[again] + (crafted[again] - inputs[again]) * stretch
            result[again] = np.clip(changed, low, high)
        return result

    def queries(self, attack: str) -> int | None:
        """Samples that the last black-box attack asked the model for; None for the others."""
        return self._classifier.queries if ATTACKS[attack].kind == "black-box" else None

    def _method(
        self, attack: str, random: np.random.Generator
    ) -> Callable[[Float32, NDArray[np.int64]], Float32]:
        settings, classifier = self.settings, self._classifier
        classifier.queries = 0
        low, high = settings.clip
        if attack == "noise":
            return lambda x, _y: (
                x + random.uniform(-settings.epsilon, settings.epsilon, x.shape)
            ).astype(np.float32)
        common: dict[str, Any] = {"batch_size": settings.batch}
        linf = common | {"eps": settings.epsilon}
        method: Any
        match attack:
            case "fgsm":
                method = FastGradientMethod(classifier, **linf)
            case "pgd":
                method = CompiledPGD(
                    classifier,
                    eps_step=settings.pgd_step,
                    max_iter=settings.iterations,
                    num_random_init=settings.restarts,
                    verbose=False,
                    **linf,
                )
                method.random = random
            case "cw":
                method = CarliniL2Method(
                    classifier,
                    max_iter=settings.cw_iterations,
                    binary_search_steps=settings.cw_searches,
                    learning_rate=0.1,
                    initial_const=1.0,
                    verbose=False,
                    **common,
                )
            case "square":
                method = self._square(random)
            case "boundary":
                method = BatchedBoundary(
                    classifier,
                    targeted=False,
                    delta=_BOUNDARY_RADIUS,
                    epsilon=_BOUNDARY_RADIUS,
                    sample_size=_BOUNDARY_CANDIDATES,
                    max_iter=settings.boundary_iterations,
                    verbose=False,
                    **common,
                )
                method.random = random
            case "zoo":
                method = ZooAttack(
                    classifier,
                    max_iter=settings.zoo_iterations,
                    learning_rate=0.1 * (high - low),
                    variable_h=_ZOO_STEP * (high - low),
                    use_resize=False,
                    use_importance=False,
                    nb_parallel=min(128, int(np.prod(self._model.shape)) // 2),
                    batch_size=1,
                    verbose=False,
                )
            case "autoattack":
                method = self._autoattack(random)
            case _:
                raise UsageError(f"unknown attack '{attack}'", hint=f"known: {', '.join(ATTACKS)}")
        return lambda x, y: method.generate(x=x, y=y)

    def _square(self, random: np.random.Generator, restarts: int | None = None) -> BatchedSquare:
        settings = self.settings
        square = BatchedSquare(
            self._classifier,
            eps=settings.epsilon,
            max_iter=settings.square_queries,
            p_init=_SQUARE_SHARE,
            nb_restarts=restarts or settings.restarts,
            batch_size=settings.batch,
            verbose=False,
        )
        square.random = random
        return square

    def _autoattack(self, random: np.random.Generator) -> AutoAttack:
        """ART's AutoAttack: APGD on two losses, DeepFool, and Square, one after another."""
        settings = self.settings
        linf = {"eps": settings.epsilon, "batch_size": settings.batch}
        descents = [
            AutoProjectedGradientDescent(
                FrozenClassifier(self._model, settings.clip, loss, settings.temperature),
                eps_step=2 * settings.epsilon,
                max_iter=settings.autoattack_iterations,
                nb_random_init=5,
                verbose=False,
                **linf,
            )
            for loss in (cross_entropy, logits_ratio)
        ]
        deep = DeepFool(self._classifier, max_iter=50, batch_size=settings.batch, verbose=False)
        attacks = [*descents, deep, self._square(random, restarts=1)]
        return AutoAttack(self._classifier, eps_step=2 * settings.epsilon, attacks=attacks, **linf)
