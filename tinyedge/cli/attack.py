"""``tinyedge attack``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.attack_oracle import oracle_options
from tinyedge.cli.completion import complete_attacks
from tinyedge.cli.options import PATH, data_folder_option, data_option, output_options
from tinyedge.cli.output import Output
from tinyedge.names import DATASETS

if TYPE_CHECKING:
    from tinyedge.names import OraclePlace


def epsilons(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """The epsilons that numbers and fractions, separated by commas, stand for."""
    from tinyedge.attacks.settings import checked_epsilons
    from tinyedge.errors import UsageError
    from tinyedge.naming import epsilon_number

    if text is None:
        return None
    try:
        return checked_epsilons([epsilon_number(part) for part in text.split(",")])
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"--epsilon is {text!r}, allowed: numbers above 0 and fractions, separated by commas",
            hint="as in --epsilon 0.1, or --epsilon 2/255,4/255,8/255",
        ) from error


@click.command("attack")
@click.argument("model", type=PATH)
@click.option(
    "--attacks",
    shell_complete=complete_attacks,
    help="Names, separated by commas: fgsm, pgd, pgd-l2, apgd, cw, square, boundary, zoo, "
    "hopskipjump, simba, refine, autoattack, transfer-fgsm, transfer-pgd, noise; or all that there "
    "are the means for. Default: fgsm,pgd; for a converted model square.",
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
@click.option(
    "--step", type=click.FloatRange(0, min_open=True), help="Step of PGD. Default: epsilon/4."
)
@click.option(
    "--iterations", type=click.IntRange(1), default=20, show_default=True, help="Steps of PGD."
)
@click.option(
    "--restarts",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Starts of PGD and Square.",
)
@click.option("--pgd-l2-iterations", type=click.IntRange(1), default=60, show_default=True)
@click.option("--cw-iterations", type=click.IntRange(1), default=200, show_default=True)
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
    "--autoattack-queries",
    type=click.IntRange(1),
    default=5000,
    show_default=True,
    help="Queries a sample of Square in AutoAttack.",
)
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
    suite_file: Path,
    data: Path | None,
    samples: int | None,
    given_epsilons: tuple[float, ...] | None,
    clip: tuple[float, float] | None,
    place: OraclePlace | None,
    board_name: str | None,
    timeout_s: float | None,
    **others: Any,
) -> None:
    """Craft adversarial samples on MODEL, save them as suites, and judge the model.

    MODEL is a QKeras model or the folder of a run of 'tinyedge train'. The file holds the clean
    samples too. 'tinyedge run --data' streams it to a device.

    MODEL may also be the folder of a converted model. Attacks then ask it for answers where --on
    says: on a board, an emulated one, or this machine. On this machine fgsm, pgd, apgd and
    autoattack go through the gradients of its integers, by whole int8 steps of the input.

    What is found is kept in a journal, the finished suites or a converted model's answers, and an
    attack that was interrupted goes on with --resume.
    """
    from tinyedge.api import attack
    from tinyedge.cli.attack_oracle import oracle_text

    crafted = attack(
        model,
        data,
        count=samples,
        epsilon=given_epsilons,
        clip=clip or None,
        on=place,
        board=board_name,
        timeout=timeout_s,
        output=suite_file,
        listener=output,
        **others,
    )
    record = crafted.record
    assert record, "suites that are saved are judged"
    text = oracle_text(record, record["oracle"]["on"]) if "oracle" in record else _tables(record)
    output.result(record, *text, f"written to {suite_file}")


def _tables(found: dict[str, Any]) -> list[Any]:
    """Formats the tables that people read."""
    from tinyedge.cli.attack_oracle import judgement_lines, worst_case_lines
    from tinyedge.cli.tables import filled_table
    from tinyedge.naming import epsilon_text
    from tinyedge.reports.notebook import percent

    rows = []
    for record in found["suites"]:
        shares, settings = record["accuracy"], record["settings"]
        low, high = shares["interval"]
        median = record.get("change", {}).get("l2_median_of_successes")
        budget = (
            f"{settings['norm']} {epsilon_text(settings['epsilon'])}" if "norm" in settings else ""
        )
        rows.append(
            {
                "suite": record["name"],
                "samples": f"{record['samples']:,}",
                "accuracy": percent(shares["float"]),
                "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}",
                "inputs int8": percent(shares["input_quantized"]),
                "within budget": percent(shares.get("within_epsilon")),
                "budget": budget,
                "median L2": "" if median is None else f"{median:.3f}",
            }
        )
    good = "No sign of masked gradients was found; that is no proof of robustness."
    return [
        filled_table("Accuracy of the float model", rows),
        *worst_case_lines(found["worst_cases"]),
        *judgement_lines(found["judgement"], good, *found["masking"]["findings"]),
    ]
