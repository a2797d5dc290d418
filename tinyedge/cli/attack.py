"""``tinyedge attack``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import DATASETS, PATH, output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from tinyedge.evaluation.suites import Suite


@click.command("attack")
@click.argument("model", type=PATH)
@click.option(
    "--attacks",
    default="fgsm,pgd",
    show_default=True,
    help="Names, separated by commas: fgsm, pgd, cw, square, boundary, zoo, autoattack, "
    "transfer-fgsm, transfer-pgd, noise; or all.",
)
@click.option("-o", "--output", "suite_file", type=PATH, required=True, help="The .npz to write.")
@click.option(
    "--data",
    type=PATH,
    metavar="FILE",
    help="Labelled samples: .npz with x and y. Default: what a run was tested on, or the images of "
    "the demonstration for a model that takes 28x28x1.",
)
@click.option("--dataset", type=click.Choice(DATASETS), help="Or the test set of a data set.")
@click.option(
    "--data-folder", type=PATH, metavar="DIR", help="Where that data set, or a run's, lies."
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    help="Attack so many: the first of --data, else drawn with the seed. Default: all.",
)
@click.option("--surrogate", type=PATH, help="Model or run that transfer attacks are crafted on.")
@click.option(
    "--epsilon",
    type=click.FloatRange(0, min_open=True),
    help="Largest change of any input value (L-infinity), in units of the float input. Default: "
    "8/255 of the range that samples stay in.",
)
@click.option(
    "--epsilon-l2",
    type=click.FloatRange(0, min_open=True),
    help="Length of the change (L2) that L2 attacks are judged by. Default: that of half epsilon "
    "in every value.",
)
@click.option("--step", type=click.FloatRange(0, min_open=True), help="Of PGD. Default: epsilon/4.")
@click.option("--iterations", type=click.IntRange(1), default=20, show_default=True, help="Of PGD.")
@click.option(
    "--restarts", type=click.IntRange(1), default=1, show_default=True, help="Of PGD and Square."
)
@click.option("--cw-iterations", type=click.IntRange(1), default=30, show_default=True)
@click.option("--cw-searches", type=click.IntRange(1), default=6, show_default=True)
@click.option(
    "--square-queries", type=click.IntRange(1), default=1000, show_default=True, help="A sample."
)
@click.option("--boundary-iterations", type=click.IntRange(1), default=200, show_default=True)
@click.option("--zoo-iterations", type=click.IntRange(1), default=100, show_default=True)
@click.option("--autoattack-iterations", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "--temperature",
    type=click.FloatRange(0, min_open=True),
    help="That attacks divide the logits by. Default: that a run was trained with, else 1.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "--clip",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="Range that samples stay in. Default: a run's, else 0 1.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    model: Path,
    attacks: str,
    suite_file: Path,
    data: Path | None,
    dataset: str | None,
    data_folder: Path | None,
    samples: int | None,
    surrogate: Path | None,
    epsilon: float | None,
    epsilon_l2: float | None,
    clip: tuple[float, float] | None,
    temperature: float | None,
    **numbers: Any,
) -> None:
    """Craft adversarial samples on the float MODEL, save them as suites, and judge the model.

    MODEL is a QKeras model or the folder of a run of 'tinyedge train'. The file holds the clean
    samples too. 'tinyedge run --suite' streams it to a device.
    """
    from tinyedge.attacks import AttackSettings
    from tinyedge.attacks.judgement import judge
    from tinyedge.attacks.suites import attack_names, craft_suites
    from tinyedge.errors import DataError, UsageError
    from tinyedge.evaluation.suites import save_suites
    from tinyedge.importers.result import file_hash

    if data and dataset:
        raise UsageError("--data and --dataset exclude each other")
    names = attack_names(attacks, surrogate=surrogate is not None)
    target, run = _model_file(model)
    low, high = clip or (run["input_range"] if run and not data else (0.0, 1.0))
    if not low < high:
        raise UsageError("--clip: LOW has to be below HIGH")
    trained_with = run["config"]["model"]["temperature"] if run else 1.0
    settings = AttackSettings(
        epsilon=epsilon or 8 / 255 * (high - low),
        epsilon_l2=epsilon_l2,
        clip=(low, high),
        temperature=temperature or trained_with,
        **numbers,
    )
    clean = _clean(output, run, data, dataset, data_folder, (low, high), target)
    if not len(clean.labels):
        raise DataError(f"{data}: holds no samples")
    count = min(samples or len(clean.labels), len(clean.labels))
    if data is None and (dataset or run):
        clean = clean.drawn(count, settings.seed)
    other = _model_file(surrogate)[0] if surrogate else None
    try:
        suites = craft_suites(target, clean, names, settings, count, output.progress, other)
    except DataError as error:
        if not (data or dataset or run):
            raise DataError(str(error), hint="name labelled samples with --data") from error
        raise
    save_suites(suite_file, suites, {"file": target.name, "sha256": file_hash(target)})
    with output.step("judging"):
        found = judge(target, suites, settings)
    output.result({"file": str(suite_file), **found}, *_tables(found), f"written to {suite_file}")


def _model_file(model: Path) -> tuple[Path, dict[str, Any] | None]:
    """The model's file, and the record of the run that it comes from, if it is a run's folder."""
    import json

    from tinyedge.errors import ModelError

    record = model / "run.json"
    if not record.is_file():
        return model, None
    try:
        return model / "model.h5", json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{record}: damaged ({error})", hint="train it again") from error


def _clean(
    output: Output,
    run: dict[str, Any] | None,
    data: Path | None,
    dataset: Any,
    folder: Path | None,
    clip: tuple[float, float],
    model: Path,
) -> Suite:
    """The labelled samples that were asked for."""
    from tinyedge.evaluation.suites import Suite, load_suites

    if data:
        return load_suites(data)[0]
    if not (dataset or run):
        from tinyedge.demo import clean_suite

        return clean_suite()
    from tinyedge.datasets import load_test_set

    if run and not dataset:
        from tinyedge.training.config import DataConfig
        from tinyedge.training.data import load_data

        config = DataConfig.model_validate(run["config"]["data"])
        with output.step(f"loading {config.name}"):
            test = load_data(config, folder).test
    else:
        from tinyedge.attacks.classifier import FloatModel

        grey = FloatModel(model).shape[-1] == 1
        with output.step(f"loading {dataset}"):
            test = load_test_set(dataset, folder, channels="grey" if grey else "rgb")
    low, high = clip
    x = low + test.x * ((high - low) / 255.0) if test.x.dtype == "uint8" else test.x
    return Suite("clean", x.astype("float32"), test.y, settings={"data": test.source})


def _tables(found: dict[str, Any]) -> list[Any]:
    """What people read."""
    from rich.table import Table

    from tinyedge.cli.tables import percent

    table = Table(title="Accuracy of the float model", title_justify="left")
    headings = ("suite", "samples", "accuracy", "95 % interval", "inputs int8", "within budget")
    for heading in (*headings, "budget", "median L2"):
        table.add_column(heading, justify="left" if heading == "suite" else "right")
    for record in found["suites"]:
        shares, settings = record["accuracy"], record["settings"]
        low, high = shares["interval"]
        median = record.get("change", {}).get("l2_median_of_successes")
        table.add_row(
            record["name"],
            f"{record['samples']:,}",
            percent(shares["float"]),
            f"{100 * low:.1f} to {100 * high:.1f}",
            percent(shares["input_quantized"]),
            percent(shares.get("within_epsilon")),
            f"{settings['norm']} {settings['epsilon']:.4g}" if "norm" in settings else "",
            "" if median is None else f"{median:.3f}",
        )
    masking = found["masking"]
    if masking["believable"]:
        verdict = "No sign of masked gradients was found; that is no proof of robustness."
    else:
        verdict = "Do not believe these figures; gradients may be masked:\n" + "\n".join(
            f"- {finding}" for finding in masking["findings"]
        )
    return [table, verdict]
