"""Quantizing a float network after its training."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.commands.arguments import (
    AnyPath,
    Samples,
    check_outputs,
    folder_outputs,
    one_of,
    optional_path,
    path_of,
    whole,
)
from tinyedge.commands.notes import noted
from tinyedge.errors import DataError, ModelError, UsageError
from tinyedge.exporters.converted import CONVERTED_FILES
from tinyedge.files import write_atomically
from tinyedge.names import QUANTIZED_PRECISIONS, Precision
from tinyedge.progress import NOBODY, Listener
from tinyedge.samples.labels import checked_labels
from tinyedge.samples.reading import (
    ArrayFile,
    calibration_inputs,
    read_calibration,
    read_samples,
)
from tinyedge.samples.scaling import ModelInput
from tinyedge.training.config import CONFIG_FILE, read_config

_MOST_CALIBRATION = 512
"""Samples that ranges are measured on."""
_LAYER_SAMPLES = 64
_QUANTIZED = "quantized"
"""The file that the model became, kept beside what was converted from it."""

Float32 = NDArray[np.float32]
Labels = NDArray[np.int64]


@noted()
def quantize(
    model: AnyPath,
    *,
    output: AnyPath,
    calibration: Samples | None = None,
    data: AnyPath | None = None,
    samples: int | None = None,
    input_range: tuple[float, float] | None = None,
    precision: Precision | None = None,
    recalibrate: bool = True,
    data_folder: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Quantizes a float network after its training, without training it again.

    A float Keras (2 or 3) or ONNX model becomes int8, by TensorFlow Lite's converter or ONNX
    Runtime, and then what ``convert`` writes. The float network of a training run becomes its
    sibling of any precision: the control that quantization-aware training has to beat.

    Args:
        model: the path of a float model, or a folder that ``tinyedge train`` wrote.
        output: the folder to write; of a run it has to be new.
        calibration: of a float model, some hundred real inputs, or a file of such; of more than
            512 as many are taken, spread evenly over all.
        data: of a float model, a file of labelled samples, on which accuracy is measured before and
            after; the file of ``calibration`` by default, where it has labels.
        samples: how many are compared, of ``data``, else of ``calibration``; all by default.
        input_range: of a float model, what the values 0 and 255 of uint8 samples stand for; by
            default 0 and 255 where a Keras model scales pixels itself, else 0 and 1.
        precision: of the kernels: of a float model ``int8``; of a run ``stq`` by default.
        recalibrate: of a run, measures batch normalization's statistics anew, on training samples.
        data_folder: of a run, where the data set's files lie; ``$TINYEDGE_DATA`` by default.
        listener: told how far it is.

    Returns:
        Of a run ``folder`` and ``run``: the record, as of a training, with ``post_training``. Of a
        float model ``folder``, ``model`` (what ``model.json`` holds), ``quantizer``, ``file`` (the
        quantized model), ``calibration_samples``, ``accuracy`` (``samples``, ``agreement``,
        ``before``, ``after``), ``layers`` (``name``, ``kind``, ``error``, ``added``), ``to_train``.

    Raises:
        ConfigError: the run's TOML file is wrong.
        UsageError: the run's network is not a float one, ``output`` exists or holds a file that is
            read, ``input_range`` is not finite or not in order, or arguments do not go together.
        ModelError: the model cannot be read, is quantized already, or holds what is not supported.
        DataError: samples, labels or the data set cannot be read, or do not fit.
        MissingDependencyError: what quantizes is not installed.
    """
    one_of("precision", precision, QUANTIZED_PRECISIONS)
    whole("samples", samples, 1)
    source, target = Path(model), Path(output)
    if not source.exists():
        raise ModelError(
            f"{source}: no such file or folder",
            hint="name a float model, or a folder that 'tinyedge train' wrote",
        )
    given = {
        "--calibration": calibration,
        "--data": data,
        "--samples": samples,
        "--input-range": input_range,
    }
    if (source / CONFIG_FILE).is_file() or (source.is_dir() and not _is_model(source)):
        if named := [option for option, value in given.items() if value is not None]:
            raise UsageError(f"{', '.join(named)}: goes with a float model, and not with a run")
        return _quantized_run(
            source, target, precision or "stq", recalibrate, data_folder, listener
        )
    if precision not in (None, "int8"):
        raise UsageError(
            f"--precision {precision}: a float model becomes int8",
            hint="fewer bits take training: 'tinyedge train', or QKeras or Brevitas by yourself",
        )
    if calibration is None:
        raise UsageError(
            "--calibration is missing: int8 ranges are measured on real inputs",
            hint="give some hundred of them, as a .npy file, or a .npz file with x",
        )
    if input_range is not None:
        if not all(math.isfinite(end) for end in input_range):
            raise UsageError("--input-range: LOW and HIGH have to be finite")
        if not input_range[0] < input_range[1]:
            raise UsageError("--input-range: LOW has to be below HIGH")
    names = (*CONVERTED_FILES, *(f"{_QUANTIZED}{suffix}" for suffix in (".onnx", ".tflite")))
    read = [("MODEL", source if source.is_file() else None)]
    read += [("--calibration", path_of(calibration)), ("--data", optional_path(data))]
    check_outputs(folder_outputs(target, names), read)
    return _quantized_model(source, target, calibration, data, samples, input_range, listener)


