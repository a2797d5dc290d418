"""``tinyedge export``."""

from __future__ import annotations

from pathlib import Path

import click

from tinyedge.cli.options import PATH, output_options
from tinyedge.cli.output import Output

FORMATS = ("arduino",)


@click.command("export")
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("-o", "--output", "target", type=PATH, required=True, help="Folder to write.")
@click.option("--name", help="Of the library. Default: the model's.")
@click.option(
    "--sample",
    "sample_file",
    type=PATH,
    metavar="FILE",
    help="Inputs (.npy or .npz), of which the example classifies the first. Default: noise.",
)
@click.option("--zip", "archive", is_flag=True, help="Also write FOLDER.zip.")
@output_options
@click.pass_obj
def command(
    output: Output,
    folder: Path,
    form: str,
    target: Path,
    name: str | None,
    sample_file: Path | None,
    *,
    archive: bool,
) -> None:
    """Write a converted model for other build systems: as an Arduino library.

    DIR is what 'tinyedge convert' wrote.
    """
    from tinyedge.errors import DataError
    from tinyedge.evaluation.suites import read_inputs
    from tinyedge.exporters.converted import load_converted
    from tinyedge.firmware.export.arduino import export_arduino

    model = load_converted(folder)
    sample = None
    if sample_file:
        tensor = model.graph.input_tensor
        samples = read_inputs(sample_file, tensor.shape, tensor.quantization)
        if not len(samples):
            raise DataError(f"{sample_file}: holds no sample", hint="one is enough")
        sample = samples[0]
    library = export_arduino(model, target, name, sample, archive=archive)
    record = {
        "format": form,
        "folder": str(target),
        "name": library.name,
        "files": list(library.files),
        "zip": str(library.archive) if library.archive else None,
    }
    lines = [f"library {library.name}, {len(library.files)} files, written to {target}"]
    lines += [f"and to {library.archive}"] if library.archive else []
    output.result(record, "\n".join(lines))
