"""Attacks by name on anything that answers."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.margins import margins
from tinyedge.attacks.pieces import Piece
from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.attacks.square import Square

Float32 = NDArray[np.float32]
Labels = NDArray[np.int64]
Method = Callable[[Float32, Labels, slice], Float32]
"""From inputs, their labels, and which of the attacked samples they are, to adversarial ones."""

_ZOO_STEP = 0.2
"""Step of ZOO's numerical derivatives, as a share of the input's range: a small one vanishes in
the quantization of the input."""
_SIMBA_STEP = 0.2
"""The paper's step of SimBA, by which it changes one value, as a share of the input's range."""

_BOUNDARY_RADIUS = 0.3
"""At the start, of steps along the sphere and towards the sample, as shares of the distance: ART's
0.01 takes tens of iterations to grow."""
_BOUNDARY_CANDIDATES = 10
"""Per step. Half of ART's gave the same distances after as many steps."""


def _on_surrogate(attack: str) -> str:
    """The attack on the surrogate that a transfer attack is."""
    return attack.removeprefix("transfer-")


class Answering(Protocol):
    """A model that gives logits.

    Attributes:
        shape: of an input.
        classes: number of logits.
    """

    shape: tuple[int, ...]
    classes: int

    def logits(self, inputs: Float32) -> Float32:
        """The logits of float32 inputs (n, *shape), float32 (n, classes)."""


