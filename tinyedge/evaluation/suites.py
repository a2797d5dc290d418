"""Suites: named sets of labelled samples, clean or adversarial, in one ``.npz`` file."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tinyedge.datasets import LabelledSamples
from tinyedge.errors import DataError
from tinyedge.files import json_text, write_atomically
from tinyedge.graph.tensors import Quantization
from tinyedge.naming import check_name
from tinyedge.records.parts import Name, Part, Rows, Settings, as_model, dumped, parsed_record
from tinyedge.records.run import settings_faults
from tinyedge.samples.labels import checked_labels
from tinyedge.samples.reading import ArrayFile, named_inputs, read_samples, target_values
from tinyedge.samples.scaling import ModelInput, checked_values
from tinyedge.schema import refuse

_VERSION = 1
_HINT = "write them with 'tinyedge attack', or give arrays x and y"


class _Quantization(Part):
    scale: Annotated[float, Field(gt=0)]
    zero_point: Annotated[int, Field(ge=-128, le=127)]


class _DescribedSuite(Part):
    name: str
    settings: Settings
    input_quantization: _Quantization | None = None
    classes: Rows[Name] = Field(default=[])

    @model_validator(mode="after")
    def _can_be_shown(self) -> _DescribedSuite:
        refuse(settings_faults(self.settings))
        return self


class _Masking(Part):
    believable: bool
    findings: Rows[str]


class _Description(Part):
    """The array ``suites`` of a file, in JSON."""

    version: Literal[1] = 1
    model: Settings = Field(default={})
    masking: _Masking | None = None
    suites: Annotated[Rows[_DescribedSuite], Field(min_length=1)]


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
        inputs: (n, *shape), or sequences (n, frames, *shape): float32 as the float model takes
            them; int8 or uint8, as a file may
            hold them, until ``fitted`` to a model.
        labels: int64 (n,).
        float_logits: float32 (n, classes) of the float model, if it was at hand.
        settings: how the samples were made: attack, epsilon and its unit, steps, seed.
        input_quantization: by which a device is to receive the inputs, if that was settled.
        classes: their names in the order of the labels; empty where they are not known.
        file: that it was read from.
        reading: how the values of the file were read, as a sentence; empty for floats.
    """

    name: str
    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    float_logits: NDArray[np.float32] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    input_quantization: Quantization | None = None
    classes: tuple[str, ...] = ()
    file: SuiteFile | None = None
    reading: str = ""

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.inputs.shape[1:]))
        attack = f", {self.settings['attack']}" if self.settings.get("attack") else ""
        return f"Suite({self.name}: {len(self.inputs):,} samples of {shape}{attack})"

    def fitted(self, takes: ModelInput) -> Suite:
        """The suite with inputs of float32, and labels that are checked, as a model takes them.

        Raises:
            DataError: it is empty, or samples or labels do not fit the model.
        """
        what = f"suite '{check_name(self.name, 'the name of a suite', DataError)}'"
        if not len(self.labels):
            raise DataError(f"{what} is empty")
        takes.check_classes(what)
        labels = checked_labels(what, self.labels, len(self.inputs), takes.classes)
        if self.float_logits is not None:
            _check_logits(f"{what}: float_logits", self.float_logits, len(labels), takes.classes)
        if self.classes and takes.classes and len(self.classes) != takes.classes:
            raise DataError(
                f"{what}: {len(self.classes)} names of classes, but the model has {takes.classes}"
            )
        for name in self.classes:
            check_name(name, f"{what}: the name of a class", DataError)
        x = checked_values(what, takes.batch(self.inputs, f"{what}: samples"))
        settings = self.settings
        if takes.shape is not None and x.ndim == len(takes.shape) + 2:
            settings = settings | {"frames": x.shape[1]}
        if x.dtype == np.uint8 and not takes.bytes_are_input:
            settings = settings | {"pixels": list(takes.pixel_range)}
        return replace(
            self,
            inputs=takes.real(x),
            labels=labels,
            settings=settings,
            reading=self.reading or takes.reading(x),
        )

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


def suite_of(
    test_set: LabelledSamples, name: str, takes: ModelInput, count: int | None = None
) -> Suite:
    """A data set's test set as a suite.

    Args:
        test_set: the samples.
        name: of the suite.
        takes: how the model takes them.
        count: takes the first so many.

    Raises:
        DataError: samples or labels do not fit the model.
    """
    settings = test_set.settings | {"data": test_set.source}
    labels, classes = test_set.y[:count], test_set.classes
    suite = Suite(name, test_set.x[:count], labels, settings=settings, classes=classes)
    return suite.fitted(takes)


def suite_remarks(suites: Sequence[Suite], takes: ModelInput) -> list[str]:
    """How the values of suites were read, and a warning of the first whose values are clipped."""
    said = list(dict.fromkeys(suite.reading for suite in suites if suite.reading))
    for suite in suites:
        if warning := takes.clipping(suite.inputs):
            return [*said, f"suite '{suite.name}': {warning}"]
    return said


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


