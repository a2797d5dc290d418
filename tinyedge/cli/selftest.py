"""``tinyedge selftest``."""

from __future__ import annotations

from typing import Any

import click

from tinyedge.cli.options import PATH, board_option, output_options, toolchain_options
from tinyedge.cli.output import Output
from tinyedge.cli.project_file import ProjectOption
from tinyedge.errors import ThresholdError
from tinyedge.names import DEVICES, FLASH_TOOLS, DevicePlace


@click.command("selftest")
@click.option(
    "--bench",
    type=PATH,
    metavar="FILE",
    help="Try all boards that a TOML file lists, in the place of one.",
)
@board_option()
@click.option(
    "--on",
    "place",
    type=click.Choice(DEVICES),
    help="The attached board, which is flashed, or an emulator. Default: board.",
)
@click.option("-p", "--port", cls=ProjectOption, metavar="PORT", help="Serial port of the board.")
@click.option("--tool", type=click.Choice(FLASH_TOOLS), help="What flashes the board.")
@click.option("--probe", metavar="SERIAL", help="Which debug probe or drive, of several.")
@click.option(
    "--baud",
    "rates",
    type=click.IntRange(1),
    multiple=True,
    help="A baud rate to try; may be given more than once. Default: all that the part makes.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Write the report: Markdown where FILE ends in .md, else JSON.",
)
@toolchain_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    board_name: str | None,
    place: DevicePlace | None,
    rates: tuple[int, ...],
    **others: Any,
) -> None:
    """Flash a small network, and try a board's kernels, link, recovery from faults and timing.

    The report is meant to be attached to an issue.
    """
    from tinyedge.cli.tables import shown
    from tinyedge.commands.selftest import RATES, selftest
    from tinyedge.reports.selftest import bench_table, selftest_lines, steps_table

    failure = None
    try:
        record = selftest(
            board=board_name, on=place, rates=rates or RATES, listener=output, **others
        )
    except ThresholdError as error:
        if error.record is None:
            raise
        record, failure = error.record, error
    told = (
        [shown(bench_table(record))]
        if "boards" in record
        else [shown(steps_table(record)), *selftest_lines(record)]
    )
    output.result(record, *told, failure=failure)
