"""What commands that import a model share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyedge.commands.arguments import Samples
from tinyedge.errors import UsageError
from tinyedge.importers import (
    ImportResult,
    import_model,
    is_keras_model,
    is_onnx_model,
    is_tflite_model,
)
from tinyedge.samples.reading import calibration_inputs, read_calibration


def imported_model(
    model: Path,
    calibration: Samples | None,
    input_range: tuple[float, float] | None,
    *,
    keep_constant_channels: bool = False,
) -> ImportResult:
    """Imports a model as the options for conversion say.

    Raises:
        UsageError: the options go with another kind of model, or the range is empty.
        ModelError, DataError: as ``import_model`` and ``read_calibration``.
    """
    if input_range and not input_range[0] < input_range[1]:
        raise UsageError("--input-range: LOW has to be below HIGH")
    given = calibration is not None
    takes = is_keras_model(model) or is_onnx_model(model)
    if (given or input_range) and model.exists() and not takes:
        raise UsageError("--calibration and --input-range go with QKeras and ONNX models")
    if keep_constant_channels and model.exists() and not is_tflite_model(model):
        raise UsageError("--keep-constant-channels goes with .tflite files")
    samples = None
    if isinstance(calibration, np.ndarray):
        samples = calibration_inputs("calibration", calibration)
    elif calibration is not None:
        samples = read_calibration(Path(calibration))
    return import_model(
        model, samples, input_range or None, keep_constant_channels=keep_constant_channels
    )
