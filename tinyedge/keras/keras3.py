"""Models of Keras 3 in the words of Keras 2, without importing either.

The layers are the same but for some names and settings. QKeras 0.9 and Keras 2 compute what a file
of Keras 3, of ``qkeras-v3`` too, describes; what they would compute otherwise is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tinyedge.errors import ModelError
from tinyedge.keras.calls import first_call

_MODULES = ("builtins", "hgq", "keras", "qkeras")
HGQ2 = "hgq>"
"""How the names of HGQ2's layers begin: others have the same ones without it."""
_MODELS = ("Functional", "Model", "Sequential")
_DROPPED = re.compile(r".*_(initializer|regularizer|constraint|range)|renorm_momentum|optional")
"""Settings for training alone, or that say nothing."""
_NEUTRAL: Mapping[str, Any] = {
    "lora_rank": None,
    "mask": None,
    "post_training_scale": None,
    "quantization_config": None,
    "renorm": False,
    "renorm_clipping": None,
    "synchronized": False,
}
"""Settings that Keras 2 or QKeras 0.9 lacks, and the value at which they say nothing."""
_RENAMED: Mapping[tuple[str, str], str] = {
    ("InputLayer", "batch_shape"): "batch_input_shape",
    ("LeakyReLU", "negative_slope"): "alpha",
}
_FUNCTIONS: Mapping[str, str] = {
    "hard_sigmoid": "hard_sigmoid_of_keras_3",  # that of Keras 2 is another function
    "hard_swish": "hard_silu",
    "silu": "swish",
}
_OPERATIONS: Mapping[str, tuple[str, int]] = {
    "Add": ("Add", 2),
    "Maximum": ("Maximum", 2),
    "Minimum": ("Minimum", 2),
    "Multiply": ("Multiply", 2),
    "Relu": ("ReLU", 1),
    "Relu6": ("ReLU", 1),
    "Subtract": ("Subtract", 2),
}
"""The replacements of functions of ``keras.ops``, and how many values they take."""
_ONLY_OPERATIONS = ("Relu", "Relu6")
"""Those that no layer is called as: a ``.h5`` file does not tell modules."""
_ONLY_IN_TRAINING = re.compile(
    r"Random(Brightness|Contrast|Flip|Hue|Rotation|Saturation|Shear|Translation|Zoom)"
    r"|AutoContrast|GaussianNoise|GaussianDropout|AlphaDropout"
)
_FLOATS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Policies whose weights are of float32."""

Config = dict[str, Any]


def translated(config: Config, file: str) -> Config:
    """The configuration of a Keras 3 model, as Keras 2 takes it.

    Args:
        config: of a functional or sequential model, as JSON gives it; not yet checked, and neither
            is the result: ``check_names`` does that.
        file: for messages.

    Raises:
        ModelError: a layer is called or set in a way that Keras 2 does not know, comes from
            another package, or is quantized by Keras itself.
    """
    return _Translator(file).model(config)


def holds_hgq2(config: Config) -> bool:
    """Whether a translated model has a layer of HGQ2, outside models that it holds."""
    return any(str(layer["class_name"]).startswith(HGQ2) for layer in config["config"]["layers"])


class _Translator:
    def __init__(self, file: str) -> None:
        self._file = file

    def _error(self, layer: Any, reason: str, hint: str = "") -> ModelError:
        where = f"layer {str(layer)[:80]!r}: " if layer else ""
        return ModelError(
            f"{self._file}: {where}{reason[:300]}",
            hint=hint or "docs/models.md lists what is read of Keras 3",
        )

    def model(self, config: Config) -> Config:
        kind, inner = config.get("class_name"), config.get("config")
        if kind not in _MODELS or not isinstance(inner, dict):
            raise self._error("", f"a model of class {str(kind)[:80]!r}", "save a functional one")
        self._check_module(config, inner.get("name"))
        result = {"name": inner.get("name"), "trainable": inner.get("trainable", True)}
        result["layers"] = [self._entry(layer) for layer in inner.get("layers", [])]
        if kind == "Sequential":
            return {"class_name": kind, "config": result}
        for ends in ("input_layers", "output_layers"):
            result[ends] = self._ends(inner.get(ends))
        _renumber([*result["layers"], {"config": {}, "inbound_nodes": [result["output_layers"]]}])
        return {"class_name": "Functional", "config": result}

    def _ends(self, value: Any) -> list[list[Any]]:
        """The inputs or outputs of a model: a single one comes without a list around it."""
        found = [value] if value and isinstance(value[0], str) else value
        for end in found:
            if not (isinstance(end, list) and len(end) == 3 and isinstance(end[0], str)):
                raise self._error("", "inputs or outputs in a structure of their own")
        return [list(end) for end in found]

    def _check_module(self, entry: Config, name: Any) -> None:
        module = entry.get("module")
        if module is not None and str(module).split(".", 1)[0] not in _MODULES:
            kind = f"unsupported layer or function {entry.get('class_name')!r} of module {module!r}"
            raise self._error(name, kind)

    def _entry(self, entry: Config) -> Config:
        """A layer, or a model inside a model."""
        kind, inner = _kind(entry), entry.get("config")
        if not isinstance(inner, dict):
            raise self._error(entry.get("name"), f"a layer {kind!r} without settings")
        name = inner.get("name") or entry.get("name")
        self._check_module(entry, name)
        random = _ONLY_IN_TRAINING.fullmatch(kind) is not None
        calls = [self._call(name, node, idle=random) for node in entry.get("inbound_nodes", [])]
        if kind in _MODELS:
            translated_entry = self.model(entry)
        elif str(entry.get("module")).startswith("keras.src.ops") or kind in _ONLY_OPERATIONS:
            translated_entry = self._operation(name, kind, calls)
        elif random:
            settings = {"name": name, "activation": "linear"}
            translated_entry = {"class_name": "Activation", "config": settings}
        else:
            translated_entry = {"class_name": kind, "config": self._settings(name, kind, inner)}
        if "inbound_nodes" in entry:
            translated_entry |= {"name": name, "inbound_nodes": calls}
        return translated_entry

    def _call(self, name: Any, node: Config, *, idle: bool) -> list[list[Any]]:
        """The values that a call takes: layer, call of it, which of its results.

        Keras calls augmentation with ``training=True`` by default, and passes it by at inference.
        """
        for key, value in node.get("kwargs", {}).items():
            if value not in (None, False) and not (idle and key == "training"):
                raise self._error(name, f"is called with {key}={str(value)[:40]}")
        values = list(self._values(node.get("args", [])))
        found = []
        for value in values:
            history = value.get("config", {}).get("keras_history") if _is_tensor(value) else None
            if not isinstance(history, list) or len(history) != 3:
                raise self._error(name, f"is called with {str(value)[:40]}, which is no layer's")
            found.append([*history, {}])
        return found

    def _values(self, arguments: Any) -> Iterator[Any]:
        if isinstance(arguments, list):
            for each in arguments:
                yield from self._values(each)
        else:
            yield arguments

    def _operation(self, name: Any, kind: str, calls: list[list[Any]]) -> Config:
        """A function of ``keras.ops`` that was called on a layer's value."""
        layer, count = _OPERATIONS.get(kind, ("", 0))
        if not layer or any(len(call) != count for call in calls):
            allowed = ", ".join(sorted(_OPERATIONS))
            raise self._error(name, f"unsupported keras.ops function {kind!r}; allowed: {allowed}")
        limit = {"max_value": 6.0} if kind == "Relu6" else {}
        return {"class_name": layer, "config": {"name": name, **limit}}

    def _settings(self, name: Any, kind: str, given: Config) -> Config:
        settings = {}
        for key, value in given.items():
            if key == "dtype":
                settings[key] = self._policy(name, value)
            elif key in _NEUTRAL:
                if value != _NEUTRAL[key]:
                    raise self._error(name, f"{kind} with {key} {str(value)[:60]}")
            elif not _DROPPED.fullmatch(key):
                settings[_RENAMED.get((kind, key), key)] = self._value(name, kind, key, value)
        return settings

    def _policy(self, name: Any, value: Any) -> str:
        """The data type of a layer's values."""
        inner = value.get("config", {}) if isinstance(value, dict) else {"name": value}
        if isinstance(value, dict) and value.get("class_name") != "DTypePolicy":
            mode = inner.get("mode", value.get("class_name"))
            raise self._error(
                name,
                f"its weights are quantized by Keras itself ({str(mode)[:40]!r}), which leaves "
                "activations without a scale",
                "save the model before model.quantize(), and take 'tinyedge quantize'",
            )
        if inner.get("name") not in _FLOATS:
            raise self._error(name, f"computes in {str(inner.get('name'))[:40]}")
        return "float32"

    def _value(self, name: Any, layer: str, key: str, value: Any) -> Any:
        """A setting: functions by their name, quantizers with what QKeras 0.9 knows."""
        if isinstance(value, str) and key.endswith("activation"):
            return _FUNCTIONS.get(value, value)
        if not isinstance(value, dict) or "class_name" not in value:
            return value
        self._check_module(value, name)
        kind, inner = _kind(value), value.get("config")
        if kind == "function":
            return _FUNCTIONS.get(str(inner), str(inner))
        if kind == "__tuple__" or not isinstance(inner, dict):
            raise self._error(name, f"unsupported {key} {kind!r}")
        settings = self._settings(name, kind, inner)
        if layer == "QActivation":  # which builds no object of settings
            return _call_text(kind, settings)
        return {"class_name": kind, "config": settings}


def _kind(entry: Config) -> str:
    """The name of a class; in a ``.h5`` file its package stands before it."""
    kind = str(entry.get("class_name")).removeprefix("qkeras>")
    of_hgq2 = str(entry.get("module")).split(".", 1)[0] == "hgq"
    return kind if kind.startswith(HGQ2) or not of_hgq2 else HGQ2 + kind


def _call_text(kind: str, settings: Config) -> str:
    """A quantizer as the call that makes it; QKeras' arguments that are None are so by default."""
    given = [f"{key}={value!r}" for key, value in settings.items() if value is not None]
    return f"{kind}({','.join(given)})"


def _renumber(entries: list[Config]) -> None:
    """Counts the calls of models inside a model as Keras 2 does."""
    first = {entry["config"].get("name"): first_call(entry) for entry in entries}
    for entry in entries:
        for call in entry.get("inbound_nodes", []):
            for value in call:
                value[1] += first.get(value[0], 0)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"
