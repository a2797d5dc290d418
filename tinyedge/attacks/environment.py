"""The one place that imports the Adversarial Robustness Toolbox (ART)."""

from __future__ import annotations

import warnings

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError
from tinyedge.keras import environment

assert environment  # TensorFlow has to be imported by it first

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import (
            BoundaryAttack,
            CarliniL2Method,
            HopSkipJump,
            ProjectedGradientDescent,
            SimBA,
            SquareAttack,
            ZooAttack,
        )
        from art.estimators.classification import (
            BlackBoxClassifierNeuralNetwork,
            TensorFlowV2Classifier,
        )
        from art.utils import check_and_transform_label_format
except ImportError as error:
    raise MissingDependencyError(
        f"attacks need the Adversarial Robustness Toolbox, and '{error.name}' is not installed",
        hint=install_hint("attack"),
    ) from error

__all__ = [
    "BlackBoxClassifierNeuralNetwork",
    "BoundaryAttack",
    "CarliniL2Method",
    "HopSkipJump",
    "ProjectedGradientDescent",
    "SimBA",
    "SquareAttack",
    "TensorFlowV2Classifier",
    "ZooAttack",
    "check_and_transform_label_format",
]
