"""What crafted suites show of a model, and whether to believe it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.suites import Suite

SWEEP = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
"""Multiples of epsilon that PGD is tried with, up to half of the input's range."""
_SIGNIFICANT = 0.05
_ZERO_GRADIENTS = 0.1
_REMAINING = 0.1


def judge(model_path: Path, suites: Sequence[Suite], settings: AttackSettings) -> dict[str, Any]:
    """Measures suites, and checks for masked gradients.

    Args:
        model_path: the float model that they were crafted on.
        suites: as ``craft_suites`` gives them: clean first, each with the float model's logits.
        settings: that they were crafted with.

    Returns:
        ``suites``: a record a suite; ``masking``: see ``_masking``.
    """
    from tinyedge.attacks.classifier import FloatModel

    model = FloatModel(model_path)
    clean = suites[0]
    records = []
    for suite in suites:
        assert suite.float_logits is not None
        record = _measure(suite, clean, "float", _right(suite), _right(clean))
        quantized = accuracy(model.logits(suite.dequantized()), suite.labels)
        record["accuracy"]["input_quantized"] = quantized
        records.append(record)
    return {"suites": records, "masking": _masking(model, suites, settings)}


def judge_oracle(suites: Sequence[Suite], logits: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Measures suites that were crafted on a converted model.

    Args:
        suites: as ``craft_oracle_suites`` gives them: clean first.
        logits: of the converted model, float32 (n, classes) of each suite.

    Returns:
        ``suites``: a record a suite.
    """
    rights = [
        found.argmax(axis=1) == suite.labels for suite, found in zip(suites, logits, strict=True)
    ]
    records = []
    for suite, right in zip(suites, rights, strict=True):
        record = _measure(suite, suites[0], "device", right, rights[0])
        if suite.float_logits is not None:
            record["accuracy"]["float"] = accuracy(suite.float_logits, suite.labels)
        records.append(record)
    return {"suites": records}


def _measure(
    suite: Suite,
    clean: Suite,
    under: Literal["float", "device"],
    right: NDArray[np.bool_],
    clean_right: NDArray[np.bool_],
) -> dict[str, Any]:
    """What a suite shows of a model.

    Args:
        suite: the samples.
        clean: those that they were made of are its first.
        under: the model under attack.
        right: whether the model's verdict on each is right.
        clean_right: the same of the clean samples.
    """
    count = len(suite.labels)
    found = float(right.mean())
    record: dict[str, Any] = {
        "name": suite.name,
        "samples": count,
        "accuracy": {under: found, "interval": wilson_interval(found, count)},
        "settings": suite.settings,
    }
    change = (suite.inputs - clean.inputs[:count]).reshape(count, -1)
    record["largest_change"] = float(np.abs(change).max(initial=0.0))
    if suite is clean:
        return record
    lengths = np.linalg.norm(change, axis=1)
    before = clean_right[:count]
    broken = before & ~right
    record["change"] = {
        "l2_mean": float(lengths.mean()),
        "l2_median_of_successes": float(np.median(lengths[broken])) if broken.any() else None,
        "samples_changed": int((lengths > 0).sum()),
    }
    if ATTACKS[suite.name].norm == "L2":
        # A sample whose smallest adversarial change is longer than the budget has withstood it.
        within = right | (before & (lengths > suite.settings["epsilon"]))
        share = float(within.mean())
        record["accuracy"]["within_epsilon"] = share
        record["accuracy"]["within_epsilon_interval"] = wilson_interval(share, count)
    return record


def _right(suite: Suite) -> NDArray[np.bool_]:
    assert suite.float_logits is not None
    right: NDArray[np.bool_] = suite.float_logits.argmax(axis=1) == suite.labels
    return right


def _masking(model: Any, suites: Sequence[Suite], settings: AttackSettings) -> dict[str, Any]:
    """Looks for signs of masked gradients.

    After Athalye et al. 2018 (arXiv 1802.00420) and Carlini et al. 2019 (arXiv 1902.06705).

    Returns:
        ``findings``: a sentence each; ``believable``: whether there are none;
        ``zero_gradients``: share of right clean samples at which the loss has no gradient at all;
        ``pgd_sweep``: accuracy of PGD by epsilon.
    """
    by_name = {suite.name: suite for suite in suites}
    findings: list[str] = []
    attacked = min(len(suite.labels) for suite in suites)
    zero = _zero_gradients(model, suites[0].first(attacked), settings)
    if zero > _ZERO_GRADIENTS:
        findings.append(
            f"at {100 * zero:.0f} % of the samples the gradient of the loss is zero: attacks by "
            "gradients do not know where to go"
        )
    white = [by_name[name] for name in ("pgd", "autoattack") if name in by_name]
    strongest = min(white, key=lambda suite: _right(suite).mean(), default=None)
    if strongest is not None:
        others = [
            suite
            for suite in suites[1:]
            if suite.name == "fgsm"
            or (ATTACKS[suite.name].kind != "white-box" and ATTACKS[suite.name].norm == "Linf")
        ]
        findings += [
            f"{other.name} is stronger than {strongest.name}: {100 * _right(other).mean():.1f} % "
            f"against {100 * _right(strongest).mean():.1f} % accuracy"
            for other in others
            if _stronger(other, strongest)
        ]
    if "noise" in by_name and strongest is not None:
        clean = _right(suites[0])[:attacked].mean()
        harm = {suite.name: clean - _right(suite).mean() for suite in (by_name["noise"], strongest)}
        if harm[strongest.name] > 0 and harm["noise"] > 0.5 * harm[strongest.name]:
            findings.append(
                f"uniform noise does {100 * harm['noise'] / harm[strongest.name]:.0f} % of the "
                f"harm that {strongest.name} does"
            )
    sweep = _sweep(model, suites[0].first(attacked), settings)
    if sweep[-1]["accuracy"] > _REMAINING:
        findings.append(
            f"{100 * sweep[-1]['accuracy']:.0f} % are still right under PGD with epsilon "
            f"{sweep[-1]['epsilon']:.3g}, half of the input's range"
        )
    return {
        "believable": not findings,
        "findings": findings,
        "zero_gradients": zero,
        "pgd_sweep": sweep,
    }


def _stronger(first: Suite, second: Suite) -> bool:
    """Whether the first breaks significantly more samples: a sign test on those that differ."""
    only_first = int((~_right(first) & _right(second)).sum())
    only_second = int((_right(first) & ~_right(second)).sum())
    count = only_first + only_second
    tail = sum(math.comb(count, k) for k in range(only_first, count + 1)) / 2**count
    return only_first > only_second and tail < _SIGNIFICANT


def _zero_gradients(model: Any, clean: Suite, settings: AttackSettings) -> float:
    from tinyedge.attacks.classifier import FrozenClassifier

    right = _right(clean)
    if not right.any():
        return 0.0
    classifier = FrozenClassifier(model, settings.clip, temperature=settings.temperature)
    labels = np.eye(model.classes, dtype=np.float32)[clean.labels[right]]
    gradients = classifier.loss_gradient(clean.inputs[right], labels)
    return float((gradients.reshape(len(labels), -1) == 0).all(axis=1).mean())


def _sweep(model: Any, clean: Suite, settings: AttackSettings) -> list[dict[str, float]]:
    """Accuracy under PGD, by epsilon up to half of the input's range."""
    from tinyedge.attacks.float_craft import FloatCrafter

    largest = (settings.clip[1] - settings.clip[0]) / 2
    epsilons = [epsilon for multiple in SWEEP if (epsilon := settings.epsilon * multiple) < largest]
    found = []
    for epsilon in (*epsilons, largest):
        crafter = FloatCrafter(model, replace(settings, epsilon=epsilon, step=None, restarts=1))
        crafted = crafter.craft("pgd", clean.inputs, clean.labels)
        found.append(
            {"epsilon": epsilon, "accuracy": accuracy(model.logits(crafted), clean.labels)}
        )
    return found
