#!/usr/bin/env python3
"""Writes docs/results.md from the records in ``experiments/``.

python tools/write_results.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinyedge.attacks import ATTACKS as KNOWN
from tinyedge.attacks.rows import compare_records

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
LATER = ("pgd-l2", "apgd", "hopskipjump", "simba", "refine")
ATTACKS = {name: attack for name, attack in KNOWN.items() if name not in LATER}
"""Attacks of the experiments: those in ``run_experiments.py``."""

DATASETS = {
    "cifar10": "CIFAR-10 (JPEG copy)",
    "speech_commands": "Speech Commands, folds of the 12-class test set",
    "fashion_mnist": "Fashion-MNIST",
}
TITLES = {
    "float": "float",
    "int8": "8-bit",
    "binary": "binary (stochastic)",
    "binary-sampling": "binary, every weight drawn anew in every step",
    "ternary": "ternary, every layer",
    "stq": "STQ, T = 1",
    "stq-portion": "STQ, T = 1, growing portion",
    "stq-jacobian": "STQ, T = 1, Jacobian penalty",
    "float-t50": "float, T = 50 (teacher)",
    "stq-t50": "STQ, T = 50 (distilled)",
    "stq-t50-jacobian": "STQ, T = 50, Jacobian penalty",
    "stq-fgsm": "STQ, adversarially trained (FGSM-RS)",
    "stq-fgsm-seed2": "the same, seed 2",
    "stq-fgsm-seed3": "the same, seed 3",
    "stq-fgsm-w05": "the same, width 0.5",
    "stq-rgb": "STQ, T = 1, RGB",
    "stq-wide": "STQ, T = 1, wider",
    "mobilenet_v2-stq": "MobileNetV2, STQ",
    "mobilenet_v2-float": "MobileNetV2, float",
    "post-training": "float, made STQ after training",
    "post-training-raw": "the same, statistics of batch normalization kept",
}
PAPER = {
    ("cifar10", "float"): 0.7520,
    ("cifar10", "stq"): 0.8057,
    ("speech_commands", "stq"): 0.9055,
    ("speech_commands", "stq-t50"): 0.8885,
}
"""Clean accuracies that are certain from the paper's abstract and summary (arXiv 2503.08973)."""

SIGNIFICANT = 0.05
"""Below it a paired test tells two networks apart."""

Run = dict[str, Any]


def load(dataset: str) -> dict[str, Run]:
    """Every run of a data set that was trained, with its attacks where there are any."""
    runs = {}
    for name in TITLES:
        folder = EXPERIMENTS / dataset / name
        if (folder / "run.json").is_file():
            run: Run = json.loads((folder / "run.json").read_text())
            for key in ("attacks", "attacks-untempered", "robust"):
                path = folder / f"{key}.json"
                run[key] = json.loads(path.read_text()) if path.is_file() else None
            runs[name] = run
    return runs


def percent(share: float | None, digits: int = 1) -> str:
    """A share, or a dash."""
    return "-" if share is None else f"{100 * share:.{digits}f}"


def suite(run: Run, attack: str, key: str = "attacks") -> dict[str, Any] | None:
    """The record of an attack on a run."""
    records = (run[key] or {}).get("suites", [])
    return next((record for record in records if record["name"] == attack), None)


def left(run: Run, attack: str, key: str = "attacks") -> float | None:
    """Accuracy that an attack leaves within its budget."""
    record = suite(run, attack, key)
    if record is None:
        return None
    accuracy = record["accuracy"]
    share: float = accuracy.get("within_epsilon", accuracy["float"])
    return share


