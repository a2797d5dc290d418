"""Quantizing a float network after its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyedge.commands.arguments import AnyPath, one_of
from tinyedge.commands.notes import noted
from tinyedge.names import QUANTIZED_PRECISIONS, Precision
from tinyedge.progress import NOBODY, Listener
from tinyedge.training.config import read_config


@noted()
def quantize(
    run: AnyPath,
    *,
    output: AnyPath,
    precision: Precision = "stq",
    recalibrate: bool = True,
    data_folder: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Quantizes the float network of a run after its training, without training it again.

    Args:
        run: a folder that ``tinyedge train`` wrote.
        output: the folder to write; has to be new.
        precision: of the kernels.
        recalibrate: measures batch normalization's statistics anew, on training samples.
        data_folder: where the data set's files lie; ``$TINYEDGE_DATA`` by default.
        listener: told how far it is.

    Returns:
        ``folder``, and ``run``: the record, as of a training, with ``post_training``.

    Raises:
        ConfigError: the run's TOML file is missing or wrong.
        UsageError: the run's network is not a float one, or ``output`` exists.
        ModelError, DataError: the run's model or data set cannot be read.
        MissingDependencyError: TensorFlow or QKeras is not installed.
    """
    one_of("precision", precision, QUANTIZED_PRECISIONS)
    source, target = Path(run), Path(output)
    config = read_config(source / "run.toml")
    with listener.step("loading TensorFlow"):
        from tinyedge.training.data import load_data
        from tinyedge.training.post_training import quantize_after_training
    with listener.step(f"loading {config.data.name}"):
        data = load_data(config.data, Path(data_folder) if data_folder else None)
    record = quantize_after_training(
        source, config, data, precision, target, recalibrate=recalibrate
    )
    return {"folder": str(target), "run": record}
