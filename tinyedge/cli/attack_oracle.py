"""``tinyedge attack`` on a converted model."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import (
    PATH,
    Command,
    board_option,
    discard_option,
    line_options,
    toolchain_options,
)
from tinyedge.names import ORACLE_PLACES

if TYPE_CHECKING:
    from tinyedge.attacks import AttackSettings
    from tinyedge.attacks.journal import QueryJournal
    from tinyedge.attacks.suites import Means
    from tinyedge.cli.output import Output
    from tinyedge.evaluation.suites import Suite
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.names import CompilerName, EmulatorName, OraclePlace


@dataclasses.dataclass(frozen=True)
class OracleOptions:
    """Options of an attack on a converted model, named as the command's parameters."""

    place: OraclePlace | None
    board_name: str | None
    port: str | None
    baud: int | None
    timeout_s: float | None
    emulator: EmulatorName | None
    compiler: CompilerName | None
    query_budget: int | None
    journal: Path | None
    resume: bool
    discard: bool
    float_model: Path | None

    @classmethod
    def taken_from(cls, parameters: dict[str, Any]) -> OracleOptions:
        """Takes the command's parameters that are these options out of them."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: parameters.pop(name) for name in names})

    def check(self, model: ConvertedModel | None) -> None:
        """Raises UsageError where they do not go with the model, or with each other."""
        from tinyedge.errors import UsageError

        if model is None and any(dataclasses.astuple(self)):
            raise UsageError(
                "--on and its options go with a converted model",
                hint="name the folder that 'tinyedge convert' wrote",
            )
        if model and not self.place:
            raise UsageError(
                "where is the converted model to be asked?", hint=f"--on {'|'.join(ORACLE_PLACES)}"
            )
        if self.resume and self.discard:
            raise UsageError("--resume and --discard exclude each other")
        if (self.port or self.baud) and self.place != "board":
            raise UsageError("--port and --baud go with --on board")
        if self.timeout_s and self.place not in ("emulator", "board"):
            raise UsageError("--timeout goes with --on emulator or board")


def oracle_options(command: Command) -> Command:
    """The options of ``OracleOptions``."""
    decorators: tuple[Callable[[Any], Any], ...] = (
        click.option(
            "--on",
            "place",
            type=click.Choice(ORACLE_PLACES),
            help="Where a converted model is asked.",
        ),
        board_option(),
        click.option("-p", "--port", help="Serial port of the board (with --on board)."),
        line_options,
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
            help="Keeps the answers of a converted model until the suites are written. Default: "
            "beside them, with .journal appended.",
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
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def attack_converted(
    output: Output,
    model: ConvertedModel,
    options: OracleOptions,
    clean: Suite,
    names: list[str],
    settings: AttackSettings,
    means: Means,
    suite_file: Path,
) -> None:
    """Attacks a converted model, saves the suites, and prints what is left of its accuracy."""
    from tinyedge.attacks.device import opened
    from tinyedge.attacks.judgement import judge_oracle
    from tinyedge.attacks.oracle import Oracle
    from tinyedge.attacks.suites import craft_oracle_suites
    from tinyedge.boards import DEFAULT_BOARD, load_board
    from tinyedge.cli.attack_data import model_file
    from tinyedge.evaluation.suites import save_suites
    from tinyedge.files import check_writable
    from tinyedge.places import PlaceSpec

    check_writable(suite_file)
    board = load_board(options.board_name or DEFAULT_BOARD)
    float_model = model_file(options.float_model)[0] if options.float_model else None
    assert options.place
    spec = PlaceSpec(
        options.place,
        board,
        (options.port,) if options.port else (),
        options.emulator,
        options.compiler,
        baud=options.baud,
        timeout_s=options.timeout_s,
    )
    with (
        _journal(output, model, options, suite_file) as journal,
        opened(model, spec) as (execute, about),
    ):
        oracle = Oracle(
            model.graph,
            execute,
            settings.clip,
            settings.temperature,
            options.query_budget,
            journal,
            about,
        )
        suites = craft_oracle_suites(
            oracle, clean, names, settings, output.progress, means, float_model
        )
        with output.step("judging"):
            found = judge_oracle(suites, [oracle.logits(suite.inputs) for suite in suites])
        source = {"file": model.folder.name, "hash": model.graph.hash}
        save_suites(suite_file, suites, source)
        journal.remove()
    record = {"file": str(suite_file), "model": source, "oracle": oracle.about, **found}
    record["answers"] = {"computed": oracle.computed, "journalled": len(journal.answers)}
    output.result(record, *_text(found, about["on"]), f"written to {suite_file}")


@contextlib.contextmanager
def _journal(
    output: Output, model: ConvertedModel, options: OracleOptions, suite_file: Path
) -> Iterator[QueryJournal]:
    """The journal; if the body fails, what it holds stays, and the user is told."""
    from tinyedge.attacks.journal import QueryJournal

    path = options.journal or suite_file.with_name(f"{suite_file.name}.journal")
    if options.resume and path.exists():
        journal = QueryJournal.resume(path, model.graph.hash)
        output.remark(f"{len(journal.answers):,} answers are in {path}")
    else:
        if options.resume:
            output.remark(f"{path}: no journal to resume; the attack begins anew")
        journal = QueryJournal.create(path, model.graph.hash, discard=options.discard)
    with journal:
        try:
            yield journal
        except BaseException:
            if journal.count:
                output.remark(
                    f"{journal.count:,} answers are in {path}; --resume goes on with them"
                )
            else:
                journal.remove()
            raise


def _text(found: dict[str, Any], place: str) -> list[Any]:
    """What people read."""
    from rich.table import Table

    from tinyedge.cli.tables import percent

    table = Table(title=f"Accuracy on {place}", title_justify="left")
    headings = ("suite", "samples", "accuracy", "95 % interval", "within budget", "budget")
    for heading in (*headings, "median L2", "queries a sample", "sent", "float model"):
        table.add_column(heading, justify="left" if heading == "suite" else "right")
    remarks = []
    for record in found["suites"]:
        shares, settings, count = record["accuracy"], record["settings"], record["samples"]
        low, high = shares["interval"]
        median = record.get("change", {}).get("l2_median_of_successes")
        asked = "queries_sent" in settings
        table.add_row(
            record["name"],
            f"{count:,}",
            percent(shares["device"]),
            f"{100 * low:.1f} to {100 * high:.1f}",
            percent(shares.get("within_epsilon")),
            f"{settings['norm']} {settings['epsilon']:.4g}" if "norm" in settings else "",
            "" if median is None else f"{median:.3f}",
            f"{settings['queries'] / count:,.1f}" if asked else "",
            f"{settings['queries_sent'] / count:,.1f}" if asked else "",
            percent(shares.get("float")),
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
    return [table, *remarks]
