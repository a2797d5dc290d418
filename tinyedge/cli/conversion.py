"""What commands that import a model share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyedge.importers import ImportResult


def imported_model(
    model: Path, calibration: Path | None, input_range: tuple[float, float] | None
) -> ImportResult:
    """Imports a model as ``--calibration`` and ``--input-range`` say.

    Raises:
        UsageError: the options go with a QKeras model, or the range is empty.
        ModelError, DataError: as ``import_model`` and ``read_calibration``.
    """
    from tinyedge.errors import UsageError
    from tinyedge.importers import import_model, is_keras_model
    from tinyedge.samples.reading import read_calibration

    if input_range and not input_range[0] < input_range[1]:
        raise UsageError("--input-range: LOW has to be below HIGH")
    if (calibration or input_range) and model.exists() and not is_keras_model(model):
        raise UsageError("--calibration and --input-range go with QKeras models")
    samples = read_calibration(calibration) if calibration else None
    return import_model(model, samples, input_range or None)
