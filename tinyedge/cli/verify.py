"""``tinyedge verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output, judged
from tinyedge.names import VERIFIERS


@click.command("verify")
@click.argument("bundle", type=PATH, metavar="BUNDLE.zip")
@click.option(
    "--on",
    type=click.Choice(VERIFIERS),
    default=VERIFIERS[0],
    show_default=True,
    help="Where samples are computed again: an emulator runs the bundle's own firmware.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many are drawn and computed again.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="They are drawn by. Default: a random one, so that nobody knows which they are.",
)
@output_options
@click.pass_obj
def command(output: Output, /, bundle: Path, **options: Any) -> None:
    """Verify a bundle: every hash, and samples that are computed again.

    The model's C code is made anew from its graph, and has to be the same; samples are drawn from
    all suites of all records. Where one is computed to other logits, the exit code is 8.
    """
    from tinyedge.commands.bundle import verify

    record, failure = judged(verify, bundle, **options, listener=output)
    drawn = len(record["samples"])
    right = drawn - len(record["differing"])
    text = [
        f"{record['files']} files have the hashes that the bundle tells of",
        f"{right} of {drawn} samples have the same logits on {record['on']}, seed {record['seed']}",
    ]
    output.result(record, *text, failure=failure)
