#!/usr/bin/env python3
"""Writes docs/results.md, its pictures and its appendix from the records in ``experiments/``.

python tools/write_results.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import vl_convert
from run_experiments import in_order

from tinyedge.attacks import ATTACKS as KNOWN
from tinyedge.attacks.rows import compare_records

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
PAGE = ROOT / "docs" / "results.md"
APPENDIX = ROOT / "docs" / "results-appendix.md"
IMAGES = ROOT / "docs" / "images"
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
    "binary": "binary",
    "binary-sampling": "binary",
    "ternary": "ternary, every layer",
    "stq": "STQ, T = 1",
    "stq-portion": "STQ, T = 1, growing portion",
    "stq-jacobian": "STQ, T = 1, Jacobian penalty",
    "float-t50": "float, T = 50 (teacher)",
    "stq-t50": "STQ, T = 50 (distilled)",
    "stq-t50-jacobian": "STQ, T = 50, Jacobian penalty",
    "stq-fgsm": "STQ, adversarially trained (FGSM-RS)",
    "stq-fgsm-seed2": "STQ, adversarially trained (FGSM-RS), seed 2",
    "stq-fgsm-seed3": "STQ, adversarially trained (FGSM-RS), seed 3",
    "stq-fgsm-w05": "STQ, adversarially trained (FGSM-RS), width 0.5",
    "stq-pgd-w05": "STQ, adversarially trained (FGSM-RS, then PGD-2), width 0.5",
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

HEADLINES = (
    "float",
    "int8",
    "binary",
    "stq",
    "stq-jacobian",
    "stq-t50",
    "stq-t50-jacobian",
    "stq-fgsm",
    "stq-pgd-w05",
)
"""Rows of the page; the appendix has all."""
WITHIN_EPSILON = ("fgsm", "pgd", "square", "autoattack", "transfer-fgsm", "transfer-pgd")
"""Attacks within the same L-infinity epsilon, of which the worst case is made."""
COLOURS = ("#1f6fb2", "#c1440e", "#2f8f4e", "#7d4fb3", "#b38a00", "#5b6770", "#b3437f", "#008c95")

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


def title(name: str, run: Run) -> str:
    """One name a training: binary weights by how they were trained."""
    if TITLES[name] == "binary":
        return f"binary, scheme '{run['config']['training']['scheme']}'"
    return TITLES[name]


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
            f"| {title(name, run)} | {config['model']['width']:g} | "
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
        lines.append(f"| {title(name, run)} | {' | '.join(shares)} | {verdict} |")
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
            f"| {title(name, runs[name])} | {' | '.join(percent(sweep.get(each)) for each in epsilons)} |"
            for name, sweep in sweeps.items()
        ),
    ]


def findings(runs: dict[str, Run]) -> list[str]:
    """Gives the findings of the masking check, and lengths of smallest changes."""
    lines = []
    for name, run in runs.items():
        if run["attacks"] and (found := run["attacks"]["masking"]["findings"]):
            lines += [f"- {title(name, run)}: {'; '.join(found)}."]
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
        lines.append(f"| {title(name, run)} | {' | '.join(cells)} |")
    return lines


def overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether the 95 % intervals of two suites' accuracies overlap."""
    ends = []
    for record in (first, second):
        accuracy = record["accuracy"]
        ends.append(accuracy.get("within_epsilon_interval", accuracy["interval"]))
    return bool(ends[0][0] <= ends[1][1] and ends[1][0] <= ends[0][1])


def compare(runs: dict[str, Run], first: str, second: str) -> list[str]:
    """A sentence an attack on which of two networks keeps more."""
    if not all(name in runs and runs[name]["attacks"] for name in (first, second)):
        return []
    better: list[str] = []
    worse: list[str] = []
    even: list[str] = []
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
    names = [title(name, runs[name]) for name in (first, second)]
    return [f"- {names[0]} against {names[1]}: {'; '.join(parts)}."]


