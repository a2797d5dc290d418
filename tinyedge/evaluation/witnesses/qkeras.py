"""The QKeras model that the graph came from, in floating point."""

from __future__ import annotations

from typing import Any, ClassVar

from tinyedge.evaluation.witnesses.witness import (
    Int8,
    Progress,
    Seen,
    Standard,
    Subject,
    Witness,
)
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.load import load_keras_model, logits_model

_BATCH = 64


class QKerasWitness(Witness):
    """QKeras, given the same inputs that int8 can hold."""

    standard: ClassVar[Standard] = "steps"

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._model = logits_model(load_keras_model(subject.keras_file("qkeras")))
        called_once = {layer.name for layer in self._model.layers if _calls(layer) == 1}
        self._layers = {
            name: origin.value_of
            for name, origin in subject.origins.items()
            if origin.value_of in called_once
        }

    def shows(self) -> list[str]:
        return [name for name in super().shows() if name in {*self._layers, self.graph.output}]

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        model = tf_keras.Model(self._model.inputs, [self._value(name) for name in names])
        tensors = [self.graph.tensors[name] for name in names]
        parts: list[list[Seen]] = [[] for _ in names]
        for start in range(0, len(samples), _BATCH):
            batch = samples[start : start + _BATCH]
            reals = model(self.graph.input_tensor.quantization.dequantize(batch), training=False)
            for part, real, tensor in zip(parts, _listed(reals), tensors, strict=True):
                part.append(Seen.of_reals(real.numpy(), tensor))
            if progress:
                progress(len(batch))
        return [Seen.joined(part) for part in parts]

    def _value(self, name: str) -> Any:
        if name == self.graph.output:
            return self._model.outputs[0]
        return self._model.get_layer(self._layers[name]).output


def _calls(layer: Any) -> int:
    return len(layer.inbound_nodes)


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]
