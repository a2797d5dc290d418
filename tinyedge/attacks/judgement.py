"""What crafted suites show of a model, and whether to believe it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.settings import ATTACKS, Attack, AttackSettings
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.perturbation import Perturbation, withstood
from tinyedge.evaluation.suites import Suite

SWEEP = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
"""Multiples of epsilon, the largest of several, that PGD is tried with, up to half of the input's
range."""
STRONG = ("pgd", "apgd", "autoattack")
"""Attacks by gradients that ought to beat all others within their epsilon."""
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
    rights = [verdicts(found) == suite.labels for suite, found in zip(suites, logits, strict=True)]
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
    change = Perturbation.between(clean.inputs, suite.inputs)
    record["largest_change"] = float(change.largest.max(initial=0.0))
    if suite is clean:
        return record
    before = clean_right[:count]
    record["change"] = {
        "l2_mean": float(change.lengths.mean()),
        "l2_median_of_successes": change.median_of_successes(before, right),
        "samples_changed": change.samples_changed,
    }
    if suite.settings["norm"] == "L2":
        within = withstood(change.lengths, suite.settings["epsilon"], before, right)
        share = float(within.mean())
        record["accuracy"]["within_epsilon"] = share
        record["accuracy"]["within_epsilon_interval"] = wilson_interval(share, count)
    return record


def _right(suite: Suite) -> NDArray[np.bool_]:
    assert suite.float_logits is not None
    right: NDArray[np.bool_] = verdicts(suite.float_logits) == suite.labels
    return right


def _masking(model: Any, suites: Sequence[Suite], settings: AttackSettings) -> dict[str, Any]:
    """Looks for signs of masked gradients.

    After Athalye et al. 2018 (arXiv 1802.00420) and Carlini et al. 2019 (arXiv 1902.06705).

    Returns:
        ``findings``: a sentence each; ``believable``: whether there are none;
        ``samples``: how many were attacked; ``zero_gradients``: share of right clean samples at
        which the loss has no gradient at all; ``pgd_sweep``: accuracy of PGD by epsilon.
    """
    findings: list[str] = []
    attacked = min(len(suite.labels) for suite in suites)
    zero, broken = _gradients(model, suites[0].first(attacked), settings)
    if broken:
        findings.append(
            f"at {100 * broken:.2g} % of the samples a logit or the gradient of the loss is NaN or "
            "infinite: attacks by gradients cannot work there, and the model may be damaged"
        )
    if zero > _ZERO_GRADIENTS:
        findings.append(
            f"at {100 * zero:.0f} % of the samples the gradient of the loss is zero: attacks by "
            "gradients do not know where to go"
        )
    attacked_suites = [
        Attacked(
            suite.name,
            ATTACKS[suite.settings["attack"]],
            suite.settings["epsilon"],
            _right(suite),
        )
        for suite in suites[1:]
    ]
    signs = signs_of_masking(_right(suites[0])[:attacked], attacked_suites)
    findings += [sign["text"] for sign in signs]
    sweep = _sweep(model, suites[0].first(attacked), settings)
    if sweep[-1]["accuracy"] > _REMAINING:
        findings.append(
            f"{100 * sweep[-1]['accuracy']:.0f} % are still right under PGD with epsilon "
            f"{sweep[-1]['epsilon']:.3g}, half of the input's range"
        )
    return {
        "believable": not findings,
        "findings": findings,
        "samples": attacked,
        "zero_gradients": zero,
        "pgd_sweep": sweep,
    }


class Attacked(NamedTuple):
    """What an attack has left.

    Attributes:
        name: of the suite.
        attack: that made it.
        epsilon: its budget.
        right: whether the model's verdict on each sample is right.
    """

    name: str
    attack: Attack
    epsilon: float
    right: NDArray[np.bool_]


def signs_of_masking(
    clean: NDArray[np.bool_], attacked: Sequence[Attacked]
) -> list[dict[str, Any]]:
    """Signs of masked gradients that verdicts alone show, of attacks of the same epsilon.

    Args:
        clean: whether the verdict on each sample was right before the attacks.
        attacked: what attacks on the same samples have left.

    Returns:
        A record each: ``rule``, ``suites``, ``text``.
    """
    alike: dict[float, list[Attacked]] = defaultdict(list)
    for each in attacked:
        if each.attack.norm == "Linf":
            alike[each.epsilon].append(each)
    return [sign for group in alike.values() for sign in _signs_at_one_epsilon(clean, group)]


def _signs_at_one_epsilon(
    clean: NDArray[np.bool_], attacked: Sequence[Attacked]
) -> list[dict[str, Any]]:
    white = [each for each in attacked if each.attack.name in STRONG]
    strongest = min(white, key=lambda each: each.right.mean(), default=None)
    if strongest is None:
        return []
    signs = [
        remark(
            "stronger",
            f"{other.name} is stronger than {strongest.name}: {100 * other.right.mean():.1f} % "
            f"against {100 * strongest.right.mean():.1f} % accuracy",
            other.name,
            strongest.name,
        )
        for other in attacked
        if (other.attack.name == "fgsm" or other.attack.kind != "white-box")
        and _stronger(other.right, strongest.right)
    ]
    whole = clean.mean() - strongest.right.mean()
    for noise in attacked:
        harm = clean.mean() - noise.right.mean()
        if noise.attack.name == "noise" and whole > 0 and harm > 0.5 * whole:
            text = f"uniform noise does {100 * harm / whole:.0f} % of the harm that "
            signs.append(remark("noise", text + f"{strongest.name} does", noise.name))
    return signs


def remark(rule: str, text: str, *suites: str) -> dict[str, Any]:
    """A reason not to believe figures of suites, or to be careful with them."""
    return {"rule": rule, "suites": list(suites), "text": text}


def _stronger(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    """Whether the first breaks significantly more samples: a sign test on those that differ."""
    only_first = int((~first & second).sum())
    only_second = int((first & ~second).sum())
    count = only_first + only_second
    tail = sum(math.comb(count, k) for k in range(only_first, count + 1)) / 2**count
    return only_first > only_second and tail < _SIGNIFICANT


def _gradients(model: Any, clean: Suite, settings: AttackSettings) -> tuple[float, float]:
    """What is wrong with the gradients of the loss at clean samples.

    Returns:
        The share of right samples at which it is 0 in every value; the share of all samples at
        which a value of it, or a logit, is NaN or infinite.
    """
    from tinyedge.attacks.float_gradients import DifferentiableFloat
    from tinyedge.attacks.losses import cross_entropy

    assert clean.float_logits is not None
    differentiable = DifferentiableFloat(model, settings.temperature)
    gradients = differentiable.gradients(clean.inputs, clean.labels, cross_entropy)[1]
    gradients = gradients.reshape(len(clean.labels), -1)
    finite = np.isfinite(gradients).all(axis=1) & np.isfinite(clean.float_logits).all(axis=1)
    right = _right(clean)
    zero = (gradients[right] == 0).all(axis=1)
    return float(zero.mean()) if right.any() else 0.0, float(1 - finite.mean())


def _sweep(model: Any, clean: Suite, settings: AttackSettings) -> list[dict[str, float]]:
    """Accuracy under PGD, by epsilon up to half of the input's range."""
    from tinyedge.attacks.float_craft import FloatCrafter

    largest = (settings.clip[1] - settings.clip[0]) / 2
    epsilons = [epsilon for multiple in SWEEP if (epsilon := settings.epsilon * multiple) < largest]
    crafter = FloatCrafter(model, settings)
    found = []
    for epsilon in (*epsilons, largest):
        tried = crafter.with_settings(replace(settings, epsilon=epsilon, step=None, restarts=1))
        crafted = tried.craft("pgd", clean.inputs, clean.labels)
        found.append(
            {"epsilon": epsilon, "accuracy": accuracy(model.logits(crafted), clean.labels)}
        )
    return found