class Crafter(ABC):
    """A model under attack.

    Args:
        model: to attack.
        classifier: the same, as our own attacks ask it.
        settings: of the attacks.
        surrogate: whose adversarial samples are transferred.
        transferred: adversarial versions of the inputs, in their order, near which refining starts.
    """

    def __init__(
        self,
        model: Answering,
        classifier: Any,
        settings: AttackSettings,
        surrogate: Crafter | None = None,
        transferred: Float32 | None = None,
    ) -> None:
        self.model = model
        self.settings = settings
        self._classifier = classifier
        self.surrogate = surrogate
        self._transferred = transferred

    def with_settings(self, settings: AttackSettings) -> Self:
        """The same model under attack by other settings, of the same ``clip`` and ``temperature``.

        What was compiled is shared.
        """
        other = copy.copy(self)
        other.settings = settings
        if self.surrogate:
            other.surrogate = self.surrogate.with_settings(settings)
        return other

    def starts(self, inputs: Float32, at: slice = slice(None)) -> Float32:
        """Where refining starts: the transferred samples, moved to within epsilon of the inputs.

        Args:
            inputs: float32 (n, *shape).
            at: which of the attacked samples they are.
        """
        assert self._transferred is not None
        epsilon = self.settings.epsilon
        near = np.clip(self._transferred[at], inputs - epsilon, inputs + epsilon)
        return np.clip(near, *self.settings.clip).astype(np.float32)

    def craft(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        progress: Callable[[int], None] | None = None,
    ) -> Piece:
        """Adversarial versions of labelled inputs: all parts, one after the other.

        The attack is one that there are the means for, see ``Means``.

        Args:
            attack: its name.
            inputs: float32 (n, *shape), at least one.
            labels: (n,).
            progress: called with the number of samples that are finished.
        """
        parts = self.parts(attack, len(inputs))
        return Piece.joined([self.part(attack, inputs, labels, at, progress) for at in parts])

    def parts(self, attack: str, count: int) -> list[slice]:
        """How an attack on so many samples is cut into parts that do not depend on each other."""
        if ATTACKS[attack].kind == "transfer":
            assert self.surrogate
            return self.surrogate.parts(_on_surrogate(attack), count)
        size = self._part_size(attack)
        if attack == "noise" or size is None:
            return [slice(0, count)]
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def part(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        at: slice,
        progress: Callable[[int], None] | None = None,
    ) -> Piece:
        """Adversarial versions of one of ``parts``.

        Args:
            attack: its name.
            inputs: all samples under attack, float32 (n, *shape).
            labels: theirs, (n,).
            at: which of them.
            progress: called with the number of samples that are finished.
        """
        if ATTACKS[attack].kind == "transfer":
            assert self.surrogate
            return self.surrogate.part(_on_surrogate(attack), inputs, labels, at, progress)
        advance = progress or (lambda _count: None)
        if attack == "noise":
            advance(len(inputs))
            return Piece(self._noise(inputs))
        return self._part(attack, inputs, labels, at, advance)

    @property
    def _estimator(self) -> Any:
        """The model as ART sees it."""
        return self._classifier

    @abstractmethod
    def details(self, attack: str, crafted: Piece) -> dict[str, Any]:
        """Describes the attack that crafted a piece."""

    @abstractmethod
    def _part_size(self, attack: str) -> int | None:
        """Samples of a part; None where all have to be attacked together."""

    @abstractmethod
    def _part(
        self,
        attack: str,
        inputs: Float32,
        labels: Labels,
        at: slice,
        progress: Callable[[int], None],
    ) -> Piece: ...

    def _noise(self, inputs: Float32) -> Float32:
        random = np.random.default_rng(self.settings.seed)
        noise = random.uniform(-self.settings.epsilon, self.settings.epsilon, inputs.shape)
        noisy = (inputs + noise).astype(np.float32)
        return np.clip(noisy, *self.settings.clip).astype(np.float32)

    def _method(
        self, attack: str, random: np.random.Generator, others: tuple[Float32, Labels]
    ) -> Method:
        """An attack that needs no gradients.

        Args:
            attack: its name.
            random: that it draws from, unless ART draws from numpy's global generator.
            others: samples of all classes, and their labels.
        """
        # Only attacks of ART's load it, and TensorFlow with it.
        settings = self.settings
        low, high = settings.clip
        method: Any
        match attack:
            case "square":
                square = self._square(random)
                return lambda x, y, _at: square.search(x, y)
            case "refine":
                return self._refining(random)
            case "boundary":
                from tinyedge.attacks.boundary import BatchedBoundary

                method = BatchedBoundary(
                    self._estimator,
                    targeted=False,
                    delta=_BOUNDARY_RADIUS,
                    epsilon=_BOUNDARY_RADIUS,
                    sample_size=_BOUNDARY_CANDIDATES,
                    max_iter=settings.boundary_iterations,
                    batch_size=settings.batch,
                    verbose=False,
                )
                method.random, method.others = random, others
            case "hopskipjump":
                from tinyedge.attacks.hopskipjump import SeededHopSkipJump

                method = SeededHopSkipJump(
                    self._estimator,
                    max_iter=settings.hopskipjump_iterations,
                    batch_size=settings.batch,
                    verbose=False,
                )
                method.random, method.others = random, others
            case "simba":
                return self._simba()
            case "zoo":
                from tinyedge.attacks.environment import ZooAttack

                method = ZooAttack(
                    self._estimator,
                    max_iter=settings.zoo_iterations,
                    learning_rate=0.1 * (high - low),
                    variable_h=_ZOO_STEP * (high - low),
                    use_resize=False,
                    use_importance=False,
                    nb_parallel=min(128, int(np.prod(self.model.shape)) // 2),
                    batch_size=1,
                    verbose=False,
                )
            case _:
                raise ValueError(attack)
        return lambda x, y, _at: method.generate(x=x, y=y)

    def _square(self, random: np.random.Generator) -> Square:
        settings, classifier = self.settings, self._classifier

        def lead(x: Float32, labels: Labels) -> Float32:
            return margins(classifier.predict(x), labels)

        return Square(
            lead,
            settings.epsilon,
            settings.clip,
            settings.square_queries,
            settings.restarts,
            random,
        )

    def _refining(self, random: np.random.Generator) -> Method:
        square = self._square(random)
        return lambda x, y, at: square.search(x, y, self.starts(x, at))

    def _simba(self) -> Method:
        """SimBA, one value at a time: it takes images of 4 dimensions, and asks for softmaxes."""
        from tinyedge.attacks.environment import BlackBoxClassifierNeuralNetwork, SimBA

        classifier, shape = self._classifier, self.model.shape

        def softmax(x: Float32) -> Float32:
            logits = classifier.predict(x.reshape(len(x), *shape))
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares: Float32 = powers / powers.sum(axis=1, keepdims=True)
            return shares

        low, high = self.settings.clip
        simba = SimBA(
            BlackBoxClassifierNeuralNetwork(
                softmax,
                shape,
                self.model.classes,
                channels_first=False,
                clip_values=self.settings.clip,
            ),
            attack="px",
            max_iter=self.settings.simba_iterations,
            epsilon=_SIMBA_STEP * (high - low),
            freq_dim=1,
            verbose=False,
        )

        def generate(x: Float32, y: Labels, _at: slice) -> Float32:
            images = x if x.ndim == 4 else x.reshape(len(x), 1, -1, 1)
            found: Float32 = simba.generate(images, np.eye(self.model.classes)[y])
            return found.reshape(x.shape)

        return generate
