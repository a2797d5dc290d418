"""Float Keras models, quantized by TensorFlow Lite's converter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.importers.result import ImportResult
from tinyedge.keras.environment import silent
from tinyedge.keras.environment import tensorflow as tf
from tinyedge.keras.load import load_keras_model, logits_model, quiet
from tinyedge.naming import clean_name, one_line
from tinyedge.quantization.float_model import Float32, FloatModel

_BATCH = 64
_SCALES_PIXELS = ("Normalization", "Rescaling")


class KerasFloats(FloatModel):
    """A float Keras model, of Keras 2 or 3.

    Args:
        path: of its file.
        folder: an empty one, for files on the way.

    Raises:
        ModelError: the file is missing, damaged, quantized already, or holds a layer that is not
            read.
        MissingDependencyError: TensorFlow is not installed.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        model = load_keras_model(path)
        for layer in model._flatten_layers():  # noqa: SLF001 - Keras has no public way
            if type(layer).__module__.split(".", 1)[0] == "qkeras":
                raise ModelError(
                    f"{path}: layer '{layer.name}' ({type(layer).__name__}) is quantized already",
                    hint=f"tinyedge convert {path} -o DIR",
                )
        self._path, self._folder = path, folder
        self._model = logits_model(model)
        self.shape = tuple(model.input_shape[1:])
        kinds = [type(layer).__name__ for layer in model.layers]
        first = next((kind for kind in kinds if kind != "InputLayer"), "")
        if first in _SCALES_PIXELS:
            self.pixels = (0.0, 255.0)
        self.quantizer = f"TensorFlow Lite's converter {tf.__version__}"

    def logits(self, samples: Float32) -> Float32:
        parts = [
            np.asarray(self._model(samples[start : start + _BATCH], training=False))
            for start in range(0, len(samples), _BATCH)
        ]
        return np.concatenate(parts).reshape(len(samples), -1)

    def quantized(self, samples: Float32) -> Path:
        def batches() -> Iterator[list[Float32]]:
            for sample in samples:
                yield [sample[np.newaxis]]

        converter = self._converter()
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = batches
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        target = self._folder / f"{self._path.stem}.tflite"
        target.write_bytes(self._converted(converter))
        return target

    def values(self, imported: ImportResult, samples: Float32) -> Iterable[tuple[str, Float32]]:
        graph = imported.graph
        # Both conversions name the values alike; fused layers' names stand one behind the other.
        content = self._converted(self._converter())
        with silent():
            interpreter = tf.lite.Interpreter(
                model_content=content, experimental_preserve_all_tensors=True
            )
            interpreter.allocate_tensors()
        written = {operator.output for operator in graph.operators}
        found = {
            name: details["index"]
            for details in interpreter.get_tensor_details()
            if (name := clean_name(details["name"].partition(";")[0])) in written
            and graph.tensors[name].size == int(np.prod(details["shape"]))
        }
        (source,) = interpreter.get_input_details()
        parts: dict[str, list[Float32]] = {name: [] for name in found}
        for sample in samples:
            interpreter.set_tensor(source["index"], sample[np.newaxis])
            interpreter.invoke()
            for name, index in found.items():
                parts[name].append(interpreter.get_tensor(index).ravel())
        for name, part in parts.items():
            yield name, np.stack(part)

    def _converter(self) -> Any:
        """A converter for a batch of one, which TFLite-Micro takes."""
        call = tf.function(lambda x: self._model(x, training=False))
        concrete = call.get_concrete_function(tf.TensorSpec((1, *self.shape), tf.float32, "input"))
        return tf.lite.TFLiteConverter.from_concrete_functions([concrete], self._model)

    def _converted(self, converter: Any) -> bytes:
        try:
            with silent(), quiet():
                return bytes(converter.convert())
        except Exception as error:  # the converter raises whatever its passes meet
            raise ModelError(
                f"{self._path}: TensorFlow Lite's converter refuses it: "
                f"{one_line(str(error)):.300}",
                hint="build the model of layers that docs/models.md lists",
            ) from error
