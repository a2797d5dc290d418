"""Suites: named sets of labelled samples, clean or adversarial, in one ``.npz`` file."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.datasets import LabelledSamples
from tinyedge.errors import DataError
from tinyedge.files import json_text, read_arrays, write_atomically
from tinyedge.graph.tensors import Quantization, as_batch

_VERSION = 1


@dataclass(frozen=True)
class SuiteFile:
    """Where suites were read from.

    Attributes:
        name: of the file, without its folders.
        sha256: of its content.
        model: that they were crafted on: file name and hash; empty where the file does not say.
        masking: what was found when gradients were judged, see ``attacks.judgement``; None where
            they were not.
    """

    name: str
    sha256: str
    model: dict[str, Any] = field(default_factory=dict)
    masking: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Suite:
    """Samples that belong together.

    Attributes:
        name: ``clean``, ``fgsm``, …
        inputs: float32 (n, *shape), as the float model takes them.
        labels: int64 (n,).
        float_logits: float32 (n, classes) of the float model, if it was at hand.
        settings: how the samples were made: attack, epsilon and its unit, steps, seed.
        input_quantization: by which a device is to receive the inputs, if that was settled.
        classes: their names in the order of the labels; empty where they are not known.
        file: that it was read from.
    """

    name: str
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    float_logits: NDArray[np.float32] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    input_quantization: Quantization | None = None
    classes: tuple[str, ...] = ()
    file: SuiteFile | None = None

    def dequantized(self) -> NDArray[np.float32]:
        """The inputs after they were quantized to int8."""
        assert self.input_quantization
        quantized = self.input_quantization.quantize(self.inputs)
        return self.input_quantization.dequantize(quantized).astype(np.float32)

    def drawn(self, count: int, seed: int) -> Suite:
        """So many samples, drawn without replacement, in the order they have here."""
        order = np.random.default_rng(seed).permutation(len(self.labels))[:count]
        index = np.sort(order)
        logits = self.float_logits
        return replace(
            self,
            inputs=self.inputs[index],
            labels=self.labels[index],
            float_logits=None if logits is None else logits[index],
            settings=self.settings | {"drawn": count, "seed": seed},
        )

    def first(self, count: int | None) -> Suite:
        """The first so many samples; all of them for None."""
        logits = self.float_logits
        return replace(
            self,
            inputs=self.inputs[:count],
            labels=self.labels[:count],
            float_logits=None if logits is None else logits[:count],
        )


PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))
"""What the values 0 and 255 of a pixel commonly stand for."""


def pixel_range(quantization: Quantization) -> tuple[float, float]:
    """The common range of pixels that the range of a model's int8 input comes closest to."""
    low, high = (float(value) for value in quantization.dequantize([-128, 127]))

    def distance(candidate: tuple[float, float]) -> float:
        width = candidate[1] - candidate[0]
        apart = (abs(candidate[0] - low) + abs(candidate[1] - high)) / width
        return apart + abs(math.log((high - low) / width))

    return min(PIXEL_RANGES, key=distance)


def suite_of(
    test_set: LabelledSamples,
    name: str,
    quantization: Quantization,
    pixels: tuple[float, float] | None = None,
    count: int | None = None,
) -> Suite:
    """A data set's test set as a suite.

    Args:
        test_set: the samples.
        name: of the suite.
        quantization: of the model's input.
        pixels: what 0 and 255 of a pixel stand for; ``pixel_range`` by default. Of no meaning to
            samples that are no images.
        count: takes the first so many.
    """
    x, settings = test_set.x[:count], dict(test_set.settings)
    if x.dtype == np.uint8:
        low, high = pixels or pixel_range(quantization)
        x = low + x.astype(np.float32) * np.float32((high - low) / 255.0)
        settings["pixels"] = [low, high]
    settings["data"] = test_set.source
    labels, classes = test_set.y[:count], test_set.classes
    return Suite(name, x.astype(np.float32), labels, settings=settings, classes=classes)