def clean_table(dataset: str, runs: dict[str, Run]) -> list[str]:
    """Size, training and clean accuracy."""
    lines = [
        (
            "| Network | Width | KiB | Epochs | Minutes | Jacobian norm | at T | Test samples | Accuracy | "
            "95 % interval | Paper |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, run in runs.items():
        config, test, jacobian = run["config"], run["test"], run["jacobian"]
        low, high = test["interval"]
        epochs = str(config["training"]["epochs"]) if run["epochs"] else "-"
        lines.append(
            f"| {TITLES[name]} | {config['model']['width']:g} | "
            f"{run['size']['stored_bytes'] / 1024:.1f} | {epochs} | "
            f"{run['seconds'] / 60:.1f} | {jacobian['frobenius_mean']:.1f} | "
            f"{jacobian['frobenius_mean_at_temperature']:.1f} | {test['samples']:,} | "
            f"{percent(test['accuracy'], 2)} | {percent(low)} to {percent(high)} | "
            f"{percent(PAPER.get((dataset, name)), 2)} |"
        )
    return lines


def attack_table(runs: dict[str, Run]) -> list[str]:
    """Accuracy under every attack."""
    names = list(ATTACKS)
    lines = [
        f"| Network | clean | {' | '.join(names)} | masked? |",
        f"|---|{'---:|' * (len(names) + 2)}",
    ]
    for name, run in runs.items():
        if run["attacks"] is None:
            continue
        shares = [percent(left(run, attack)) for attack in ("clean", *names)]
        verdict = "no sign" if run["attacks"]["masking"]["believable"] else "**yes**"
        lines.append(f"| {TITLES[name]} | {' | '.join(shares)} | {verdict} |")
    return lines


def sweep_table(runs: dict[str, Run]) -> list[str]:
    """Accuracy under PGD by epsilon."""
    sweeps = {
        name: {
            point["epsilon"]: point["accuracy"] for point in run["attacks"]["masking"]["pgd_sweep"]
        }
        for name, run in runs.items()
        if run["attacks"]
    }
    epsilons = sorted({epsilon for sweep in sweeps.values() for epsilon in sweep})
    return [
        f"| Network | {' | '.join(f'{epsilon:.4g}' for epsilon in epsilons)} |",
        f"|---|{'---:|' * len(epsilons)}",
        *(
            f"| {TITLES[name]} | {' | '.join(percent(sweep.get(each)) for each in epsilons)} |"
            for name, sweep in sweeps.items()
        ),
    ]


def findings(runs: dict[str, Run]) -> list[str]:
    """What the masking check found, and lengths of smallest changes."""
    lines = []
    for name, run in runs.items():
        if run["attacks"] and (found := run["attacks"]["masking"]["findings"]):
            lines += [f"- {TITLES[name]}: {'; '.join(found)}."]
    return lines


def lengths_table(runs: dict[str, Run]) -> list[str]:
    """How long the smallest adversarial changes are."""
    names = [name for name, attack in ATTACKS.items() if attack.norm == "L2"]
    lines = [
        f"| Network | {' | '.join(names)} |",
        f"|---|{'---:|' * len(names)}",
    ]
    for name, run in runs.items():
        if run["attacks"] is None:
            continue
        cells = []
        for attack in names:
            record = suite(run, attack)
            median = record and record["change"]["l2_median_of_successes"]
            cells.append("-" if median is None else f"{median:.2f}")
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return lines


def overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether the 95 % intervals of two suites' accuracies overlap."""
    ends = []
    for record in (first, second):
        accuracy = record["accuracy"]
        ends.append(accuracy.get("within_epsilon_interval", accuracy["interval"]))
    return ends[0][0] <= ends[1][1] and ends[1][0] <= ends[0][1]


def compare(runs: dict[str, Run], first: str, second: str) -> list[str]:
    """A sentence an attack on which of two networks keeps more."""
    if not all(name in runs and runs[name]["attacks"] for name in (first, second)):
        return []
    better, worse, even = [], [], []
    for attack in ATTACKS:
        one, other = suite(runs[first], attack), suite(runs[second], attack)
        if one is None or other is None:
            continue
        mine, theirs = left(runs[first], attack), left(runs[second], attack)
        assert mine is not None
        assert theirs is not None
        text = f"{attack} ({percent(mine)} against {percent(theirs)})"
        paired = compare_records(runs[first]["attacks"], runs[second]["attacks"], attack)
        if paired:
            text = f"{text[:-1]}, p = {paired.p_value:.2g})"
        if overlap(one, other) if paired is None else paired.p_value >= SIGNIFICANT:
            even.append(text)
        else:
            (better if mine > theirs else worse).append(text)
    # Older records keep no verdicts of single samples.
    kept = all("labels" in runs[name]["attacks"] for name in (first, second))
    how = "McNemar's exact test, 5 %" if kept else "intervals overlap"
    parts = []
    if better:
        parts.append(f"keeps more under {', '.join(better)}")
    if worse:
        parts.append(f"keeps less under {', '.join(worse)}")
    if even:
        parts.append(f"cannot be told apart ({how}) under {', '.join(even)}")
    return [f"- {TITLES[first]} against {TITLES[second]}: {'; '.join(parts)}."]


def robust_table(runs: dict[str, Run]) -> list[str]:
    """Adversarially trained networks under the strongest attacks, with intervals."""
    attacked = {name: run for name, run in runs.items() if run["robust"]}
    if not attacked:
        return []
    any_run = next(iter(attacked.values()))
    settings = any_run["robust"]["suites"][-1]["settings"]
    lines = [
        (
            f"Adversarially trained networks, on {any_run['robust']['suites'][0]['samples']:,} samples "
            f"of the test data drawn with seed {settings['seed']}: accuracy in %, its 95 % interval, "
            f"L-infinity within epsilon {settings['epsilon']:.4g}. AutoAttack is the standard one: APGD-CE, "
            "APGD-T, FAB-T and Square with 5,000 queries; a sample counts only if all of them failed on "
            "it. `python tools/run_experiments.py "
            "DATASET/NAME` trains and attacks them anew."
        ),
        "",
        "| Network | Width | KiB | clean, whole test set | clean | autoattack | masked? |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, run in attacked.items():
        cells = [with_interval(suite(run, each, "robust")) for each in ("clean", "autoattack")]
        verdict = "no sign" if run["robust"]["masking"]["believable"] else "**yes**"
        lines.append(
            f"| {TITLES[name]} | {run['config']['model']['width']:g} | "
            f"{run['size']['stored_bytes'] / 1024:.1f} | "
            f"{percent(run['test']['accuracy'], 2)} | {' | '.join(cells)} | {verdict} |"
        )
    return [*lines, ""]


def with_interval(record: dict[str, Any] | None) -> str:
    """An accuracy with its interval."""
    if record is None:
        return "-"
    accuracy = record["accuracy"]
    low, high = accuracy["interval"]
    return f"{percent(accuracy['float'])} ({percent(low)} to {percent(high)})"


def untempered(runs: dict[str, Run]) -> list[str]:
    """Attacks that take the softmax at temperature 1 for the one that was trained."""
    lines = []
    for name, run in runs.items():
        if not run["attacks-untempered"]:
            continue
        for attack in ("fgsm", "pgd"):
            naive, aware = left(run, attack, "attacks-untempered"), left(run, attack)
            zero = run["attacks-untempered"]["masking"]["zero_gradients"]
            lines.append(
                f"- {TITLES[name]}: {attack} leaves {percent(naive)} % if its loss takes the "
                f"logits as they are (no gradient at all at {percent(zero)} % of the samples), "
                f"{percent(aware)} % if it divides them by T."
            )
    return lines


def schemes_of_binary(runs: dict[str, Run]) -> list[str]:
    """What drawing binary weights anew in every step costs, where both were trained."""
    if not {"binary", "binary-sampling", "stq"} <= set(runs):
        return []
    share, drawn, stq = (
        f"{100 * runs[name]['test']['accuracy']:.1f} %"
        for name in ("binary", "binary-sampling", "stq")
    )
    scheme = runs["binary"]["config"]["training"]["scheme"]
    said = (
        f"- Binary weights drawn anew in every step leave {drawn} clean, against {share} by the scheme "
        f"'{scheme}' with the same seed, epochs and augmentation. A draw turns a binary weight round, "
        "where it takes a ternary one to zero or from it at most; our guess is that this noise drowns "
        f"what few samples teach. It is part of the distance to STQ ({stq}), not all of it."
    )
    return [said]


def section(dataset: str, title: str) -> list[str]:
    """Everything of one data set."""
    runs = load(dataset)
    if not runs:
        return []
    first = next(iter(runs.values()))
    settings = next(
        (record["settings"] for run in runs.values() if (record := suite(run, "fgsm"))), None
    )
    lines = [
        f"## {title}",
        "",
        (
            f"Trained on: {first['training_data']['source']}, {first['training_data']['samples']:,} "
            f"samples. Tested on: {first['test']['source']}."
        ),
        "",
        *clean_table(dataset, runs),
        "",
    ]
    lines += robust_table(runs)
    if settings:
        l2 = next(
            record["settings"]["epsilon"] for run in runs.values() if (record := suite(run, "cw"))
        )
        count = next(record["samples"] for run in runs.values() if (record := suite(run, "fgsm")))
        lines += [
            (
                f"Accuracy in % that each attack leaves on {count} samples of the test data, drawn with "
                f"seed {settings['seed']}; a share of p has a 95 % interval of about "
                f"+- {196 * (0.25 / count) ** 0.5:.0f} points at p = 50. L-infinity attacks: epsilon "
                f"{settings['epsilon']:.4g} in units of the input, which lies in "
                f"[{settings['clip'][0]:.4g}, {settings['clip'][1]:.4g}]. L2 attacks (cw, boundary, "
                f"zoo) look for the smallest change, and count where it is no longer than {l2:.3g}."
            ),
            "",
            *attack_table(runs),
            "",
            "Accuracy in % under PGD, by epsilon:",
            "",
            *sweep_table(runs),
            "",
            "Median L2 length of the smallest changes that were found:",
            "",
            *lengths_table(runs),
            "",
        ]
    if said := findings(runs):
        lines += ["Do not believe the robustness of these; the masking check found:", "", *said, ""]
    pairs = [
        ("stq", "float"),
        ("stq", "int8"),
        ("stq", "binary"),
        ("stq", "ternary"),
        ("stq", "stq-portion"),
        ("binary", "binary-sampling"),
        ("stq", "post-training"),
        ("stq-jacobian", "stq"),
        ("stq-fgsm", "stq"),
        ("stq-t50", "stq"),
        ("stq-t50-jacobian", "stq-t50"),
        ("stq", "stq-rgb"),
        ("mobilenet_v2-stq", "mobilenet_v2-float"),
    ]
    compared = [*schemes_of_binary(runs)]
    compared += [line for pair in pairs for line in compare(runs, *pair)]
    if compared:
        lines += ["What can be told, and what cannot:", "", *compared, ""]
    if tempered := untempered(runs):
        lines += ["Defensive distillation, and who is fooled by it:", "", *tempered, ""]
    return lines


def main() -> None:
    """Writes the page."""
    lines = [
        "# Results",
        "",
        (
            "Written by `python tools/write_results.py` from the records in `experiments/`, which "
            "`python tools/run_experiments.py` made: `experiments/DATASET/NAME.toml` is a run's "
            "configuration, seed included, the folder of that name holds its record, its model and what "
            "`tinyedge attack --attacks all` found. Two cores of a server, no GPU; other work ran "
            "beside most runs, so minutes are upper bounds."
        ),
        "",
        (
            "These are not the paper's experiments: width, epochs and data are what could be afforded, "
            "and the layer table of the network is inferred from its published sizes. The column "
            "*Paper* has what is certain of arXiv 2503.08973. White-box attacks take the gradient of "
            "the loss on the logits, through the straight-through quantizers, and divide the logits by "
            "the temperature that the network was trained with. Some records of Boundary, and with them "
            "the figures here, are from before its starting points were drawn as they are now: the same "
            "seed gives others."
        ),
        "",
    ]
    for dataset, title in DATASETS.items():
        lines += section(dataset, title)
    (ROOT / "docs" / "results.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
