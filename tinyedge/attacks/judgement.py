"""Conclusions from crafted suites about a model, and whether the figures can be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.finished import samples_digest
from tinyedge.attacks.rows import packed
from tinyedge.attacks.settings import ATTACKS, Attack, AttackSettings
from tinyedge.attacks.worst_case import Tried, worst_cases
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.paired import Paired
from tinyedge.evaluation.perturbation import Perturbation, withstood
from tinyedge.evaluation.suites import Suite
from tinyedge.naming import epsilon_text

SWEEP = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32)
"""Multiples of epsilon, the largest of several, that PGD is tried with, up to half of the input's
range."""
STRONG = ("pgd", "apgd", "autoattack")
"""Attacks by gradients that ought to beat all others within their epsilon."""
_SIGNIFICANT = 0.05
_ZERO_GRADIENTS = 0.1
_REMAINING = 0.1
_CLEARLY = 0.02
_UNSTEADY = 0.01
"""Share of samples whose logits may differ when asked again: what sums in another order may do."""
_ONE_STEP = ("fgsm", "transfer-fgsm", "noise")
_WIDE = 0.2
"""Intervals at least so wide say little."""
_ENOUGH = 40
"""Steps of PGD, at least, that attacks by gradients are held against."""


def judge(model_path: Path, suites: Sequence[Suite], settings: AttackSettings) -> dict[str, Any]:
    """Measures suites, and checks for masked gradients.

    Args:
        model_path: the float model that they were crafted on.
        suites: as ``craft_suites`` gives them: clean first, each with the float model's logits.
        settings: that they were crafted with.

    Returns:
        ``suites``: a record a suite; ``worst_cases``: see there; ``judgement``: see ``_judgement``;
        ``labels`` and ``samples_sha256`` of the samples; ``masking``: see ``_masking``.
    """
    from tinyedge.attacks.classifier import FloatModel

    model = FloatModel(model_path)
    clean = suites[0]
    records = []
    for suite in suites:
        assert suite.float_logits is not None
        record = _measure(suite, clean, "float", verdicts(suite.float_logits), _right(clean))
        quantized = accuracy(model.logits(suite.dequantized()), suite.labels)
        record["accuracy"]["input_quantized"] = quantized
        records.append(record)
    found = _of_all(suites, records, [_right(suite) for suite in suites])
    return found | {"masking": _masking(model, suites, settings)}


def judge_oracle(suites: Sequence[Suite], logits: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Measures suites that were crafted on a converted model.

    Args:
        suites: as ``craft_oracle_suites`` gives them: clean first.
        logits: of the converted model, float32 (n, classes) of each suite.

    Returns:
        ``suites``: a record a suite; ``worst_cases``, ``judgement``, ``labels``,
        ``samples_sha256``: as ``judge``.
    """
    classes = [verdicts(found) for found in logits]
    rights = [found == suite.labels for suite, found in zip(suites, classes, strict=True)]
    records = []
    for suite, found in zip(suites, classes, strict=True):
        record = _measure(suite, suites[0], "device", found, rights[0])
        if suite.float_logits is not None:
            record["accuracy"]["float"] = accuracy(suite.float_logits, suite.labels)
        records.append(record)
    return _of_all(suites, records, rights)


def _of_all(
    suites: Sequence[Suite], records: list[dict[str, Any]], rights: Sequence[NDArray[np.bool_]]
) -> dict[str, Any]:
    """The records of suites, and what they come to together."""
    clean, span = suites[0], 1.0
    tried = []
    for suite, right in zip(suites[1:], rights[1:], strict=True):
        settings = suite.settings
        low, high = settings["clip"]
        span = high - low
        change = Perturbation.between(clean.inputs, suite.inputs)
        tried.append(Tried(suite.name, settings["norm"], settings["epsilon"], change, right))
    return {
        "suites": records,
        "worst_cases": worst_cases(rights[0], tried, span),
        "judgement": _judgement(suites, rights),
        "labels": packed(clean.labels),
        "samples_sha256": samples_digest(clean),
    }


