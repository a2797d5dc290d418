"""``tinyedge attack``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output


@click.command("attack")
@click.argument("model", type=PATH)
@click.option(
    "--attacks",
    default="fgsm,pgd",
    show_default=True,
    help="Names, separated by commas: fgsm, pgd.",
)
@click.option("-o", "--output", "suite_file", type=PATH, required=True, help="The .npz to write.")
@click.option(
    "--data",
    type=PATH,
    metavar="FILE",
    help="Labelled samples: .npz with x and y. Default: the images of the demonstration, for a "
    "model that takes 28x28x1.",
)
@click.option("--samples", type=click.IntRange(1), help="Attack the first so many. Default: all.")
@click.option(
    "--epsilon",
    type=click.FloatRange(0, min_open=True),
    default=8 / 255,
    show_default="8/255",
    help="Largest change of any input value (L-infinity), in units of the float input.",
)
@click.option("--step", type=click.FloatRange(0, min_open=True), help="Of PGD. Default: epsilon/4.")
@click.option("--iterations", type=click.IntRange(1), default=20, show_default=True, help="Of PGD.")
@click.option("--restarts", type=click.IntRange(1), default=1, show_default=True, help="Of PGD.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--clip",
    type=float,
    nargs=2,
    default=(0.0, 1.0),
    show_default=True,
    metavar="LOW HIGH",
    help="Range that samples stay in.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    model: Path,
    attacks: str,
    suite_file: Path,
    data: Path | None,
    samples: int | None,
    epsilon: float,
    step: float | None,
    iterations: int,
    restarts: int,
    seed: int,
    clip: tuple[float, float],
) -> None:
    """Craft adversarial samples on the float MODEL, and save them as suites.

    The file holds the clean samples too. 'tinyedge run --suite' streams it to a device.
    """
    from tinyedge.attacks import AttackSettings
    from tinyedge.attacks.suites import craft_suites
    from tinyedge.cli.tables import percent
    from tinyedge.errors import DataError, UsageError
    from tinyedge.evaluation.compare import accuracy
    from tinyedge.evaluation.suites import load_suites, save_suites
    from tinyedge.importers.result import file_hash

    if not clip[0] < clip[1]:
        raise UsageError("--clip: LOW has to be below HIGH")
    names = [name.strip() for name in attacks.split(",") if name.strip()]
    if not names:
        raise UsageError("--attacks names no attack")
    settings = AttackSettings(epsilon, step, iterations, restarts, seed, clip=(clip[0], clip[1]))
    if data:
        clean = load_suites(data)[0]
    else:
        from tinyedge.demo import clean_suite

        clean = clean_suite()
    count = min(samples or len(clean.labels), len(clean.labels))
    if not count:
        raise DataError(f"{data}: holds no samples")
    try:
        suites = craft_suites(model, clean, names, settings, count, output.progress)
    except DataError as error:
        if data is None:
            raise DataError(str(error), hint="name labelled samples with --data") from error
        raise
    save_suites(suite_file, suites, {"file": model.name, "sha256": file_hash(model)})
    records: list[dict[str, Any]] = []
    for suite in suites:
        assert suite.float_logits is not None
        change = float(abs(suite.inputs - suites[0].inputs[: len(suite.labels)]).max())
        records.append(
            {
                "name": suite.name,
                "samples": len(suite.labels),
                "accuracy": {"float": accuracy(suite.float_logits, suite.labels)},
                "largest_change": change,
                "settings": suite.settings,
            }
        )
    lines = [
        f"{record['name']:<8}{record['samples']:>7} samples   float accuracy "
        f"{percent(record['accuracy']['float'])}   largest change {record['largest_change']:.4f}"
        for record in records
    ]
    output.result(
        {"file": str(suite_file), "suites": records}, "\n".join(lines), f"written to {suite_file}"
    )
