"""MLPerf Tiny's command set, which a firmware can speak in place of our link."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tinyedge.errors import ModelError, UsageError
from tinyedge.firmware.link_memory import LinkMemory
from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import Logistic, Reshape, Softmax
from tinyedge.graph.tensors import Quantization
from tinyedge.names import MlperfInput
from tinyedge.templates import data_folder, render_template

_BENCHMARKS: dict[tuple[tuple[int, ...], int], tuple[str, MlperfInput]] = {
    ((49, 10, 1), 12): ("kws01", "int8"),
    ((32, 32, 3), 10): ("ic01", "uint8"),
    ((96, 96, 3), 2): ("vww01", "uint8"),
    ((640,), 640): ("ad01", "float32"),
    ((30, 1, 40), 3): ("sww01", "int8"),
}
_LARGER = {"ic01": ("ic02", 30_000_000)}
"""Benchmarks of the same shapes, from so many multiply-accumulates on: ResNet8 has 12.5 million of
them, the larger ResNet 72 to 79 million, as constant channels are in it or out."""
_LINK = LinkMemory(ring=256)
"""Whole commands have room: an emulator brings their bytes at once, whatever the baud rate."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")


@dataclass(frozen=True)
class Mlperf:
    """A firmware's answers to MLPerf Tiny's runner, and its inputs.

    Attributes:
        model: the name by which the runner finds script and data set, as ``ic01``.
        input: what the data set holds: the model's ``int8`` input, ``uint8`` pixels, 128 above it,
            or little-endian ``float32`` values, which the firmware quantizes.
    """

    model: str
    input: MlperfInput

    @classmethod
    def of(
        cls, graph: Graph, model: str | None = None, input_type: MlperfInput | None = None
    ) -> Mlperf:
        """Gives the settings that suit a graph.

        Args:
            graph: the model.
            model: by default the benchmark whose shapes the graph has, else the graph's name.
            input_type: by default that benchmark's, else ``uint8`` where there are three channels,
                as images have, else ``int8``.

        Raises:
            UsageError: the model has several inputs, or ``model`` is no name of letters, digits,
                ``_``, ``.`` and ``-``.
        """
        if len(graph.inputs) > 1:
            raise UsageError(
                f"MLPerf Tiny's runner sends one input; this model has {len(graph.inputs)}"
            )
        shape = graph.input_tensor.shape
        own = re.sub(r"[^A-Za-z0-9_.-]+", "-", graph.name)[:32] or "model"
        image = len(shape) == 3 and shape[-1] == 3
        known = _BENCHMARKS.get((shape, graph.output_tensor.size))
        default_model, default_input = known or (own, "uint8" if image else "int8")
        larger, least = _LARGER.get(default_model, (default_model, 0))
        if sum(map(graph.macs_of, graph.operators)) >= least:
            default_model = larger
        chosen = default_model if model is None else model
        if not _NAME.fullmatch(chosen):
            raise UsageError(f"{chosen!r} is no model's name: up to 32 letters, digits, _, . and -")
        return cls(chosen, input_type or default_input)

    @property
    def link(self) -> LinkMemory:
        """Its share of a board's RAM."""
        return _LINK

    def serve(self, harness: dict[str, str], graph: Graph) -> dict[str, str]:
        """A harness with the server of this command set in place of the link's.

        Args:
            harness: sources by name.
            graph: the model that it serves.

        Raises:
            ModelError: the output's values are too large to be printed.
        """
        server = data_folder("firmware_templates") / "mlperf" / "te_mlperf.c"
        result = self._result(graph)
        grid = graph.output_tensor.quantization
        context = {
            "model": self.model,
            "input": self.input,
            "result": result,
            "scores": _softmax_weights(grid) if result == "softmax" else _thousandths(grid),
        }
        ours = ("te_server.c", "te_server_fault.c")
        kept = {name: text for name, text in harness.items() if name not in ours}
        return kept | {
            server.name: server.read_text(encoding="utf-8"),
            "mlperf.h": render_template("mlperf/mlperf.h.j2", context),
        }

    def _result(self, graph: Graph) -> str:
        """The kind of result: ``values``, ``softmax`` or, of an autoencoder, ``error``.

        The runner divides scores by their sum, which would turn logits upside down where that is
        negative.
        """
        size = graph.output_tensor.size
        if self.input == "float32" and size == graph.input_tensor.size:
            return "error"
        return "values" if size == 1 or _ends_in_probabilities(graph) else "softmax"


def _ends_in_probabilities(graph: Graph) -> bool:
    """Whether the output is that of a softmax or logistic function, whatever its shape."""
    name = graph.output
    for operator in reversed(graph.operators):
        if operator.output == name:
            if not isinstance(operator, Reshape):
                return isinstance(operator, (Softmax, Logistic))
            (name,) = operator.inputs
    return False


def _softmax_weights(grid: Quantization) -> list[int]:
    """exp(-scale * d) for d = 0 to 255, in 1/65536."""
    return [round(65536 * math.exp(-grid.scale * steps)) for steps in range(256)]


def _thousandths(grid: Quantization) -> list[int]:
    """The values of the codes -128 to 127, rounded as ``printf("%.3f")`` does."""
    values = [grid.scale * (code - grid.zero_point) for code in range(-128, 128)]
    rounded = [int(f"{value:.3f}".replace(".", "")) for value in values]
    if max(map(abs, rounded)) >= 2**31:
        raise ModelError(f"outputs up to {max(map(abs, values)):g} are too large to be printed")
    return rounded