def _is_model(folder: Path) -> bool:
    from tinyedge.importers import is_keras_model

    return is_keras_model(folder)


def _quantized_run(
    source: Path,
    target: Path,
    precision: Precision,
    recalibrate: bool,  # noqa: FBT001 - passed on
    data_folder: AnyPath | None,
    listener: Listener,
) -> dict[str, Any]:
    config = read_config(source / CONFIG_FILE)
    with listener.step("loading TensorFlow"):
        from tinyedge.training.data import load_data
        from tinyedge.training.post_training import quantize_after_training
    with listener.step(f"loading {config.data.name}"):
        data = load_data(config.data, Path(data_folder) if data_folder else None)
    record = quantize_after_training(
        source, config, data, precision, target, recalibrate=recalibrate
    )
    return {"folder": str(target), "run": record}


def _quantized_model(
    source: Path,
    target: Path,
    calibration: Samples,
    data: AnyPath | None,
    count: int | None,
    input_range: tuple[float, float] | None,
    listener: Listener,
) -> dict[str, Any]:
    from tinyedge.exporters.converted import write_converted
    from tinyedge.quantization import import_quantized, open_float_model, outcome

    with tempfile.TemporaryDirectory() as folder:
        with listener.step(f"reading {source.name}"):
            model = open_float_model(source, Path(folder))
        takes = ModelInput(model.shape, pixels=input_range or model.pixels)
        ranges = _calibration(calibration, takes, listener)
        outputs = model.logits(ranges[:1]).shape[1]
        takes = dataclasses.replace(takes, classes=max(outputs, 2))
        seen, labels = _labelled(data, calibration, takes, count, listener)
        with listener.step(f"quantizing with {model.quantizer}"):
            file = model.quantized(ranges)
        with listener.step(f"reading {file.name}"):
            imported = import_quantized(file, source)
        graph = imported.graph
        if graph.input_tensor.shape != model.shape:
            raise ModelError(
                f"{source}: takes samples of shape {model.shape}, but quantized "
                f"{graph.input_tensor.shape}",
                hint="convert it with its own tools to an int8 .tflite or a quantized .onnx file",
            )
        name = f"tinyedge quantize {source.name}"
        named = {"quantized_from": source.name, "quantizer": model.quantizer}
        graph = dataclasses.replace(graph, source=graph.source | named)
        shown = seen if seen is not None else ranges[:count]
        with listener.progress("comparing", len(shown)) as advance:
            found = outcome.measure(model, graph, shown, labels, advance)
        with listener.step("comparing layers"):
            layers = outcome.layer_errors(model, imported, shown[:_LAYER_SAMPLES])
        converted = write_converted(graph, target, name, imported.notes)
        kept = target / f"{_QUANTIZED}{file.suffix}"
        write_atomically(kept, file.read_bytes())
    listener.remark(*(f"note: {note}" for note in imported.notes))
    return {
        "folder": str(target),
        "model": converted.manifest,
        "quantizer": model.quantizer,
        "file": str(kept),
        "calibration_samples": len(ranges),
        "accuracy": dataclasses.asdict(found),
        "layers": [dataclasses.asdict(layer) for layer in layers],
        "to_train": outcome.to_train(layers),
    }


def _calibration(given: Samples, takes: ModelInput, listener: Listener) -> Float32:
    """Real inputs as the float model takes them, of many some that are spread over all.

    Files are often in the order of classes or of time.
    """
    if isinstance(given, np.ndarray):
        x = calibration_inputs("calibration", given)
    else:
        x = read_calibration(Path(given))
    x = takes.batch(x, "calibration data")
    if not len(x):
        raise DataError("calibration data: no samples")
    if len(x) > _MOST_CALIBRATION:
        listener.remark(
            f"note: ranges are measured on {_MOST_CALIBRATION} of {len(x)} calibration samples, "
            "spread evenly over all"
        )
        x = x[np.linspace(0, len(x) - 1, _MOST_CALIBRATION).astype(np.int64)]
    return takes.real(x)


def _labelled(
    data: AnyPath | None,
    calibration: Samples,
    takes: ModelInput,
    count: int | None,
    listener: Listener,
) -> tuple[Float32 | None, Labels | None]:
    """The samples to compare on, and their labels; None where no file has any."""
    path = data if data is not None else calibration
    if isinstance(path, np.ndarray):
        return None, None
    arrays = ArrayFile(Path(path))
    key = arrays.samples.removesuffix("inputs").removesuffix("x") + "y"
    if key not in arrays:
        if data is None:
            return None, None
        raise DataError(f"{data}: lacks labels '{key}'", hint="--data takes labelled samples")
    floats = np.issubdtype(arrays.headers[key].dtype, np.floating)
    if data is None and (floats or takes.reconstructs):
        reason = "holds floats" if floats else "labels samples of a model without classes"
        listener.remark(f"note: {path}: {key} {reason}, so that no accuracy is measured")
        return None, None
    takes.check_classes(f"{path}: {key}")
    x = calibration_inputs(Path(path), read_samples(arrays, None, takes))
    labels = checked_labels(f"{path}: {key}", arrays.read(key), len(x), takes.classes)
    if not len(x):
        raise DataError(f"{path}: holds no samples")
    return takes.real(x[:count]), labels[:count]