def _judgement(suites: Sequence[Suite], rights: Sequence[NDArray[np.bool_]]) -> dict[str, Any]:
    """Reasons not to believe the figures that verdicts and settings alone show.

    Args:
        suites: clean first.
        rights: whether the verdict on each sample is right, of each suite.

    Returns:
        ``believable``; ``findings``: reasons not to believe the figures; ``cautions``: what they
        do not say; see ``remark``.
    """
    attacked = [
        Attacked(suite.name, ATTACKS[suite.settings["attack"]], suite.settings["epsilon"], right)
        for suite, right in zip(suites[1:], rights[1:], strict=True)
    ]
    fewest = min(map(len, rights))
    findings = signs_of_masking(rights[0][:fewest], attacked)
    for suite in suites[1:]:
        findings += signs_of_weakness(suite.name, suite.settings)
    findings += signs_of_haste([(each.name, each.attack.name) for each in attacked])
    cautions = [sign for each in attacked for sign in signs_of_few(each.name, each.right)]
    return {"believable": not findings, "findings": findings, "cautions": cautions}


def _measure(
    suite: Suite,
    clean: Suite,
    under: Literal["float", "device"],
    found: NDArray[np.int64],
    clean_right: NDArray[np.bool_],
) -> dict[str, Any]:
    """Measures the effect of a suite on a model.

    Args:
        suite: the samples.
        clean: those that they were made of are its first.
        under: the model under attack.
        found: the model's verdicts on them.
        clean_right: whether those on the clean samples are right.
    """
    count = len(suite.labels)
    right = found == suite.labels
    share = float(right.mean())
    record: dict[str, Any] = {
        "name": suite.name,
        "samples": count,
        "accuracy": {under: share, "interval": wilson_interval(share, count)},
        "settings": suite.settings,
        "verdicts": packed(found),
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
        record["withstood"] = packed(within)
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
        ``findings``: a sentence each; ``believable``: whether the list is empty;
        ``samples``: how many were attacked; ``zero_gradients``: share of right clean samples at
        which the loss has no gradient at all; ``pgd_sweep``: accuracy of PGD by epsilon.
    """
    findings: list[str] = []
    attacked = min(len(suite.labels) for suite in suites)
    unsteady = _unsteady(model, suites[0].first(attacked))
    if unsteady > _UNSTEADY:
        findings.append(
            f"the model is random: asked again, it gives other logits for {100 * unsteady:.0f} % "
            "of the samples, so that attacks meet luck; freeze its noise, or attack its mean"
        )
    zero, broken = _gradients(model, suites[0].first(attacked), settings)
    if broken:
        findings.append(
            f"at {100 * broken:.2g} % of the samples a logit or the gradient of the loss is NaN or "
            "infinite: attacks by gradients cannot work there, and the model may be damaged"
        )
    if zero > _ZERO_GRADIENTS:
        findings.append(
            f"at {100 * zero:.0f} % of the samples that are right the gradient of the loss is "
            "zero: attacks by gradients do not know where to go"
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
    findings += [
        sign["text"]
        for suite in suites[1:]
        for sign in signs_of_weakness(suite.name, suite.settings)
    ]
    sweep, held_against = _sweep(model, suites[0].first(attacked), settings)
    findings += [
        f"{each.name} is too weak: PGD of {max(_ENOUGH, settings.iterations)} steps leaves "
        f"{100 * held_against.mean():.1f} %, {each.name} {100 * each.right.mean():.1f} %"
        for each in attacked_suites
        if each.attack.name in STRONG
        and each.epsilon == settings.epsilon
        and _clearly_stronger(held_against, each.right)
    ]
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
    """The outcome of an attack.

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
    signs += [
        remark(
            "ensemble",
            f"{each.name} is weaker than {strongest.name}: {100 * each.right.mean():.1f} % against "
            f"{100 * strongest.right.mean():.1f} % accuracy",
            each.name,
            strongest.name,
        )
        for each in white
        if each.attack.name == "autoattack" and _clearly_stronger(strongest.right, each.right)
    ]
    whole = clean.mean() - strongest.right.mean()
    for noise in attacked:
        harm = clean.mean() - noise.right.mean()
        if noise.attack.name == "noise" and whole > 0 and harm > 0.5 * whole:
            text = f"uniform noise does {100 * harm / whole:.0f} % of the harm that "
            signs.append(remark("noise", text + f"{strongest.name} does", noise.name))
    return signs


def signs_of_weakness(name: str, settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lists objections to an attack that the suite's settings alone raise; see ``remark``."""
    step, many, epsilon = (settings.get(key) for key in ("step", "iterations", "epsilon"))
    if step and many == 1:
        text = f"{name} is too weak: it takes 1 step, and PGD lives on many"
        yield remark("weak", text, name)
    elif step and many and epsilon and step * many < epsilon:
        text = f"{name}: {many} steps of {step:.3g} do not reach epsilon, {epsilon_text(epsilon)}"
        yield remark("short", text, name)


def signs_of_haste(attacks: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Lists objections to attacks that all take one step; see ``remark``.

    Args:
        attacks: the name of each suite, and of its attack.
    """
    if attacks and all(attack in _ONE_STEP for _, attack in attacks):
        text = "every suite comes from an attack of one step: add one of PGD at least"
        yield remark("one-step", text, *(name for name, _ in attacks))


def signs_of_few(name: str, right: NDArray[np.bool_]) -> Iterator[dict[str, Any]]:
    """Lists objections to a figure of few samples; see ``remark``."""
    low, high = wilson_interval(float(right.mean()), len(right))
    if high - low > _WIDE:
        text = f"{name}: {len(right)} samples are few: the interval is {100 * (high - low):.0f}"
        yield remark("few", f"{text} points wide", name)


def remark(rule: str, text: str, *suites: str) -> dict[str, Any]:
    """A reason not to believe figures of suites, or to be careful with them."""
    return {"rule": rule, "suites": list(suites), "text": text}


def _stronger(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    """Whether the first breaks significantly more samples: a sign test on those that differ."""
    return Paired.of(second, first).first_is_more < _SIGNIFICANT


def _clearly_stronger(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    """The same, and by more points than another random start makes."""
    return _stronger(first, second) and bool(second.mean() - first.mean() > _CLEARLY)


def _gradients(model: Any, clean: Suite, settings: AttackSettings) -> tuple[float, float]:
    """Lists faults of the gradients of the loss at clean samples.

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


def _unsteady(model: Any, clean: Suite) -> float:
    """The share of samples whose logits differ when the model computes them again."""
    first, again = (model.logits(clean.inputs) for _ in range(2))
    tolerance = 1e-3 * np.abs(first).max(initial=0.0)
    differing = np.abs(first - again).max(axis=1) > tolerance
    return float(differing.mean())


def _sweep(
    model: Any, clean: Suite, settings: AttackSettings
) -> tuple[list[dict[str, float]], NDArray[np.bool_]]:
    """Accuracy under PGD, by epsilon up to half of the input's range.

    Returns:
        A point an epsilon; and which samples are right at that of the settings, under PGD of at
        least ``_ENOUGH`` steps.
    """
    from tinyedge.attacks.float_craft import FloatCrafter

    largest = (settings.clip[1] - settings.clip[0]) / 2
    epsilons = [epsilon for multiple in SWEEP if (epsilon := settings.epsilon * multiple) < largest]
    crafter = FloatCrafter(model, settings)

    def right(epsilon: float, iterations: int) -> NDArray[np.bool_]:
        tried = replace(
            settings,
            epsilon=epsilon,
            epsilons=(),
            step=None,
            iterations=iterations,
            restarts=1,
        )
        crafted = crafter.with_settings(tried).craft("pgd", clean.inputs, clean.labels).inputs
        found: NDArray[np.bool_] = verdicts(model.logits(crafted)) == clean.labels
        return found

    own = right(settings.epsilon, max(_ENOUGH, settings.iterations))
    points = []
    for epsilon in (*epsilons, largest):
        left = own if epsilon == settings.epsilon else right(epsilon, settings.iterations)
        points.append({"epsilon": epsilon, "accuracy": float(left.mean())})
    return points, own
