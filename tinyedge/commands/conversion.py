"""The common parts of commands that import a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.commands.arguments import (
    AnyPath,
    Samples,
    board_of,
    check_outputs,
    folder_outputs,
    one_of,
    path_of,
)
from tinyedge.errors import UsageError
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import CONVERTED_FILES, ConvertedModel, write_converted
from tinyedge.importers import (
    ImportResult,
    import_model,
    is_keras_model,
    is_onnx_model,
    is_tflite_model,
)
from tinyedge.importers.result import Agreement
from tinyedge.names import CORE_NAMES, OBJECTIVES, CoreName, Objective
from tinyedge.progress import Listener
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


def code_options(core: CoreName | None, board: AnyPath | None, optimize: Objective) -> CodeOptions:
    """Gives the options that C code is made for.

    Raises:
        UsageError: an unknown ``core`` or ``optimize``, or both ``core`` and ``board``.
        BoardError: the board is unknown.
    """
    one_of("core", core, CORE_NAMES)
    one_of("optimize", optimize, OBJECTIVES)
    if core and board is not None:
        raise UsageError("--core and --board exclude each other")
    if board is not None:
        core = board_of(board).core
    return CodeOptions(core or CodeOptions.core, optimize)


def convert_file(
    model: Path,
    calibration: Samples | None,
    input_range: tuple[float, float] | None,
    options: CodeOptions,
    folder: Path,
    listener: Listener,
    *,
    keep_constant_channels: bool,
    command: str,
) -> tuple[ConvertedModel, Agreement | None]:
    """Imports a model's file and writes the converted folder.

    Args:
        model: the file.
        calibration: see ``imported_model``.
        input_range: see ``imported_model``.
        options: what the C code is made for.
        folder: to write.
        listener: told how far it is, and the notes.
        keep_constant_channels: see ``imported_model``.
        command: what the files say that they were made by.

    Raises:
        UsageError: as ``imported_model``; or a file of the folder would replace one that is read.
        ModelError, DataError: as ``imported_model``.
    """
    # A graph that was saved before comes out as it was.
    read = [("MODEL", model if model.is_file() and model.suffix != ".npz" else None)]
    read.append(("--calibration", path_of(calibration)))
    check_outputs(folder_outputs(folder, CONVERTED_FILES), read)
    with listener.step(f"reading {model.name}"):
        imported = imported_model(
            model, calibration, input_range, keep_constant_channels=keep_constant_channels
        )
    converted = write_converted(imported.graph, folder, command, imported.notes, options)
    listener.remark(*(f"note: {note}" for note in imported.notes))
    if agreement := imported.agreement:
        listener.remark(
            f"agreement with {model.name} on {agreement.samples} calibration samples: "
            f"{agreement.same:.1%}, outputs {agreement.mean_error:.2f} steps apart on average"
        )
    return converted, imported.agreement


def conversion_record(converted: ConvertedModel, agreement: Agreement | None) -> dict[str, Any]:
    """The record printed by ``tinyedge convert --json``, without ``version`` and ``status``."""
    record = {"folder": str(converted.folder), "model": converted.manifest}
    return record | ({"agreement": asdict(agreement)} if agreement else {})
