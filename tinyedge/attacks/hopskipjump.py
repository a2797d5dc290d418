"""HopSkipJump, from starting points that a seed determines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.environment import HopSkipJump, check_and_transform_label_format
from tinyedge.attacks.starts import Float32, starting_points


class SeededHopSkipJump(HopSkipJump):  # type: ignore[misc]
    """ART's HopSkipJump attack (Chen et al. 2020, arXiv 1904.02144), untargeted.

    ART draws its starting points from a generator that cannot be seeded. Samples that are
    misclassified, or have no starting point, are left as they are.

    Attributes:
        random: draws starting points; ART draws the rest from numpy's global generator.
        others: samples of all classes, and their labels: starting points where noise is none.
    """

    random: np.random.Generator
    others: tuple[Float32, NDArray[np.int64]]

    def generate(self, x: Float32, y: Any = None, **_: Any) -> Float32:
        labels = check_and_transform_label_format(
            y, nb_classes=self.estimator.nb_classes, return_one_hot=False
        ).ravel()
        right = np.flatnonzero(self._classes(x) == labels)
        clip = self.estimator.clip_values
        starts, found = starting_points(
            self._classes, x[right], labels[right], self.others, self.random, clip
        )
        attacked = right[found]
        result = x.copy()
        if len(attacked):
            result[attacked] = super().generate(
                x=x[attacked], y=labels[attacked], x_adv_init=starts[found]
            )
        return result

    def _classes(self, x: Float32) -> NDArray[np.int64]:
        classes: NDArray[np.int64] = np.argmax(self.estimator.predict(x), axis=1)
        return classes
