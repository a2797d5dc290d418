"""``tinyedge attack`` on a converted model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from tinyedge.cli.options import (
    PATH,
    Command,
    board_option,
    cluster_options,
    discard_option,
    lab_options,
    line_options,
    toolchain_options,
)
from tinyedge.cli.project_file import ProjectOption
from tinyedge.names import ORACLE_PLACES


def oracle_options(command: Command) -> Command:
    """--on and the other options of an attack on a converted model, and those of the journal."""
    decorators: tuple[Callable[[Any], Any], ...] = (
        click.option(
            "--on",
            "place",
            type=click.Choice(ORACLE_PLACES),
            help="Where a converted model runs; attacks with gradients need numpy or twin.",
        ),
        board_option(),
        click.option(
            "-p",
            "--port",
            cls=ProjectOption,
            help="Serial port of the board (with --on board).",
        ),
        line_options,
        lab_options,
        toolchain_options,
        click.option(
            "--query-budget",
            type=click.IntRange(1),
            help="Queries that an attack on a converted model has for each sample, and at each "
            "epsilon. Default: what its own options come to.",
        ),
        click.option(
            "--journal",
            type=PATH,
            metavar="FILE",
            help="Keeps the answers of a converted model, or the finished suites of a float one, "
            "until all are written. Default: beside them, with .journal appended.",
        ),
        click.option(
            "--resume", is_flag=True, help="Go on with the journal of an interrupted run."
        ),
        discard_option,
        click.option(
            "--float-model",
            type=PATH,
            metavar="MODEL",
            help="Float model or run whose logits are added to the suites of a converted model.",
        ),
        cluster_options,
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def _budget(settings: dict[str, Any]) -> str:
    """How large a change was allowed, in whole steps of the input where it moves by such."""
    from tinyedge.naming import epsilon_text

    if "norm" not in settings:
        return ""
    steps = settings.get("epsilon_steps")
    size = f"{settings['norm']} {epsilon_text(settings['epsilon'])}"
    return f"{size}, {steps} step{'s' * (steps > 1)}" if steps else size


def oracle_text(found: dict[str, Any], place: str) -> list[Any]:
    """Formats the text that people read."""
    from tinyedge.cli.tables import filled_table
    from tinyedge.reports.notebook import percent

    rows, remarks = [], []
    for record in found["suites"]:
        shares, settings, count = record["accuracy"], record["settings"], record["samples"]
        low, high = shares["interval"]
        median = record.get("change", {}).get("l2_median_of_successes")
        asked = "queries_sent" in settings
        rows.append(
            {
                "suite": record["name"],
                "samples": f"{count:,}",
                "accuracy": percent(shares["device"]),
                "95 % interval": f"{100 * low:.1f} to {100 * high:.1f}",
                "within budget": percent(shares.get("within_epsilon")),
                "budget": _budget(settings),
                "median L2": "" if median is None else f"{median:.3f}",
                "queries a sample": f"{settings['queries'] / count:,.1f}" if asked else "",
                "sent": f"{settings['queries_sent'] / count:,.1f}" if asked else "",
                "float model": percent(shares.get("float")),
            }
        )
        if settings.get("budget_reached"):
            remarks.append(
                f"{record['name']}: {settings['budget_reached']} of {count} samples reached the "
                f"budget of {settings['query_budget']:,} queries"
            )
        if "fooled_at_start" in settings:
            remarks.append(
                f"{record['name']}: {settings['fooled_at_start']} of {count} samples of "
                f"'{settings['start']}' fooled the model as they were, {settings['fooled']} after "
                f"{settings['queries']:,} queries"
            )
    return [
        filled_table(f"Accuracy on {place}", rows),
        *remarks,
        *worst_case_lines(found["worst_cases"]),
        *judgement_lines(
            found["judgement"],
            "No reason not to believe these figures was found; that is no proof of robustness.",
        ),
    ]


def worst_case_lines(cases: list[dict[str, Any]]) -> Iterator[str]:
    """Formats the accuracy left within each budget, where every sample meets its worst attack."""
    from tinyedge.naming import epsilon_text
    from tinyedge.reports.notebook import percent

    for case in cases:
        low, high = (100 * end for end in case["interval"])
        yield (
            f"worst case of all attacks within {case['norm']} {epsilon_text(case['epsilon'])}: "
            f"{percent(case['accuracy'])} ({low:.1f} to {high:.1f})"
        )


def judgement_lines(judgement: dict[str, Any], good: str, *findings: str) -> Iterator[str]:
    """Whether to believe the figures.

    Args:
        judgement: of the suites.
        good: what to say where nothing is against them.
        findings: what else is against them.
    """
    texts = dict.fromkeys((*findings, *(each["text"] for each in judgement["findings"])))
    yield "Do not believe these figures:" if texts else good
    yield from (f"- {text}" for text in texts)
    if judgement["cautions"]:
        yield "Be careful with them:"
        yield from (f"- {caution['text']}" for caution in judgement["cautions"])
