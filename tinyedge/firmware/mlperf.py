"""MLPerf Tiny's command set, which a firmware can speak in place of our link."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from tinyedge.errors import ModelError, UsageError
from tinyedge.graph.graph import Graph
from tinyedge.graph.operators import Logistic, Reshape, Softmax
from tinyedge.graph.tensors import Quantization
from tinyedge.templates import data_folder, render_template

MlperfInput = Literal["int8", "uint8"]
MLPERF_INPUTS: tuple[MlperfInput, ...] = ("int8", "uint8")

_BENCHMARKS: dict[tuple[tuple[int, ...], int], str] = {
    ((49, 10, 1), 12): "kws01",
    ((32, 32, 3), 10): "ic01",
    ((96, 96, 3), 2): "vww01",
}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")


@dataclass(frozen=True)
class Mlperf:
    """What a firmware tells MLPerf Tiny's runner, and takes from it.

    Attributes:
        model: the name by which the runner finds script and data set, as ``ic01``.
        input: what the bytes of the data set are: the model's ``int8`` input, or ``uint8`` pixels,
            128 above it.
    """

    model: str
    input: MlperfInput

    @classmethod
    def of(
        cls, graph: Graph, model: str | None = None, input_type: MlperfInput | None = None
    ) -> Mlperf:
        """What suits a graph.

        Args:
            graph: the model.
            model: by default the benchmark whose shapes the graph has, else the graph's name.
            input_type: by default ``uint8`` where there are three channels, as images have, else
                ``int8``.

        Raises:
            UsageError: ``model`` is no name of letters, digits, ``_``, ``.`` and ``-``.
        """
        shape = graph.input_tensor.shape
        if model is None:
            own = re.sub(r"[^A-Za-z0-9_.-]+", "-", graph.name)[:32] or "model"
            model = _BENCHMARKS.get((shape, graph.output_tensor.size), own)
        if not _NAME.fullmatch(model):
            raise UsageError(f"{model!r} is no model's name: up to 32 letters, digits, _, . and -")
        return cls(model, input_type or ("uint8" if len(shape) == 3 and shape[-1] == 3 else "int8"))

    def serve(self, harness: dict[str, str], graph: Graph) -> dict[str, str]:
        """A harness with the server of this command set in place of the link's.

        Args:
            harness: sources by name.
            graph: the model that it serves.

        Raises:
            ModelError: the output's values are too large to be printed.
        """
        server = data_folder("firmware_templates") / "mlperf" / "te_mlperf.c"
        softmax = graph.output_tensor.size > 1 and not _ends_in_probabilities(graph)
        grid = graph.output_tensor.quantization
        context = {
            "model": self.model,
            "input": self.input,
            "softmax": softmax,
            "scores": _softmax_weights(grid) if softmax else _thousandths(grid),
        }
        kept = {name: text for name, text in harness.items() if name != "te_server.c"}
        return kept | {
            server.name: server.read_text(encoding="utf-8"),
            "mlperf.h": render_template("mlperf/mlperf.h.j2", context),
        }


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
    """What the codes -128 to 127 stand for, rounded as ``printf("%.3f")`` does."""
    values = [grid.scale * (code - grid.zero_point) for code in range(-128, 128)]
    rounded = [int(f"{value:.3f}".replace(".", "")) for value in values]
    if max(map(abs, rounded)) >= 2**31:
        raise ModelError(f"outputs up to {max(map(abs, values)):g} are too large to be printed")
    return rounded
