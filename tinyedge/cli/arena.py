"""``tinyedge arena``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output


@click.command("arena")
@click.argument("model", type=PATH)
@output_options
@click.pass_obj
def command(output: Output, model: Path) -> None:
    """Say how much RAM the activations of MODEL take, here and in TFLite-Micro.

    MODEL is anything that 'tinyedge convert' takes or writes. TFLite-Micro's arena is found by
    trial on this machine: the smallest size in which allocation and one inference succeed. On a
    32-bit board it is somewhat smaller; 'tinyedge run --runtime tflm' measures it there.
    """
    from tinyedge.commands.arena import arena

    record = arena(model, listener=output)
    output.result(record, _table(record))


def _table(record: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title="Arena", title_justify="left")
    table.add_column("what")
    table.add_column("bytes", justify="right")
    ours, theirs = record["tinyedge"], record["tflite_micro"]
    rows = [
        ("tinyedge: the whole plan", ours["bytes"]),
        ("  bytes alive at the fullest moment", ours["lower_bound"]),
        ("  states, which lie apart", ours["states"]),
        ("TFLite-Micro: smallest that works, by trial", theirs["smallest"]),
        ("  head: activations and scratch", theirs["head"]),
        ("  tail: what stays", theirs["tail"]),
        *((f"    {name}", used) for name, used in theirs["parts"].items()),
    ]
    named = sum(theirs["parts"].values())
    rows.append(("    the allocator itself, and alignment", theirs["tail"] - named))
    for what, size in rows:
        table.add_row(what, f"{size:,}")
    return table
