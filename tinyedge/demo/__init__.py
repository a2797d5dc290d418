"""The demonstration: a small STQ network, trained on Fashion-MNIST by ``tools/train_demo.py``.

The images are out of Fashion-MNIST (Copyright 2017 Zalando SE, MIT licence): the first 1,000 of the
test set, and the first 64 of the training set for calibration.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinyedge.datasets import fashion_mnist
from tinyedge.evaluation.suites import Suite, load_suites
from tinyedge.samples.scaling import ModelInput

_FOLDER = Path(__file__).parent
MODEL = _FOLDER / "fashion_mnist_stq.h5"
CALIBRATION = _FOLDER / "fashion_mnist_calibration_64.npz"
IMAGES = _FOLDER / "fashion_mnist_test_1000.npz"


def clean_suite() -> Suite:
    """The 1,000 test images with their labels, one suite named ``clean``."""
    return replace(load_suites(IMAGES, ModelInput())[0], classes=fashion_mnist.CLASSES)
