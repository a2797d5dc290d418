"""Boundary attack, on all samples at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.classifier import Float32
from tinyedge.attacks.environment import BoundaryAttack, check_and_transform_label_format
from tinyedge.attacks.starts import starting_points


class BatchedBoundary(BoundaryAttack):  # type: ignore[misc]
    """ART's Boundary attack (Brendel et al. 2018, arXiv 1712.04248), untargeted, in lock step.

    Every sample takes ART's steps with radii of its own, but candidates of all samples are
    classified in one call, and samples that are misclassified are left as they are.

    Attributes:
        random: draws starting points and steps.
        others: samples of all classes, and their labels: starting points where noise is none.
    """

    random: np.random.Generator
    others: tuple[Float32, NDArray[np.int64]]

    def generate(self, x: Float32, y: Any = None, **_: Any) -> Float32:
        x = x.astype(np.float32)
        own = check_and_transform_label_format(
            y, nb_classes=self.estimator.nb_classes, return_one_hot=False
        ).ravel()
        right = np.flatnonzero(self._classes(x) == own)
        clip = self.estimator.clip_values
        result = x.copy()
        result[right], found = starting_points(
            self._classes, x[right], own[right], self.others, self.random, clip
        )
        active = right[found]
        delta = np.full(len(x), self.delta)
        epsilon = np.full(len(x), self.epsilon)
        for _iteration in range(self.max_iter):
            if not len(active):
                break
            candidates, kept = self._orthogonal(x, result, own, active, delta)
            active = active[kept]
            moved = self._forward(x, candidates, own, active, epsilon)
            for sample, value in moved.items():
                result[sample] = value
            # ART's end: no step towards the sample is adversarial, or the steps are tiny.
            for position, sample in enumerate(active.tolist()):
                if sample not in moved:
                    result[sample] = _nearest(x[sample], candidates[position])
            active = np.array(
                [at for at in active if at in moved and epsilon[at] >= self.min_epsilon], dtype=int
            )
        return result

    def _classes(self, x: Float32) -> NDArray[np.int64]:
        classes: NDArray[np.int64] = np.argmax(self.estimator.predict(x), axis=1)
        return classes

    def _orthogonal(
        self,
        x: Float32,
        current: Float32,
        own: NDArray[np.int64],
        active: NDArray[np.int64],
        delta: NDArray[np.float64],
    ) -> tuple[list[Float32], NDArray[np.bool_]]:
        """Steps along the sphere around each sample: the adversarial ones of each, if any."""
        found: list[Float32 | None] = [None] * len(active)
        pending = np.arange(len(active))
        low, high = self.estimator.clip_values
        for _trial in range(self.num_trial):
            if not len(pending):
                break
            samples = active[pending]
            origin, at = x[samples][:, None], current[samples][:, None]
            steps = self._perturbations(origin, at, delta[samples])
            tried = np.clip(at + steps, low, high).astype(np.float32)
            flat = tried.reshape(-1, *x.shape[1:])
            classes = self._classes(flat).reshape(len(pending), self.sample_size)
            adversarial = classes != own[samples][:, None]
            share = adversarial.mean(axis=1)
            delta[samples[share < 0.2]] *= self.step_adapt
            delta[samples[share > 0.5]] /= self.step_adapt
            for row in np.flatnonzero(share > 0):
                found[pending[row]] = tried[row][adversarial[row]]
            pending = pending[share == 0]
        kept = np.array([candidates is not None for candidates in found], dtype=bool)
        return [candidates for candidates in found if candidates is not None], kept

    def _perturbations(
        self, origin: Float32, at: Float32, delta: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Random steps orthogonal to the way back, (n, sample_size, *shape), as ART's."""
        shape = (len(origin), self.sample_size, *origin.shape[2:])
        step = self.random.standard_normal(shape).reshape(*shape[:2], -1)
        way = (origin - at).reshape(len(origin), 1, -1).astype(np.float64)
        length = np.linalg.norm(way, axis=2, keepdims=True) + 1e-12
        radius = delta[:, None, None]
        step *= radius * length / np.linalg.norm(step, axis=2, keepdims=True)
        direction = way / length
        step -= (step * direction).sum(axis=2, keepdims=True) * direction
        hypotenuse = np.sqrt(1 + radius**2)
        return (((1 - hypotenuse) * -way + step) / hypotenuse).reshape(shape)

    def _forward(
        self,
        x: Float32,
        candidates: list[Float32],
        own: NDArray[np.int64],
        active: NDArray[np.int64],
        epsilon: NDArray[np.float64],
    ) -> dict[int, Float32]:
        """Steps towards each sample: the nearest adversarial one, where there is any."""
        found: dict[int, Float32] = {}
        pending = list(range(len(active)))
        low, high = self.estimator.clip_values
        for _trial in range(self.num_trial):
            if not pending:
                break
            tried = []
            for position in pending:
                sample = active[position]
                steps = (x[sample] - candidates[position]) * epsilon[sample]
                tried.append(np.clip(candidates[position] + steps, low, high).astype(np.float32))
            classes = self._classes(np.concatenate(tried))
            ends = np.cumsum([len(part) for part in tried])[:-1]
            waiting = []
            for position, part, predicted in zip(
                pending, tried, np.split(classes, ends), strict=True
            ):
                sample = active[position]
                adversarial = predicted != own[sample]
                share = adversarial.mean()
                if share < 0.2:
                    epsilon[sample] *= self.step_adapt
                elif share > 0.5:
                    epsilon[sample] /= self.step_adapt
                if share > 0:
                    found[int(sample)] = _nearest(x[sample], part[adversarial])
                else:
                    waiting.append(position)
            pending = waiting
        return found


def _nearest(origin: Float32, candidates: Float32) -> Float32:
    """The candidate with the smallest L2 distance."""
    distances = np.linalg.norm((candidates - origin).reshape(len(candidates), -1), axis=1)
    nearest: Float32 = candidates[int(distances.argmin())]
    return nearest
