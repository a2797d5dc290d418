#!/usr/bin/env python3
"""Times attacks side by side with ART's own around the plain QKeras model.

    python tools/bench_attacks.py MODEL.h5 --dataset fashion_mnist --samples 50

Both attack the same samples with the same budget, one after the other in one process: ART's own
attack around ``TensorFlowV2Classifier(model)``, as ART's examples wrap it, its arguments left at
their defaults where the budget does not say otherwise (but C&W takes all samples at once, not one
by one); and tinyedge's. Strength is the accuracy that is left by the model file itself, and for
attacks that look for the smallest change its median length. Times include what each compiles on
first use.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinyedge.attacks.classifier import FloatModel
from tinyedge.attacks.environment import (
    BoundaryAttack,
    CarliniL2Method,
    ProjectedGradientDescent,
    SquareAttack,
    TensorFlowV2Classifier,
)
from tinyedge.attacks.float_craft import FloatCrafter
from tinyedge.attacks.settings import AttackSettings
from tinyedge.datasets import load_test_set
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.load import load_keras_model, logits_model
from tinyedge.names import DATASETS

ATTACKS = ("pgd", "square", "boundary", "cw")


def plain_attack(name: str, model_path: Path, settings: AttackSettings) -> Any:
    """ART's attack around the plain QKeras model."""
    model = logits_model(load_keras_model(model_path))
    classifier = TensorFlowV2Classifier(
        model=model,
        nb_classes=model.output_shape[-1],
        input_shape=model.input_shape[1:],
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        clip_values=settings.clip,
    )
    match name:
        case "pgd":
            return ProjectedGradientDescent(
                classifier,
                eps=settings.epsilon,
                eps_step=settings.pgd_step,
                max_iter=settings.iterations,
                num_random_init=settings.restarts,
                verbose=False,
            )
        case "square":
            return SquareAttack(
                classifier,
                eps=settings.epsilon,
                max_iter=settings.square_queries,
                nb_restarts=settings.restarts,
                p_init=0.8,
                verbose=False,
            )
        case "boundary":
            return BoundaryAttack(
                classifier,
                targeted=False,
                max_iter=settings.boundary_iterations,
                verbose=False,
            )
    return CarliniL2Method(
        classifier,
        max_iter=settings.cw_iterations,
        binary_search_steps=settings.cw_searches,
        learning_rate=0.1,
        initial_const=1.0,
        batch_size=settings.batch,
        verbose=False,
    )


def measured(
    craft: Callable[[], np.ndarray], model: FloatModel, x: np.ndarray, y: np.ndarray
) -> dict[str, float]:
    """Seconds, accuracy that is left, and median L2 length of successful changes."""
    np.random.seed(0)  # noqa: NPY002 - the generator that ART draws from
    start = time.perf_counter()
    crafted = craft()
    seconds = time.perf_counter() - start
    right = model.logits(crafted).argmax(axis=1) == y
    lengths = np.linalg.norm((crafted - x).reshape(len(x), -1), axis=1)
    moved = ~right & (lengths > 0)
    length = float(np.median(lengths[moved])) if moved.any() else float("nan")
    return {"seconds": seconds, "accuracy": float(right.mean()), "median_l2": length}


def main() -> None:
    """Measures and prints; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--dataset", choices=DATASETS, default="fashion_mnist")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--attacks", default=",".join(ATTACKS))
    parser.add_argument("--epsilon", type=float, default=8 / 255)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    model = FloatModel(arguments.model)
    channels: Literal["rgb", "grey"] = "rgb" if model.shape[-1] == 3 else "grey"
    test = load_test_set(arguments.dataset, channels=channels)
    x, y = test.x[: arguments.samples], test.y[: arguments.samples]
    x = (x / 255.0).astype(np.float32) if x.dtype == np.uint8 else x
    clip = (min(0.0, float(test.x.min())), max(1.0, float(x.max())))
    settings = AttackSettings(
        arguments.epsilon * (clip[1] - clip[0]),
        clip=clip,
        boundary_iterations=50,
        cw_iterations=10,
        cw_searches=3,
    )
    rows = {}
    for name in arguments.attacks.split(","):
        plain = plain_attack(name, arguments.model, settings)
        crafter = FloatCrafter(model, settings)
        rows[name] = {
            "plain": measured(lambda: plain.generate(x=x, y=y), model, x, y),  # noqa: B023
            "tinyedge": measured(lambda: crafter.craft(name, x, y).inputs, model, x, y),  # noqa: B023
        }
        ours, theirs = rows[name]["tinyedge"], rows[name]["plain"]
        if not arguments.json:
            print(
                f"{name:<10} {theirs['seconds']:8.2f} s  {ours['seconds']:7.2f} s  "
                f"{theirs['seconds'] / ours['seconds']:6.1f}x   accuracy {theirs['accuracy']:.3f} "
                f"{ours['accuracy']:.3f}   median L2 {theirs['median_l2']:.3f} "
                f"{ours['median_l2']:.3f}",
                flush=True,
            )
    if arguments.json:
        print(json.dumps({"samples": len(x), "rows": rows}))


if __name__ == "__main__":
    main()
