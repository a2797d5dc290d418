"""``tinyedge run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import (
    PATH,
    board_option,
    cluster_options,
    data_folder_option,
    data_option,
    lab_options,
    link_options,
    output_options,
    tflm_options,
    toolchain_options,
)
from tinyedge.cli.output import Output, judged
from tinyedge.names import DATASETS, PLACES

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tinyedge.names import PlaceName


@click.command("run")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--on", "place", type=click.Choice(PLACES), required=True, help="Where to run.")
@board_option()
@link_options
@lab_options
@toolchain_options
@data_option(
    "data_files",
    "Samples, NHWC (.npy or .npz). Labelled ones, .npz with x and y or suites, compare host and "
    "device, and may be given several times.",
    multiple=True,
)
@click.option(
    "--logits",
    "logits_file",
    type=PATH,
    metavar="FILE",
    help="Where the raw int8 logits of all samples go (.npy).",
)
@click.option(
    "--dataset",
    type=click.Choice(DATASETS),
    help="The test set of a data set, instead of --data.",
)
@data_folder_option
@click.option("--samples", type=click.IntRange(1), help="The first so many of each suite.")
@click.option(
    "--pixels",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="What 0 and 255 of uint8 pixels stand for. Default: the byte itself where the model's own "
    "file takes uint8, else by the model's input range.",
)
@click.option(
    "--profile", is_flag=True, help="Say what each layer costs, as counted on the device."
)
@click.option(
    "--trace",
    is_flag=True,
    help="Compare every layer's output with the numpy reference; names the first that differs.",
)
@tflm_options
@click.option(
    "-o",
    "--output",
    "record_file",
    type=PATH,
    metavar="RUN.json",
    help="Keeps the record of the run, with all logits, for 'tinyedge report'.",
)
@cluster_options
@output_options
@click.pass_obj
def command(
    output: Output,
    /,
    folder: Path,
    place: PlaceName,
    board_name: str | None,
    ports: tuple[str, ...],
    timeout_s: float | None,
    journal_file: Path | None,
    data_files: tuple[Path, ...],
    logits_file: Path | None,
    tflm_includes: tuple[Path, ...],
    record_file: Path | None,
    **others: Any,
) -> None:
    """Run samples through a converted model, anywhere.

    DIR is what 'tinyedge convert' wrote. Labelled samples, of --data or --dataset, give accuracies
    and a comparison of every logit with the numpy reference (exit code 8 where any differs).
    --logits keeps the raw logits, of samples without labels too.

    With --on emulator and --runtime tflm the same samples also run in a firmware with your own
    TFLite-Micro, and both are shown side by side; without --tflm-lib, the tflite-micro package on
    this machine stands in for it, with logits and arena.

    --cluster computes on several processes or machines, and gives the same bytes.

    --profile and --trace watch each layer on the twin, an emulator, or a board that was flashed
    with --observe; without --data or --dataset they take random samples.
    """
    from tinyedge.cli.observe import observed_text
    from tinyedge.cli.tables import side_by_side_table
    from tinyedge.commands.run import run

    record, failure = judged(
        run,
        folder,
        on=place,
        board=board_name,
        port=ports,
        timeout=timeout_s,
        journal=journal_file,
        data=data_files,
        logits=logits_file,
        tflm_include=tflm_includes,
        output=record_file,
        listener=output,
        command=output.command,
        **others,
    )
    if others["profile"] or others["trace"]:
        text = observed_text(record)
        text += [f"written to {record_file}"] if record_file else []
    else:
        text = _suites_text(record, record["on"]) if "suites" in record else []
        text += [_logits_line(logits_file)] if logits_file else []
        text += _more_text(record)
        if record_file:
            text.append(f"written to {record_file}; 'tinyedge report {record_file}' reads it")
        if "tflm" in record:
            text += _suites_text(record["tflm"], "tflm")
            text.append(side_by_side_table(record["side_by_side"]))
    output.result(record, *text, failure=failure)


def _suites_text(record: dict[str, Any], place: str) -> list[RenderableType]:
    """How a run of suites is shown."""
    from tinyedge.cli.tables import memory_bars, place_text, suite_table

    return [
        *place_text(record),
        suite_table(record["suites"], place),
        *([memory_bars(record["memory"])] if "memory" in record else []),
    ]


def _logits_line(path: Path) -> str:
    import numpy as np

    if not path.is_file():  # a pipe, from which somebody else reads
        return f"int8 logits written to {path}"
    shape = np.load(path, mmap_mode="r").shape
    return f"{shape[0]} samples, int8 logits {'x'.join(map(str, shape))} written to {path}"


def _more_text(record: dict[str, Any]) -> list[RenderableType]:
    """Formats the text on outputs that are values and no classes."""
    return [
        f"outputs against {them}: RMSE {record[key]['rmse']:.4g}, MAE {record[key]['mae']:.4g}, "
        f"largest error {record[key]['largest']:.4g}"
        for key, them in (("reconstruction", "inputs"), ("targets", "targets"))
        if key in record
    ]