def save_suites(
    path: Path,
    suites: list[Suite],
    source: dict[str, Any],
    masking: dict[str, Any] | None = None,
) -> None:
    """Writes suites: inputs as floats and as the device receives them, labels, logits, settings.

    Args:
        path: the ``.npz`` file.
        suites: distinct by name.
        source: of the model that they were crafted on: file name and SHA-256.
        masking: what judging its gradients found.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for suite in suites:
        arrays[f"{suite.name}/x"] = suite.inputs
        arrays[f"{suite.name}/y"] = suite.labels
        if suite.float_logits is not None:
            arrays[f"{suite.name}/float_logits"] = suite.float_logits
        if suite.input_quantization:
            arrays[f"{suite.name}/x_int8"] = suite.input_quantization.quantize(suite.inputs)
    description = {
        "version": _VERSION,
        "model": source,
        "masking": masking,
        "suites": [
            {
                "name": suite.name,
                "settings": suite.settings,
                "input_quantization": suite.input_quantization
                and dataclasses.asdict(suite.input_quantization),
                "classes": list(suite.classes),
            }
            for suite in suites
        ],
    }
    buffer = io.BytesIO()
    encoded = np.frombuffer(json_text(description).encode(), np.uint8)
    np.savez_compressed(buffer, allow_pickle=False, suites=encoded, **arrays)
    write_atomically(path, buffer.getvalue())


def load_suites(path: Path) -> list[Suite]:
    """Reads suites that ``save_suites`` wrote.

    A plain ``.npz`` with arrays ``x`` and ``y`` is read as one suite named ``clean``; texts
    ``classes`` in it are the names of the classes.

    Raises:
        DataError: the file is missing, damaged or holds no suites.
    """
    arrays = _read(path)
    file = SuiteFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    try:
        if "suites" not in arrays:
            x, y = _floats(path, arrays["x"]), _labels(path, arrays["y"])
            classes = tuple(map(str, arrays.get("classes", ())))
            return [Suite("clean", x, y, classes=classes, file=file)]
        description = json.loads(arrays["suites"].tobytes())
        file = replace(
            file, model=dict(description.get("model", {})), masking=description.get("masking")
        )
        suites = [
            Suite(
                record["name"],
                arrays[f"{record['name']}/x"],
                arrays[f"{record['name']}/y"],
                arrays.get(f"{record['name']}/float_logits"),
                record["settings"],
                Quantization(**quantization)
                if (quantization := record.get("input_quantization"))
                else None,
                tuple(record.get("classes", ())),
                file,
            )
            for record in description["suites"]
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: holds no suites ({error})",
            hint="write them with 'tinyedge attack', or give arrays x and y",
        ) from error
    for suite in suites:
        if len(suite.inputs) != len(suite.labels):
            raise DataError(f"{path}: suite '{suite.name}' has samples without labels")
    return suites


def load_suite_files(paths: Sequence[Path]) -> list[Suite]:
    """Reads the suites of several files; names that several have get their file's in front.

    Raises:
        DataError: a file is missing, damaged or holds no suites, or is named twice.
    """
    if len(set(paths)) < len(paths):
        raise DataError("a file of suites is named twice", hint="name each once")
    stems = [path.stem for path in paths]
    files = [
        stem if stems.count(stem) == 1 else str(path)
        for stem, path in zip(stems, paths, strict=True)
    ]
    loaded = [
        (file, suite)
        for file, path in zip(files, paths, strict=True)
        for suite in load_suites(path)
    ]
    names = [suite.name for _, suite in loaded]
    return [
        suite if names.count(suite.name) == 1 else replace(suite, name=f"{file}:{suite.name}")
        for file, suite in loaded
    ]


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Reads all arrays of a file; raises DataError where it is missing, damaged or another kind."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint="name an existing .npy or .npz file")
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable .npy or .npz file ({error})",
            hint="write it with numpy.save or numpy.savez, without pickled objects",
        ) from error


def suite_of_arrays(x: NDArray[Any], y: NDArray[Any], name: str = "samples") -> Suite:
    """Labelled samples at hand as a suite.

    Args:
        x: floats (n, *shape), or uint8 images, which stand for 0 to 1.
        y: integers (n,), or (n, 1).
        name: of the suite.

    Raises:
        DataError: the arrays are not as they have to be.
    """
    suite = Suite(name, _floats(name, x), _labels(name, y))
    if len(suite.inputs) != len(suite.labels):
        raise DataError(f"{name}: {len(suite.inputs)} samples, but {len(suite.labels)} labels")
    return suite


def quantized_inputs(
    name: Path | str, x: NDArray[Any], shape: tuple[int, ...], quantization: Quantization
) -> NDArray[np.int8]:
    """Samples as a device receives them: int8 as they are, floats quantized on the way.

    Args:
        name: of the samples, for messages.
        x: NHWC; a single sample may come without a batch axis.
        shape: of one sample, without the batch.
        quantization: of the model's input.

    Returns:
        int8 (n, *shape), n at least 1.

    Raises:
        DataError: the array is not as it has to be.
    """
    samples = as_batch(x, shape, f"{name}: samples")
    if not len(samples):
        raise DataError(f"{name}: holds no samples")
    if samples.dtype == np.int8:
        return samples
    quantized: NDArray[np.int8] = quantization.quantize(_floats(name, samples))
    return quantized


def _floats(path: Path | str, x: NDArray[Any]) -> NDArray[np.float32]:
    """Samples as float32; bytes are images of 0 to 255, which stand for 0 to 1."""
    if x.dtype == np.uint8:
        return (x / 255.0).astype(np.float32)
    if not np.issubdtype(x.dtype, np.floating) or not np.isfinite(x).all():
        raise DataError(f"{path}: x has to be finite floats, or uint8 images, not {x.dtype}")
    return x.astype(np.float32)


def _labels(path: Path | str, y: NDArray[Any]) -> NDArray[np.int64]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: y has to hold one integer label a sample")
    return y.astype(np.int64)


def read_inputs(path: Path, shape: tuple[int, ...], quantization: Quantization) -> NDArray[np.int8]:
    """Reads samples to run: int8 as they are, floats quantized on the way.

    Args:
        path: a ``.npy`` file, or a ``.npz`` file with an array ``x`` or ``inputs``, or only one.
        shape: of one sample, NHWC without the batch; a single sample may come without a batch axis.
        quantization: of the model's input.

    Returns:
        int8 (n, *shape).

    Raises:
        DataError: the file or the array is not as it has to be.
    """
    return quantized_inputs(path, _samples(path), shape, quantization)


def read_calibration(path: Path) -> NDArray[np.float32]:
    """Reads real inputs as float32, of the shape they have in the file.

    Raises:
        DataError: the file or the array is not as it has to be.
    """
    return calibration_inputs(path, _samples(path))


def calibration_inputs(name: Path | str, x: NDArray[Any]) -> NDArray[np.float32]:
    """Real inputs at hand as float32: finite floats as they are, uint8 images as 0 to 1.

    Raises:
        DataError: the array is not as it has to be.
    """
    return _floats(name, x)


def _samples(path: Path) -> NDArray[Any]:
    arrays = _read(path)
    name: str | None = next((key for key in ("x", "inputs") if key in arrays), None)
    if name is None and len(arrays) == 1:
        name = next(iter(arrays))
    if name is None:
        raise DataError(f"{path}: holds {', '.join(arrays) or 'nothing'}; expected an array x")
    return arrays[name]
