"""Reasons not to believe a run's robustness figures, each from what it is meant to see."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.reports.runs import MASKING, attacked_suite, clean_suite, from_file, network
from tinyedge.attacks.judgement import judge_oracle
from tinyedge.attacks.run_judgement import judge_run
from tinyedge.cli.attack_oracle import judgement_lines, oracle_text
from tinyedge.evaluation.compare import SuiteResult
from tinyedge.evaluation.executors import Run
from tinyedge.evaluation.suites import Suite
from tinyedge.exporters.converted import ConvertedModel

COUNT = 100


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return network(tmp_path_factory.mktemp("small") / "m")


@pytest.fixture(scope="module")
def clean(model: ConvertedModel) -> Suite:
    return clean_suite(model, COUNT)


def result(model: ConvertedModel, suite: Suite, right: int) -> SuiteResult:
    """A result whose first so many verdicts are right."""
    tensor = model.graph.output_tensor
    logits = np.zeros((len(suite.labels), *tensor.shape), dtype=np.int8)
    verdicts = suite.labels.copy()
    verdicts[right:] = (verdicts[right:] + 1) % logits.shape[1]
    logits[np.arange(len(verdicts)), verdicts] = 1
    inputs = model.graph.input_tensor.quantization.quantize(suite.inputs)
    return SuiteResult(suite, inputs, logits, Run(logits), tensor.quantization)


def judged(model: ConvertedModel, clean: Suite, attacks: list[tuple[Suite, int]]) -> dict[str, Any]:
    before = result(model, clean, 95)
    pairs = [(before, None), *((result(model, *attack), before) for attack in attacks)]
    found = judge_run(pairs, model.graph.hash)
    assert found is not None
    return found


def rules(remarks: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [(remark["rule"], *remark["suites"]) for remark in remarks]


def test_without_an_attack_nothing_is_judged(model: ConvertedModel, clean: Suite) -> None:
    assert judge_run([(result(model, clean, 95), None)], model.graph.hash) is None


def test_attacks_in_order_are_believed(model: ConvertedModel, clean: Suite, tmp_path: Path) -> None:
    crafted = [attacked_suite(model, clean, name) for name in ("pgd", "fgsm", "noise")]
    loaded = from_file(tmp_path / "s.npz", [clean, *crafted], MASKING)
    found = judged(model, clean, list(zip(loaded[1:], (20, 40, 90), strict=True)))
    assert found["believable"]
    assert found["findings"] == []
    assert rules(found["cautions"]) == [("transferred", "pgd", "fgsm")]
    assert [file["file"] for file in found["files"]] == ["s.npz"]


def test_attacks_on_other_samples_are_not_compared(model: ConvertedModel, clean: Suite) -> None:
    """FGSM is no stronger than PGD where it had other samples with the same labels."""
    other = replace(clean_suite(model, COUNT, 1), labels=clean.labels)
    for before in (clean, other):
        pgd, fgsm = attacked_suite(model, clean, "pgd"), attacked_suite(model, before, "fgsm")
        pairs = [
            (result(model, pgd, 60), result(model, clean, 95)),
            (result(model, fgsm, 20), result(model, before, 95)),
        ]
        found = judge_run(pairs, model.graph.hash)
        assert found
        stronger = ("stronger", "fgsm", "pgd") in rules(found["findings"])
        assert stronger == (before is clean)


def test_a_file_that_was_not_believable_makes_the_run_so(
    model: ConvertedModel, clean: Suite, tmp_path: Path
) -> None:
    masking = MASKING | {"believable": False, "findings": ["the gradient is zero"]}
    loaded = from_file(tmp_path / "s.npz", [clean, attacked_suite(model, clean, "pgd")], masking)
    found = judged(model, clean, [(loaded[1], 20)])
    assert not found["believable"]
    assert found["files"][0]["findings"] == ["the gradient is zero"]


@pytest.mark.parametrize(
    ("attacks", "expected"),
    [
        ([("pgd", 40), ("fgsm", 20)], ("stronger", "fgsm", "pgd")),
        ([("pgd", 40), ("square", 20)], ("stronger", "square", "pgd")),
        ([("pgd", 50), ("noise", 60)], ("noise", "noise")),
        ([("fgsm", 50), ("noise", 90)], ("one-step", "fgsm", "noise")),
    ],
)
def test_signs_in_the_verdicts(
    attacks: list[tuple[str, int]],
    expected: tuple[str, ...],
    model: ConvertedModel,
    clean: Suite,
) -> None:
    crafted = [(attacked_suite(model, clean, name), right) for name, right in attacks]
    found = judged(model, clean, crafted)
    assert rules(found["findings"]) == [expected]
    assert not found["believable"]


def test_attacks_of_other_epsilons_are_not_compared(model: ConvertedModel, clean: Suite) -> None:
    small = attacked_suite(model, clean, "pgd", epsilon=2 / 255)
    large = attacked_suite(model, clean, "square", epsilon=16 / 255)
    assert judged(model, clean, [(small, 80), (large, 20)])["findings"] == []


def test_each_epsilon_of_several_is_compared_by_itself(model: ConvertedModel, clean: Suite) -> None:
    def attacked(attack: str, epsilon: float) -> Suite:
        suite = attacked_suite(model, clean, attack, epsilon=epsilon)
        return replace(suite, name=f"{attack}@{epsilon}")

    attacks = [
        (attacked("pgd", 0.01), 80),
        (attacked("square", 0.01), 60),
        (attacked("noise", 0.01), 94),
        (attacked("pgd", 0.02), 40),
        (attacked("square", 0.02), 50),
        (attacked("noise", 0.02), 60),
    ]
    found = judged(model, clean, attacks)["findings"]
    # Square of the smaller epsilon is weaker than PGD of the larger one, which says nothing.
    assert rules(found) == [("stronger", "square@0.01", "pgd@0.01"), ("noise", "noise@0.02")]


@pytest.mark.parametrize(
    ("change", "kind", "rule"),
    [
        (lambda s: s.settings.update(step=0.001), "findings", "short"),
        (lambda s: s.settings.update(step=8 / 255, iterations=1), "findings", "weak"),
        (lambda s: s.settings.update(epsilon=4 / 255, step=0.01), "findings", "budget"),
        (lambda s: s.settings.update(budget_reached=7), "cautions", "queries"),
        (lambda _: None, "cautions", "unjudged"),
        (lambda _: None, "cautions", "transferred"),
    ],
)
def test_settings_give_it_away(
    change: Callable[[Suite], None], kind: str, rule: str, model: ConvertedModel, clean: Suite
) -> None:
    suite = attacked_suite(model, clean, "pgd")
    change(suite)
    found = judged(model, clean, [(suite, 20)])
    assert rule in [remark["rule"] for remark in found[kind]]


def test_what_the_grid_swallows_is_no_attack(model: ConvertedModel, clean: Suite) -> None:
    suite = attacked_suite(model, clean, "pgd", epsilon=1e-4)
    (caution, *_) = judged(model, clean, [(suite, 95)])["cautions"]
    assert caution["rule"] == "unchanged"
    assert "100 % of the samples that were right reach the device unchanged" in caution["text"]


def test_what_was_wrong_before_need_not_change(model: ConvertedModel, clean: Suite) -> None:
    suite = attacked_suite(model, clean, "pgd")
    inputs = suite.inputs.copy()
    inputs[80:] = clean.inputs[80:]
    before = result(model, clean, 80)
    after = result(model, replace(suite, inputs=inputs), 20)
    found = judge_run([(before, None), (after, before)], model.graph.hash)
    assert found
    assert "unchanged" not in [remark["rule"] for remark in found["cautions"]]


def test_few_samples_and_missing_ones_are_said(model: ConvertedModel, clean: Suite) -> None:
    suite = attacked_suite(model, clean, "pgd").first(20)
    pair = (result(model, suite, 10), None)
    found = judge_run([pair], model.graph.hash)
    assert found is not None
    assert rules(found["cautions"])[:2] == [("unpaired", "pgd"), ("few", "pgd")]


def test_queries_to_the_model_itself_are_no_transfer(model: ConvertedModel, clean: Suite) -> None:
    oracle = {"on": "twin", "model": model.graph.hash}
    suite = attacked_suite(model, clean, "square", oracle=oracle)
    assert judged(model, clean, [(suite, 20)])["cautions"] == []
    other = replace(suite, settings=suite.settings | {"oracle": oracle | {"model": "other"}})
    assert rules(judged(model, clean, [(other, 20)])["cautions"]) == [("transferred", "square")]


def printed_verdict(model: ConvertedModel, clean: Suite, *attacks: str) -> str:
    """The record that ``attack`` prints of a converted model."""
    suites = [clean, *(attacked_suite(model, clean, name) for name in attacks)]
    logits = [suite.float_logits for suite in suites]
    file = io.StringIO()
    console = Console(file=file, width=200)
    for part in oracle_text(
        judge_oracle(suites, [each for each in logits if each is not None]), "twin"
    ):
        console.print(part)
    return file.getvalue()


def test_an_attack_is_judged_where_it_is_made(model: ConvertedModel, clean: Suite) -> None:
    alone = printed_verdict(model, clean, "fgsm")
    assert "Do not believe these figures:" in alone
    assert "- every suite comes from an attack of one step" in alone
    both = printed_verdict(model, clean, "fgsm", "pgd")
    assert "from an attack of one step" not in both
    few = printed_verdict(model, clean.first(8), "pgd")
    assert "- pgd: 8 samples are few" in few


def test_the_table_of_an_attack_has_no_empty_column(model: ConvertedModel, clean: Suite) -> None:
    text = printed_verdict(model, clean, "fgsm", "pgd")
    assert text.count("worst case of all attacks within Linf 8/255: ") == text.count("worst case")
    for heading in ("within budget", "queries a sample", "sent"):
        assert heading not in text
    assert "within budget" in printed_verdict(model, clean, "pgd", "pgd-l2")


def test_a_float_model_is_not_praised_for_one_step() -> None:
    text = "every suite comes from an attack of one step"
    finding = {"rule": "one-step", "suites": ["fgsm"], "text": text}
    found: dict[str, Any] = {"believable": False, "findings": [finding], "cautions": []}
    lines = [*judgement_lines(found, "No sign", "masked", text)]
    assert lines == ["Do not believe these figures:", "- masked", f"- {text}"]
    assert [*judgement_lines(found | {"findings": []}, "No sign")] == ["No sign"]
