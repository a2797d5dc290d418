"""``tinyedge attack``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.attack_oracle import OracleOptions, oracle_options
from tinyedge.cli.completion import complete_attacks
from tinyedge.cli.options import PATH, data_folder_option, data_option, output_options
from tinyedge.cli.output import Output
from tinyedge.names import DATASETS

if TYPE_CHECKING:
    from tinyedge.attacks import AttackSettings
    from tinyedge.attacks.finished import FinishedSuites
    from tinyedge.attacks.suites import Means
    from tinyedge.evaluation.suites import Suite
    from tinyedge.names import DatasetName
    from tinyedge.samples.scaling import ModelInput


def epsilons(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """The epsilons that numbers and fractions, separated by commas, stand for."""
    from tinyedge.attacks.settings import checked_epsilons
    from tinyedge.errors import UsageError

    if text is None:
        return None
    try:
        return checked_epsilons([_number(part) for part in text.split(",")])
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"--epsilon is {text!r}, allowed: numbers above 0 and fractions, separated by commas",
            hint="as in --epsilon 0.1, or --epsilon 2/255,4/255,8/255",
        ) from error


def _number(text: str) -> float:
    """Of ``0.1`` or ``8/255``; raises ValueError or ZeroDivisionError where it is neither."""
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / (float(denominator) if slash else 1)


@click.command("attack")
@click.argument("model", type=PATH)
@click.option(
    "--attacks",
    shell_complete=complete_attacks,
    help="Names, separated by commas: fgsm, pgd, cw, square, boundary, zoo, hopskipjump, simba, "
    "refine, autoattack, transfer-fgsm, transfer-pgd, noise; or all that there are the means for. "
    "Default: fgsm,pgd; for a converted model square.",
)
@click.option("-o", "--output", "suite_file", type=PATH, required=True, help="The .npz to write.")
@data_option(
    "data",
    "Labelled samples: .npz with x and y, or suites. Default: what a run was tested on, or the "
    "images of the demonstration for a model that takes 28x28x1.",
)
@click.option("--dataset", type=click.Choice(DATASETS), help="Or the test set of a data set.")
@data_folder_option
@click.option(
    "--samples",
    type=click.IntRange(1),
    help="Attack so many: the first of --data, else drawn with the seed. Default: all.",
)
@click.option("--surrogate", type=PATH, help="Model or run that transfer attacks are crafted on.")
@click.option(
    "--start",
    metavar="FILE[:NAME]",
    help="Suite that 'refine' starts from. Default of --data: that file, for its clean samples.",
)
@click.option(
    "--epsilon",
    "given_epsilons",
    metavar="EPSILON,...",
    callback=epsilons,
    help="Largest change of any input value (L-infinity), in units of the float input, such as 0.1 "
    "or 8/255; with several, separated by commas, L-infinity attacks are crafted at each. Default: "
    "8/255 of the range that samples stay in.",
)
@click.option(
    "--epsilon-l2",
    type=click.FloatRange(0, min_open=True),
    help="Length of the change (L2) that L2 attacks are judged by. Default: that of half epsilon, "
    "of several the largest, in every value.",
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
@click.option("--hopskipjump-iterations", type=click.IntRange(1), default=10, show_default=True)
@click.option("--simba-iterations", type=click.IntRange(1), default=1000, show_default=True)
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
    help="Range that samples stay in. Default: a run's or a converted model's, else 0 1.",
)
@oracle_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    model: Path,
    attacks: str | None,
    suite_file: Path,
    data: Path | None,
    dataset: DatasetName | None,
    data_folder: Path | None,
    samples: int | None,
    surrogate: Path | None,
    start: str | None,
    given_epsilons: tuple[float, ...] | None,
    epsilon_l2: float | None,
    clip: tuple[float, float] | None,
    temperature: float | None,
    **others: Any,
) -> None:
    """Craft adversarial samples on MODEL, save them as suites, and judge the model.

    MODEL is a QKeras model or the folder of a run of 'tinyedge train'. The file holds the clean
    samples too. 'tinyedge run --data' streams it to a device.

    MODEL may also be the folder of a converted model. Attacks then ask it for answers where --on
    says: on a board, an emulated one, or this machine.

    What is found is kept in a journal, the finished suites or a converted model's answers, and an
    attack that was interrupted goes on with --resume.
    """
    from tinyedge.attacks import AttackSettings
    from tinyedge.attacks.suites import Means, attack_names, craft_suites
    from tinyedge.cli.attack_data import clean_samples, model_file, start_suite
    from tinyedge.cli.attack_oracle import attack_converted
    from tinyedge.errors import UsageError
    from tinyedge.evaluation.suites import holds_pixels
    from tinyedge.exporters.converted import MANIFEST_FILE, load_converted
    from tinyedge.samples.scaling import ModelInput, wide_epsilon

    if data and dataset:
        raise UsageError("--data and --dataset exclude each other")
    options = OracleOptions.taken_from(others)
    converted = load_converted(model) if (model / MANIFEST_FILE).is_file() else None
    options.check(converted)
    started, starting = start_suite(start) if start else (None, None)
    if not dataset:
        data = data or started
    other = model_file(surrogate)[0] if surrogate else None
    means = Means(gradients=converted is None, surrogate=other, start=starting)
    names = attack_names(attacks or ("square" if converted else "fgsm,pgd"), means)
    target, run = model_file(model)
    takes = ModelInput.of(converted.graph, clip or None) if converted else ModelInput()
    pixels = bool(dataset) or (data is not None and holds_pixels(data))
    low, high = clip or _range(takes, run if not data else None, pixels=pixels)
    if not low < high:
        raise UsageError("--clip: LOW has to be below HIGH")
    trained_with = run["config"]["model"]["temperature"] if run else 1.0
    settings = AttackSettings.at(
        given_epsilons or [8 / 255 * (high - low)],
        epsilon_l2=epsilon_l2,
        clip=(low, high),
        temperature=temperature or trained_with,
        **others,
    )

    def channels() -> int:
        from tinyedge.attacks.classifier import FloatModel

        shape = converted.graph.input_tensor.shape if converted else FloatModel(target).shape
        return shape[-1]

    for epsilon in given_epsilons or ():
        if warning := wide_epsilon(epsilon, (low, high)):
            output.remark(warning)
    if not converted:
        takes = ModelInput(pixels=(low, high))
    clean = clean_samples(output, run, data, dataset, data_folder, takes, channels)
    count = min(samples or len((starting or clean).labels), len(clean.labels))
    if data is None and (dataset or run):
        clean = clean.drawn(count, settings.seed)
    clean = clean.first(count)
    named = bool(data or dataset or run)
    if converted:
        with _hint_at_data(named):
            attack_converted(output, converted, options, clean, names, settings, means, suite_file)
        return
    with _finished(output, options, suite_file, target, clean, settings, means) as finished:
        with _hint_at_data(named):
            suites = craft_suites(
                target, clean, names, settings, count, output.progress, means, finished
            )
        found = _judged_and_saved(output, target, suites, settings, suite_file)
        finished.remove()
    output.result({"file": str(suite_file), **found}, *_tables(found), f"written to {suite_file}")


@contextlib.contextmanager
def _hint_at_data(named: bool) -> Iterator[None]:  # noqa: FBT001
    """Hints at --data where samples do not fit that nobody has named."""
    from tinyedge.errors import DataError

    try:
        yield
    except DataError as error:
        if named:
            raise
        raise DataError(str(error), hint="name labelled samples with --data") from error


@contextlib.contextmanager
def _finished(
    output: Output,
    options: OracleOptions,
    suite_file: Path,
    target: Path,
    attacked: Suite,
    settings: AttackSettings,
    means: Means,
) -> Iterator[FinishedSuites]:
    """The journal; if the body fails, the suites that it holds stay, and the user is told."""
    from tinyedge.attacks.finished import FinishedSuites, identity, start_identity
    from tinyedge.files import check_writable
    from tinyedge.importers.result import file_hash

    check_writable(suite_file)
    path = options.journal or suite_file.with_name(f"{suite_file.name}.journal")
    others = {
        "surrogate": file_hash(means.surrogate) if means.surrogate else None,
        "start": start_identity(means.start),
    }
    bound_to = identity(file_hash(target), attacked, settings, others)
    if options.resume and path.exists():
        journal = FinishedSuites.resume(path, bound_to, attacked.inputs.shape)
        output.remark(f"{len(journal.suites):,} finished suites are in {path}")
    else:
        if options.resume:
            output.remark(f"{path}: no journal to resume; the attack begins anew")
        journal = FinishedSuites.create(path, bound_to, discard=options.discard)
    with journal:
        try:
            yield journal
        except BaseException:
            if journal.suites:
                output.remark(
                    f"{len(journal.suites):,} finished suites are in {path}; --resume goes on "
                    "with them"
                )
            else:
                journal.remove()
            raise


def _judged_and_saved(
    output: Output, target: Path, suites: list[Suite], settings: AttackSettings, suite_file: Path
) -> dict[str, Any]:
    """Saves the suites, first as they are, then with what judging has found; gives that."""
    from tinyedge.attacks.judgement import judge
    from tinyedge.evaluation.suites import save_suites
    from tinyedge.importers.result import file_hash

    source = {"file": target.name, "sha256": file_hash(target)}
    save_suites(suite_file, suites, source)
    with output.step("judging"):
        found = judge(target, suites, settings)
    save_suites(suite_file, suites, source, found["masking"])
    return found


def _range(takes: ModelInput, run: dict[str, Any] | None, *, pixels: bool) -> tuple[float, float]:
    """The range that samples stay in: of a converted model what its int8 input spans."""
    if run:
        low, high = run["input_range"]
        return low, high
    if takes.quantization is None:
        return 0.0, 1.0
    if pixels and not takes.bytes_are_input:
        return takes.pixel_range
    low, high = (float(value) for value in takes.quantization.dequantize([-128, 127]))
    if not takes.bytes_are_input:
        # To six digits, as a scale in float32 is no more exact.
        low, high = float(f"{low:.6g}"), float(f"{high:.6g}")
    return low, high


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