def robust_table(runs: dict[str, Run]) -> list[str]:
    """Adversarially trained networks under the strongest attacks, with intervals."""
    attacked = {name: run for name, run in runs.items() if run["robust"]}
    if not attacked:
        return []
    any_run = next(iter(attacked.values()))
    settings = any_run["robust"]["suites"][-1]["settings"]
    lines = [
        (
            "Adversarially trained networks, on samples of the test data drawn with seed "
            f"{settings['seed']}: accuracy in %, its 95 % interval, L-infinity within epsilon {settings['epsilon']:.4g}. AutoAttack is the standard one: APGD-CE, "
            "APGD-T, FAB-T and Square with 5,000 queries; a sample counts only if all of them failed on "
            "it. `python tools/run_experiments.py "
            "DATASET/NAME` trains and attacks them anew."
        ),
        "",
        "| Network | Width | KiB | clean, whole test set | samples | clean | autoattack | masked? |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, run in attacked.items():
        cells = [with_interval(suite(run, each, "robust")) for each in ("clean", "autoattack")]
        verdict = "no sign" if run["robust"]["masking"]["believable"] else "**yes**"
        lines.append(
            f"| {title(name, run)} | {run['config']['model']['width']:g} | "
            f"{run['size']['stored_bytes'] / 1024:.1f} | "
            f"{percent(run['test']['accuracy'], 2)} | {run['robust']['suites'][0]['samples']:,} | "
            f"{' | '.join(cells)} | {verdict} |"
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
                f"- {title(name, run)}: {attack} leaves {percent(naive)} % if its loss takes the "
                f"logits as they are (no gradient at all at {percent(zero)} % of the samples), "
                f"{percent(aware)} % if it divides them by T."
            )
    return lines


def schemes_of_binary(runs: dict[str, Run]) -> list[str]:
    """Gives the cost of drawing binary weights anew in every step, where both were trained."""
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


def everything(dataset: str, heading: str) -> list[str]:
    """Everything of one data set."""
    runs = load(dataset)
    if not runs:
        return []
    first = next(iter(runs.values()))
    settings = next(
        (record["settings"] for run in runs.values() if (record := suite(run, "fgsm"))), None
    )
    lines = [
        f"## {heading}",
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


def strongest(run: Run) -> str | None:
    """Which record of attacks tells most of a run; None where it was not attacked."""
    return next((key for key in ("robust", "attacks") if run[key]), None)


class Worst(NamedTuple):
    """The accuracy that all attacks within epsilon leave together.

    Attributes:
        share: the accuracy.
        samples: how many were attacked.
        exact: whether records keep the verdicts of single samples, or nothing is left. Else it is
            the least that one attack left, which is an upper bound.
    """

    share: float
    samples: int
    exact: bool


def worst(run: Run) -> Worst:
    """The worst case of a run that was attacked."""
    key = strongest(run)
    assert key
    record = run[key]
    shares = [share for name in WITHIN_EPSILON if (share := left(run, name, key)) is not None]
    joint = [row["accuracy"] for row in record.get("worst_cases", []) if row["norm"] == "Linf"]
    alone = len(shares) == 1
    least = min([*shares, *joint])
    return Worst(least, record["suites"][0]["samples"], bool(joint) or alone or not least)


def headlines(runs: dict[str, Run]) -> list[str]:
    """A table of few rows."""
    lines = [
        "| Network | KiB | clean, test set | samples | clean | worst case at epsilon | masked? |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name in HEADLINES:
        run = runs.get(name)
        key = run and strongest(run)
        if not run or not key:
            continue
        share, count, exact = worst(run)
        verdict = "no sign" if run[key]["masking"]["believable"] else "**yes**"
        lines.append(
            f"| {title(name, run)} | {run['size']['stored_bytes'] / 1024:.1f} | "
            f"{percent(run['test']['accuracy'], 2)} | {count:,} | "
            f"{percent(left(run, 'clean', key))} | {'' if exact else 'at most '}{percent(share)} | "
            f"{verdict} |"
        )
    return lines


def standalone(svg: str) -> str:
    """A chart of a report as a file: its colours are written into it, for light and dark pages."""
    numbered = "".join(f"--c{at}:{colour};" for at, colour in enumerate(COLOURS, 1))
    light = f"svg{{{numbered}--ink-2:#444;--line:#ddd;--line-2:#999;font-family:sans-serif}}"
    dark = "@media(prefers-color-scheme:dark){svg{--ink-2:#ccc;--line:#444;--line-2:#888}}"
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{light}{dark}</style>", svg, count=1)


def draw(spec: dict[str, Any], file: str) -> None:
    """Writes a chart as a picture of the pages."""
    axis = {
        "labelColor": "var(--ink-2)",
        "titleColor": "var(--ink-2)",
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line-2)",
        "tickColor": "var(--line-2)",
        "labelLimit": 300,
        "tickCount": 5,
    }
    legend = {"labelColor": "var(--ink-2)", "labelLimit": 300, "orient": "bottom", "columns": 2}
    full = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 420,
        "padding": 16,
        "background": None,
        "config": {"view": {"stroke": None}, "axis": axis, "legend": {**legend, "title": None}},
        **spec,
    }
    svg: str = vl_convert.vegalite_to_svg(full, vl_version="5.20")
    (IMAGES / file).write_text(standalone(svg), encoding="utf-8")


def coloured(field: str, values: list[str]) -> dict[str, Any]:
    """A colour a value."""
    colours = [f"var(--c{at % len(COLOURS) + 1})" for at in range(len(values))]
    return {"field": field, "type": "nominal", "scale": {"domain": values, "range": colours}}


def pictures(dataset: str, heading: str, runs: dict[str, Run]) -> list[str]:
    """Clean against worst case, and PGD over epsilon; the lines that show them."""
    attacked = {name: run for name, run in runs.items() if strongest(run)}
    shown = {title(name, attacked[name]): attacked[name] for name in HEADLINES if name in attacked}
    accuracy = {"type": "quantitative", "axis": {"format": ".0%"}, "scale": {"domain": [0, 1]}}
    bars = [
        {"network": network, "of": series, "accuracy": share}
        for network, run in shown.items()
        for series, share in (
            ("clean", left(run, "clean", str(strongest(run)))),
            ("worst case", worst(run).share),
        )
    ]
    draw(
        {
            "data": {"values": bars},
            "mark": {"type": "bar"},
            "height": {"step": 12},
            "encoding": {
                "y": {"field": "network", "sort": list(shown), "title": None},
                "yOffset": {"field": "of"},
                "x": {"field": "accuracy", "title": "accuracy", **accuracy},
                "color": coloured("of", ["clean", "worst case"]),
            },
        },
        f"results-{dataset}.svg",
    )
    points = [
        {"network": network, "epsilon": point["epsilon"], "accuracy": point["accuracy"]}
        for network, run in shown.items()
        for point in run[str(strongest(run))]["masking"]["pgd_sweep"]
    ]
    ends = [pick(point["epsilon"] for point in points) for pick in (min, max)]
    draw(
        {
            "data": {"values": points},
            "mark": {"type": "line", "point": {"size": 28}, "strokeWidth": 2},
            "height": 260,
            "encoding": {
                "x": {
                    "field": "epsilon",
                    "type": "quantitative",
                    "scale": {"type": "log", "domain": ends},
                    "title": "epsilon (L-infinity, units of the input)",
                },
                "y": {"field": "accuracy", "title": "accuracy under PGD", **accuracy},
                "color": coloured("network", list(shown)),
            },
        },
        f"results-{dataset}-pgd.svg",
    )
    return [
        f"![{heading}: clean accuracy and worst case, as in the table](images/results-{dataset}.svg)",
        "",
        f"![{heading}: accuracy under PGD by epsilon](images/results-{dataset}-pgd.svg)",
    ]


def section(dataset: str, heading: str, runs: dict[str, Run]) -> list[str]:
    """A data set on the page."""
    epsilon = next(
        record["settings"]["epsilon"] for run in runs.values() if (record := suite(run, "fgsm"))
    )
    unit = "8/255" if abs(epsilon - 8 / 255) < 1e-6 else f"{epsilon:.4g} in units of the features"
    return [
        f"## {heading}",
        "",
        (
            f"L-infinity, epsilon {unit}. `tinyedge attack experiments/{dataset}/NAME --attacks all --samples 100 "
            "--seed 0` gives the rows of 100 samples, `--attacks autoattack --samples N` the others."
        ),
        "",
        *headlines(runs),
        "",
        *pictures(dataset, heading, runs),
        "",
    ]


def conclusions(runs: dict[str, dict[str, Run]]) -> list[str]:
    """Sums up the records in one paragraph."""
    cifar, fashion, speech = (
        runs[each] for each in ("cifar10", "fashion_mnist", "speech_commands")
    )

    def kept(name: str) -> str:
        found = [percent(worst(each[name]).share) for each in (cifar, fashion)]
        return f"{found[0]} % and {found[1]} %"

    def cost(name: str) -> str:
        costs = [
            100 * (each["stq"]["test"]["accuracy"] - each[name]["test"]["accuracy"])
            for each in (cifar, fashion)
        ]
        return f"{costs[0]:.1f} and {costs[1]:.1f} points"

    naive = percent(left(cifar["stq-t50"], "fgsm", "attacks-untempered"))
    aware = percent(left(cifar["stq-t50"], "fgsm"))
    robust = fashion["stq-fgsm"]
    share, count, _ = worst(robust)
    loudest = max(worst(run).share for run in speech.values() if strongest(run))
    sentences = [
        (
            "**Stochastic ternary weights alone make no network robust.** Within 8/255, all attacks together "
            f"leave STQ {kept('stq')} of 100 samples of CIFAR-10 and Fashion-MNIST, and the float network "
            f"{kept('float')}."
        ),
        (
            f"**Distillation at T = 50 adds nothing**: {kept('stq-t50')}. It only misleads attacks that take "
            f"the logits as they are: such an FGSM leaves {naive} % on CIFAR-10, and {aware} % if its loss "
            "divides them by T."
        ),
        (
            f"**The Jacobian penalty helps where images are simple, and costs accuracy**: "
            f"{kept('stq-jacobian')} stay, for {cost('stq-jacobian')} of clean accuracy."
        ),
        (
            "**Adversarial training makes a ternary network robust**: AutoAttack leaves "
            f"{percent(share)} % of {count:,} samples of Fashion-MNIST, with "
            f"{percent(robust['test']['accuracy'], 2)} % clean on the whole test set and "
            f"{robust['size']['stored_bytes'] / 1024:.1f} KiB of weights."
        ),
    ]
    wide = cifar.get("stq-pgd-w05")
    if wide and strongest(wide):
        share, count, _ = worst(wide)
        sentences.append(
            f"On CIFAR-10 in grey, at width 0.5, it leaves {percent(share)} % of {count:,}, with "
            f"{percent(wide['test']['accuracy'], 2)} % clean."
        )
    sentences.append(
        "On Speech Commands, where epsilon is a distance between features and not between sounds, no "
        f"network keeps more than {percent(loudest)} %; none was trained adversarially."
    )
    return [" ".join(sentences)]


def answers(runs: dict[str, dict[str, Run]]) -> list[str]:
    """Open questions, a sentence each."""
    cifar, speech = runs["cifar10"], runs["speech_commands"]

    def clean(run: Run) -> str:
        return f"{percent(run['test']['accuracy'], 2)} %"

    def robust(run: Run) -> str:
        return f"{percent(worst(run).share)} %"

    lines = []
    large = {
        name: json.loads((EXPERIMENTS / "cifar10" / name / "fgsm-0.3.json").read_text())
        for name in ("stq", "post-training", "float")
    }
    shares = {
        name: percent(record["suites"][1]["accuracy"]["float"]) for name, record in large.items()
    }
    count = large["stq"]["suites"][1]["samples"]
    lines.append(
        "Does STQ gain the paper's 5 to 15 points under FGSM at epsilon 0.3? No: on "
        f"{count:,} samples of CIFAR-10, FGSM leaves {shares['stq']} % of STQ, {shares['post-training']} % "
        f"of the float network made STQ after training, and {shares['float']} % of the float network "
        "(`tinyedge attack experiments/cifar10/stq --attacks fgsm --epsilon 0.3 --samples 1000 --seed 0`). With ten "
        "classes, one in ten is guessed."
    )
    lines.append(
        f"Is the paper's clean accuracy reached? No: STQ has {clean(cifar['stq'])} on CIFAR-10 at width "
        f"0.25, where the paper has {percent(PAPER['cifar10', 'stq'], 2)} % at full width, which was not "
        f"trained; on Speech Commands {clean(speech['stq'])} against "
        f"{percent(PAPER['speech_commands', 'stq'], 2)} %, from a tenth of the training data."
    )
    lines.append(
        f"Does colour help? No: STQ on RGB has {clean(cifar['stq-rgb'])} and keeps "
        f"{robust(cifar['stq-rgb'])}; on grey {clean(cifar['stq'])} and {robust(cifar['stq'])}. No RGB "
        "network was trained adversarially."
    )
    lines.append(
        f"Does another network help? Not MobileNetV2 with STQ: {clean(cifar['mobilenet_v2-stq'])} after ten "
        f"epochs, of which {robust(cifar['mobilenet_v2-stq'])} stay. It was not trained at T = 50."
    )
    lines.append(
        "Must ternary weights be trained? Yes: the float network made STQ afterwards has "
        f"{clean(cifar['post-training'])} on CIFAR-10, and {clean(cifar['post-training-raw'])} with the "
        "float network's statistics of batch normalization."
    )
    lines.append(
        "Does it matter how weights become ternary? Little: on Speech Commands, a growing portion gives "
        f"{clean(speech['stq-portion'])}, and drawing in every step {clean(speech['stq'])}."
    )
    lines.append(
        "Are gradients masked? The judgement of `tinyedge attack` finds no sign of it in any row of this "
        "page."
        if all(
            run[key]["masking"]["believable"]
            for each in runs.values()
            for run in each.values()
            if (key := strongest(run))
        )
        else "Are gradients masked? The rows say where the judgement of `tinyedge attack` finds it."
    )
    return [f"- {line}" for line in lines]


def not_run(runs: dict[str, dict[str, Run]]) -> list[str]:
    """Configurations without a record."""
    configured = sorted(
        str(path.relative_to(EXPERIMENTS).with_suffix("")) for path in EXPERIMENTS.glob("*/*.toml")
    )
    return [
        name
        for name in in_order(configured)
        if name.split("/")[1] not in runs.get(name.split("/")[0], {})
    ]


def main() -> None:
    """Writes the pages."""
    runs = {dataset: load(dataset) for dataset in DATASETS}
    lines = [
        "# Results",
        "",
        (
            "These are not the paper's experiments: width, epochs and data are what could be afforded, "
            "and the layer table of the network is inferred from its published sizes (arXiv 2503.08973). "
            "`python tools/write_results.py` writes this page and its [appendix](results-appendix.md) from "
            "the records in `experiments/`, and `python tools/run_experiments.py DATASET/NAME` makes a "
            "record anew: `experiments/DATASET/NAME.toml` is its configuration, seed included. All "
            "figures are of one seed."
        ),
        "",
        "## Conclusions",
        "",
        *conclusions(runs),
        "",
        "## Questions",
        "",
        *answers(runs),
        "",
        (
            "In the tables below, the *worst case* counts a sample only if no attack within epsilon changed "
            "it: FGSM, PGD, Square, AutoAttack and, on grey images and features, what the float network "
            "gives FGSM and PGD. Where records keep no verdicts of single samples, it is the least that one "
            "attack left, so that the true worst case is *at most* that. A share of 100 samples has a 95 % "
            "interval of up to 10 points on both sides, one of 1,000 of up to 3."
        ),
        "",
    ]
    for dataset, heading in DATASETS.items():
        lines += section(dataset, heading, runs[dataset])
    lines += [
        "## Not run",
        "",
        (
            "Configured and not trained: "
            + ", ".join(f"`{name}`" for name in not_run(runs))
            + ". Nor were: STQ at full width, SVHN, TRADES, other folds of Speech Commands than the first, "
            "an adversarially trained network on RGB or on Speech Commands, and MLPerf Tiny's networks "
            "under white-box attacks."
        ),
        "",
    ]
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    more = [
        "# Results: appendix",
        "",
        (
            "All rows of [the results](results.md). The column *Paper* has what is certain of arXiv "
            "2503.08973. White-box attacks take the gradient of the loss on the logits, through the "
            "straight-through quantizers, and divide the logits by the temperature that the network was "
            "trained with. Two cores of a server, no GPU; other work ran beside most runs, so minutes are "
            "upper bounds. Some records of Boundary, and with them the figures here, are from before its "
            "starting points were drawn as they are now: the same seed gives others. *Scheme* is how binary "
            "weights were trained: `sampling` draws each anew in every step, `portion` a growing part of "
            "them."
        ),
        "",
    ]
    for dataset, heading in DATASETS.items():
        more += everything(dataset, heading)
    APPENDIX.write_text("\n".join(more).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