def load_suites(path: Path, takes: ModelInput | None = None) -> list[Suite]:
    """Reads suites that ``save_suites`` wrote.

    A plain ``.npz`` with arrays ``x`` and ``y`` is read as one suite named ``clean``; texts
    ``classes`` in it are the names of the classes.

    Args:
        path: the file.
        takes: how the model takes samples. Without it, int8 and uint8 inputs stay what they are
            until ``Suite.fitted``.

    Raises:
        DataError: the file is missing, damaged or holds no suites, two of one name, samples or
            labels that fit neither each other nor the model.
    """
    arrays = ArrayFile(path)
    file = SuiteFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    if "suites" not in arrays:
        for name in ("x", "y"):
            if name not in arrays and (name == "y" or not takes or not named_inputs(arrays, takes)):
                raise _no_suites(path, f"lacks an array '{name}'")
        x, y = _samples_and_labels(arrays, "", takes)
        suites = [Suite("clean", x, y, classes=_class_names(arrays), file=file)]
    else:
        suites = _described(arrays, file, takes)
    return [suite.fitted(takes) for suite in suites] if takes else suites


def holds_labels(path: Path) -> bool:
    """Whether a file holds labelled samples or suites, or else samples alone or with targets.

    Raises:
        DataError: it is missing, damaged, or neither ``.npy`` nor ``.npz``.
    """
    arrays = ArrayFile(path)
    return "suites" in arrays or ("y" in arrays and target_values(arrays) is None)


def holds_pixels(path: Path) -> bool:
    """Whether the samples of a file of suites are uint8; reads no data.

    Raises:
        DataError: as ``load_suites``.
    """
    headers = ArrayFile(path).headers
    return any(
        header.dtype == np.uint8 for name, header in headers.items() if f"/{name}".endswith("/x")
    )


def _described(arrays: ArrayFile, file: SuiteFile, takes: ModelInput | None) -> list[Suite]:
    """The suites of a file that describes them."""
    where = f"{arrays.path}: suites"
    content = parsed_record(arrays.read("suites").tobytes(), where, _HINT)
    description = as_model(content, where, _Description, _HINT)
    masking = None if description.masking is None else dumped(description.masking)
    file = replace(file, model=description.model, masking=masking)
    names = [
        check_name(record.name, f"{arrays.path}: the name of a suite", DataError)
        for record in description.suites
    ]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(f"{arrays.path}: two suites are called '{min(twice)}'")
    suites = []
    for name, record in zip(names, description.suites, strict=True):
        x, y = _samples_and_labels(arrays, f"{name}/", takes)
        logits = None
        if (key := f"{name}/float_logits") in arrays:
            logits = checked_values(f"{arrays.path}: {key}", arrays.read(key))
            _check_logits(f"{arrays.path}: {key}", logits, len(x), None)
        quantization = record.input_quantization
        suites.append(
            Suite(
                name,
                x,
                y,
                logits,
                record.settings,
                Quantization(quantization.scale, quantization.zero_point) if quantization else None,
                tuple(record.classes),
                file,
            )
        )
    return suites


def _check_logits(what: str, logits: NDArray[Any], samples: int, classes: int | None) -> None:
    """Raises DataError unless there is a row a sample, of a logit a class, or one for two."""
    allowed = {classes, 1} if classes == 2 else {classes}
    columns = logits.shape[1] if logits.ndim == 2 else 0
    if not columns or len(logits) != samples or (classes and columns not in allowed):
        raise DataError(
            f"{what}: logits of shape {logits.shape}, allowed: ({samples}, {classes or 'classes'})"
        )


def _class_names(arrays: ArrayFile) -> tuple[str, ...]:
    """The names of the classes; none where the file has none."""
    if "classes" not in arrays:
        return ()
    where, names = f"{arrays.path}: classes", arrays.read("classes")
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(
            f"{where}: {names.dtype} of shape {names.shape}; one text a class is taken",
            hint="give numpy.array of the names, in the order of the labels",
        )
    return tuple(check_name(str(name), f"{where}: a name", DataError) for name in names)


def _samples_and_labels(
    arrays: ArrayFile, prefix: str, takes: ModelInput | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Checked arrays ``x`` and ``y`` of a file."""
    x = read_samples(arrays, f"{prefix}x", takes)
    classes = takes.classes if takes else None
    where = f"{arrays.path}: {prefix}y"
    if takes:
        takes.check_classes(str(arrays.path))
    return x, checked_labels(where, arrays.read(f"{prefix}y"), len(x), classes)


def _no_suites(path: Path, why: str) -> DataError:
    return DataError(
        f"{path}: holds no suites ({why})",
        hint=_HINT,
    )


def load_suite_files(paths: Sequence[Path], takes: ModelInput | None = None) -> list[Suite]:
    """Reads the suites of several files; names that several have get their file's in front.

    Args:
        paths: the files.
        takes: see ``load_suites``.

    Raises:
        DataError: a file is named twice, or as ``load_suites``.
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
        for suite in load_suites(path, takes)
    ]
    names = [suite.name for _, suite in loaded]
    return [
        suite if names.count(suite.name) == 1 else replace(suite, name=f"{file}:{suite.name}")
        for file, suite in loaded
    ]


def suite_of_arrays(x: NDArray[Any], y: NDArray[Any], name: str = "samples") -> Suite:
    """Labelled samples at hand as a suite.

    Args:
        x: (n, *shape): floats, or int8 or uint8, which the suite is ``fitted`` to a model by.
        y: integers (n,), or (n, 1).
        name: of the suite.

    Raises:
        DataError: the arrays are not as they have to be.
    """
    samples = checked_values(f"{name}: x", x)
    if not samples.ndim:
        raise DataError(f"{name}: x is a single number")
    return Suite(name, samples, checked_labels(f"{name}: y", y, len(samples)))
