"""``tinyedge demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinyedge.cli.options import PATH, board_option, output_options, toolchain_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from tinyedge.names import CompilerName, EmulatorName

ATTACKS = ("fgsm", "pgd")


def _require_packages() -> None:
    """Asks for the packages of all steps at once.

    Raises:
        MissingDependencyError: one is missing; the hint installs them all.
    """
    from tinyedge.distribution import install_hint
    from tinyedge.errors import MissingDependencyError

    try:
        from tinyedge.attacks import environment
    except MissingDependencyError as error:
        raise MissingDependencyError(str(error), hint=install_hint("attack,report")) from error
    assert environment


@click.command("demo")
@click.option(
    "-o",
    "--output",
    "folder",
    type=PATH,
    default=Path("tinyedge-demo"),
    show_default=True,
    help="Folder for the converted model, the firmware, the suites and the report.",
)
@board_option()
@toolchain_options
@click.option(
    "--attacked",
    type=click.IntRange(200, 1000),
    default=200,
    show_default=True,
    help="How many images each attack takes.",
)
@output_options
@click.pass_obj
def command(
    output: Output,
    folder: Path,
    board_name: str | None,
    emulator: EmulatorName | None,
    compiler: CompilerName | None,
    attacked: int,
) -> None:
    """The whole path on a small network, without hardware.

    Imports a ternary QKeras model, crafts FGSM and PGD samples, converts, builds the firmware, runs
    it on the emulated board, compares host and device logit by logit, and reports.
    """
    from tinyedge import demo
    from tinyedge.attacks import AttackSettings
    from tinyedge.attacks.suites import craft_suites
    from tinyedge.boards import DEFAULT_BOARD, load_board
    from tinyedge.cli.tables import layer_table, memory_bars, suite_table
    from tinyedge.commands.report import HTML_FILE, MARKDOWN_FILE, ReportFiles, write_reports
    from tinyedge.evaluation.compare import evaluate_suite
    from tinyedge.evaluation.suites import load_suites, save_suites
    from tinyedge.exporters.c import CodeOptions
    from tinyedge.exporters.converted import write_converted
    from tinyedge.firmware.project import build_firmware, firmware_compiler
    from tinyedge.importers import import_model
    from tinyedge.importers.result import file_hash
    from tinyedge.places import PlaceSpec, open_place
    from tinyedge.reports.footprint import firmware_footprint
    from tinyedge.reports.record import difference, evaluation_record, printed, save_run
    from tinyedge.reports.report import load_report
    from tinyedge.samples.reading import read_calibration
    from tinyedge.targets.emulators import require_emulator

    board = load_board(board_name or DEFAULT_BOARD)
    # A missing program is better found now than after a minute of work.
    firmware_compiler(board, compiler)
    require_emulator(board, emulator)

    _require_packages()

    with output.step("importing the QKeras model"):
        imported = import_model(demo.MODEL, read_calibration(demo.CALIBRATION))
    options = CodeOptions(board.core) if board.instruction_set.flash_apart else None
    model = write_converted(imported.graph, folder, "tinyedge demo", imported.notes, options)

    suites = craft_suites(
        demo.MODEL,
        demo.clean_suite(),
        ATTACKS,
        AttackSettings(epsilon=8 / 255),
        attacked,
        output.progress,
    )
    source = {"file": demo.MODEL.name, "sha256": file_hash(demo.MODEL)}
    save_suites(folder / "suites.npz", suites, source)
    suites = load_suites(folder / "suites.npz")

    output.stderr.print(f"building for {board.title}", soft_wrap=True)
    firmware = build_firmware(model, board, compiler)
    spec = PlaceSpec("emulator", board, emulator=emulator, firmware=firmware)
    with open_place(model, spec) as (execute, place, finish, _):
        results = []
        for suite in suites:
            with output.progress(f"{suite.name} on {place['emulator']}", len(suite.labels)) as bar:
                results.append(evaluate_suite(model, suite, execute, bar))
        memory = finish()["memory"]
    footprint = firmware_footprint(model, firmware)

    record = evaluation_record(model, results, {**place, "memory": memory})
    save_run(folder / "report.json", record, output.command)
    shown = printed(record)
    report = load_report([folder / "report.json"], footprint=footprint)
    forms = ReportFiles(
        folder / HTML_FILE, folder / MARKDOWN_FILE, None, optional=frozenset(("--html",))
    )
    written = [folder / "report.json", *write_reports(report, forms, output)]
    output.result(
        shown,
        layer_table(model.manifest["layers"]),
        suite_table(shown["suites"], str(place["emulator"])),
        memory_bars(memory),
        f"report written to {', '.join(map(str, written))}",
        failure=difference(record, str(place["emulator"])),
    )
