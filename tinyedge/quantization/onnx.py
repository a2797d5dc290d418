"""Float ``.onnx`` files, quantized by ONNX Runtime."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.distribution import install_hint
from tinyedge.errors import DataError, MissingDependencyError, ModelError
from tinyedge.importers.onnx import is_quantized, layouts
from tinyedge.importers.onnx.operators import KNOWN
from tinyedge.importers.onnx.reader import parse, read_bytes, read_onnx
from tinyedge.importers.result import ImportResult
from tinyedge.naming import one_line
from tinyedge.quantization.float_model import Float32, FloatModel, import_quantized

_QUANTIZED_VALUE = re.compile(r"_(Dequantize|Quantize)Linear_Output$")
"""The suffix that the quantized file adds to the name of a value."""


class OnnxFloats(FloatModel):
    """A float ONNX file.

    Args:
        path: of the file.
        folder: an empty one, for files on the way.

    Raises:
        ModelError: the file is missing, damaged, quantized already, or holds an operator that
            cannot be imported.
        MissingDependencyError: ``onnx`` or ONNX Runtime is not installed.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        try:
            import onnxruntime
            import onnxruntime.quantization
        except ImportError as error:
            raise MissingDependencyError(
                f"quantizing .onnx files needs ONNX Runtime ({error})",
                hint=install_hint("onnxruntime"),
            ) from error
        self._path, self._runtime = path, onnxruntime
        self.quantizer = f"onnxruntime {onnxruntime.__version__}"
        try:
            model = read_onnx(path, KNOWN)
        except ModelError as error:
            raise ModelError(f"{path}: {error}", error.hint) from error
        if is_quantized(model):
            raise ModelError(
                f"{path}: is quantized already", hint=f"tinyedge convert {path} -o DIR"
            )
        if model.input.type != "FLOAT":
            raise ModelError(f"{path}: takes {model.input.type}, allowed: FLOAT")
        self._input = model.input
        self._proto = parse(read_bytes(path))
        _cut_probabilities(self._proto)
        self._prepared = folder / "prepared" / "floats.onnx"
        self._prepared.parent.mkdir()
        self._file = folder / f"{path.stem}.onnx"
        # Which axes the importer turns is told by a file that is quantized, whatever its ranges.
        drawn = np.random.default_rng(0).random((1, *model.input.shape)).astype(np.float32)
        self._quantize(drawn)
        self.shape = import_quantized(self._file, path).graph.input_tensor.shape
        self._places = layouts(self._file)[model.input.name]

    def logits(self, samples: Float32) -> Float32:
        (found,) = self._run(self._proto.SerializeToString(), samples)
        return found

    def quantized(self, samples: Float32) -> Path:
        self._quantize(map(self._laid, samples))
        return self._file

    def _quantize(self, laid: Iterable[Float32]) -> None:
        """Writes the quantized file, by samples as the float one takes them."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        given = self._prepared.with_name("given.onnx")
        given.write_bytes(self._proto.SerializeToString())
        with _refusals(self._path), _quiet():
            quant_pre_process(given, self._prepared, skip_symbolic_shape=True)
            quantize_static(
                self._prepared,
                self._file,
                _Reader(self._input.name, laid),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
            )

    def values(self, imported: ImportResult, samples: Float32) -> Iterable[tuple[str, Float32]]:
        places = layouts(self._file)
        model = parse(read_bytes(self._prepared))
        outputs = {name for node in model.graph.node for name in node.output}
        found = {}
        for tensor, origin in imported.origins.items():
            name = _QUANTIZED_VALUE.sub("", origin.value_of or "")
            if name in outputs & set(places):
                found[tensor] = name
        del model.graph.output[:]
        for name in dict.fromkeys(found.values()):
            model.graph.output.add().name = name
        if not found:
            return
        shown = self._run(model.SerializeToString(), samples)
        arrays = dict(zip(dict.fromkeys(found.values()), shown, strict=True))
        for tensor, name in found.items():
            laid = np.empty_like(arrays[name])
            laid[:, places[name].ravel()] = arrays[name]
            yield tensor, laid

    def _laid(self, sample: Float32) -> Float32:
        """A sample as the file takes it, with the batch."""
        return np.ascontiguousarray(sample.ravel()[self._places], np.float32)

    def _run(self, content: bytes, samples: Float32) -> list[Float32]:
        """All outputs, (n, size) each."""
        options = self._runtime.SessionOptions()
        options.log_severity_level = 4
        with _refusals(self._path):
            session = self._runtime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            parts = [
                [one.ravel() for one in session.run(None, {self._input.name: self._laid(sample)})]
                for sample in samples
            ]
        found = [np.stack(part).astype(np.float32) for part in zip(*parts, strict=True)]
        if not all(np.isfinite(array).all() for array in found):
            raise DataError(f"{self._path}: gives values that are not finite for the samples")
        return found


class _Reader:
    """Samples for ONNX Runtime, which asks for one after the other."""

    def __init__(self, name: str, samples: Iterable[Float32]) -> None:
        self._name, self._left = name, iter(samples)

    def get_next(self) -> dict[str, Float32] | None:
        """The next one, or None."""
        sample = next(self._left, None)
        return None if sample is None else {self._name: sample}

    def __iter__(self) -> Iterator[dict[str, Float32]]:
        while (given := self.get_next()) is not None:
            yield given


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Turns what ONNX Runtime raises into an error that names the file."""
    try:
        yield
    except (DataError, ModelError):
        raise
    except Exception as error:  # it raises whatever its readers meet
        raise ModelError(f"{path}: ONNX Runtime refuses it: {one_line(str(error)):.300}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps ONNX Runtime's advice off the terminal."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _cut_probabilities(model: Any) -> None:
    """Leaves out a final softmax, or the sigmoid of one output: the logits tell the verdict."""
    graph = model.graph
    output = graph.output[0]
    last = next((node for node in graph.node if output.name in node.output), None)
    sizes = [axis.dim_value for axis in output.type.tensor_type.shape.dim]
    single = len(sizes) > 1 and all(size == 1 for size in sizes[1:])
    if last and (last.op_type == "Softmax" or (last.op_type == "Sigmoid" and single)):
        given = last.input[0]
        graph.node.remove(last)
        output.name = given
