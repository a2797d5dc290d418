"""Whether to believe what a run shows of a device under attack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tinyedge.attacks.judgement import (
    Attacked,
    remark,
    signs_of_few,
    signs_of_haste,
    signs_of_masking,
    signs_of_weakness,
)
from tinyedge.attacks.settings import ATTACKS
from tinyedge.evaluation.compare import SuiteResult
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.perturbation import Perturbation

Pair = tuple[SuiteResult, SuiteResult | None]
"""The result of a suite, and of the samples before the attack, where there are both."""

_UNCHANGED = 0.1
_LITTLE = 0.9
"""Share of the samples that stay right under an attack that says little."""
_ROUNDING = 1e-5
"""Share of the range of inputs that float32 may add to a change."""


def judge_run(pairs: Sequence[Pair], model_hash: str) -> dict[str, Any] | None:
    """Looks for reasons not to believe a run's robustness figures.

    After Athalye et al. 2018 (arXiv 1802.00420) and Carlini et al. 2019 (arXiv 1902.06705).

    Args:
        pairs: the results.
        model_hash: of the converted model that ran.

    Returns:
        ``believable``; ``findings``: reasons not to believe the figures; ``cautions``: what they
        do not say, each with ``rule``, ``suites``, ``text``; ``files``: what ``tinyedge attack``
        found when it crafted the suites. None where no suite is an attack's.
    """
    attacks = [pair for pair in pairs if _attack_name(pair[0]) in ATTACKS]
    if not attacks:
        return None
    findings = [finding for pair in attacks for finding in _findings(*pair)]
    findings += _signs(attacks)
    findings += signs_of_haste([(result.suite.name, _attack_name(result)) for result, _ in attacks])
    cautions = [caution for pair in attacks for caution in _cautions(*pair)]
    cautions += _cautions_of_all([result for result, _ in attacks], model_hash)
    judged = {
        file.sha256: {"file": file.name, **file.masking}
        for result, _ in attacks
        if (file := result.suite.file) and file.masking
    }
    return {
        "believable": not findings and all(file["believable"] for file in judged.values()),
        "findings": findings,
        "cautions": cautions,
        "files": list(judged.values()),
    }


def _attack_name(result: SuiteResult) -> str:
    return str(result.suite.settings.get("attack", ""))


def _right(result: SuiteResult, count: int) -> Any:
    return verdicts(result.run.logits[:count], result.output) == result.suite.labels[:count]


def _signs(attacks: Sequence[Pair]) -> list[dict[str, Any]]:
    """Signs in the device's verdicts; attacks are compared on the same samples."""
    groups: dict[tuple[bytes, ...], list[tuple[SuiteResult, SuiteResult]]] = defaultdict(list)
    for result, clean in attacks:
        settings = result.suite.settings
        if clean and "epsilon" in settings:
            # Labels alone do not tell two files' samples apart: both may be ordered by class.
            samples = clean.inputs[: result.samples].tobytes()
            groups[result.suite.labels.tobytes(), samples].append((result, clean))
    signs = []
    for group in groups.values():
        clean = _right(group[0][1], group[0][0].samples)
        attacked = [
            Attacked(
                result.suite.name,
                ATTACKS[_attack_name(result)],
                result.suite.settings["epsilon"],
                _right(result, result.samples),
            )
            for result, _ in group
        ]
        signs += signs_of_masking(clean, attacked)
    return signs


def _findings(result: SuiteResult, clean: SuiteResult | None) -> Iterator[dict[str, Any]]:
    name, settings = result.suite.name, result.suite.settings
    yield from signs_of_weakness(name, settings)
    epsilon = settings.get("epsilon")
    if clean and epsilon and settings.get("norm") == "Linf":
        change = Perturbation.between(clean.suite.inputs, result.suite.inputs)
        largest = float(change.largest.max())
        low, high = settings.get("clip", (0.0, 1.0))
        if largest > epsilon + _ROUNDING * (high - low):
            text = f"{name}: a value changes by {largest:.4g}, epsilon is {epsilon:.4g}"
            yield remark("budget", text, name)


def _cautions(result: SuiteResult, clean: SuiteResult | None) -> Iterator[dict[str, Any]]:
    suite, count = result.suite, result.samples
    name, settings = suite.name, suite.settings
    if clean:
        # Attacks may leave a sample as it is that is wrong already.
        before = _right(clean, count)
        whole = (result.inputs == clean.inputs[:count]).reshape(count, -1).all(axis=1)
        same = (whole & before).sum() / max(before.sum(), 1)
        if same > _UNCHANGED:
            text = (
                f"{name}: {100 * same:.0f} % of the samples that were right reach the device "
                "unchanged: the attack found nothing there, or the grid of the input has swallowed "
                "it"
            )
            yield remark("unchanged", text, name)
        kept = float((before & _right(result, count)).sum() / max(before.sum(), 1))
        if kept >= _LITTLE and ATTACKS[_attack_name(result)].kind in ("black-box", "transfer"):
            text = (
                f"{name} breaks little: {100 * kept:.0f} % of the samples that were right stay "
                "right; an attack without gradients may need more queries, and proves nothing by "
                "failing"
            )
            yield remark("little", text, name)
    else:
        text = f"{name}: the samples before the attack are not among the suites of its file"
        yield remark("unpaired", text + ": nothing is known of the changes", name)
    if reached := settings.get("budget_reached"):
        text = f"{name}: {reached} of {count} samples used their budget of queries up"
        yield remark("queries", text + "; more queries may break more", name)
    yield from signs_of_few(name, _right(result, count))


def _cautions_of_all(attacked: Sequence[SuiteResult], model_hash: str) -> Iterator[dict[str, Any]]:
    elsewhere = [
        result.suite.name
        for result in attacked
        if result.suite.settings.get("oracle", {}).get("model") != model_hash
        and _attack_name(result) != "noise"
    ]
    if elsewhere and len(elsewhere) == sum(_attack_name(each) != "noise" for each in attacked):
        text = (
            "all attacks were crafted on another model than the one that ran, and are transferred "
            "to it: gradients of float and quantized networks differ (arXiv 2404.05688); 'tinyedge "
            "attack DIR --on PLACE' asks the converted model itself"
        )
        yield remark("transferred", text, *elsewhere)
    unjudged = [
        result.suite.name
        for result in attacked
        if ATTACKS[_attack_name(result)].kind == "white-box"
        and "oracle" not in result.suite.settings
        and not (result.suite.file and result.suite.file.masking)
    ]
    if unjudged:
        text = "nothing is known of the float model's gradients: the suites tell no judgement"
        yield remark("unjudged", text, *unjudged)
