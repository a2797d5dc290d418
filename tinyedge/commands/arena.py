"""How much RAM the activations of a model take, here and in TFLite-Micro."""

from __future__ import annotations

import dataclasses
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

from tinyedge.commands.notes import noted
from tinyedge.exporters.c import export_c
from tinyedge.exporters.tflite import export_tflite
from tinyedge.importers import import_model, is_tflite_model
from tinyedge.progress import NOBODY, Listener
from tinyedge.tflm.arena import measure_arena


@noted()
def arena(model: str | PathLike[str], *, listener: Listener = NOBODY) -> dict[str, Any]:
    """Compares the arena's plan with TFLite-Micro's, which is found by trial on this machine.

    Args:
        model: the path of anything that ``tinyedge convert`` takes or writes.
        listener: told how far it is.

    Returns:
        Bytes: ``tinyedge`` with ``bytes``, ``lower_bound`` and ``states``, which lie apart;
        ``tflite_micro`` with ``smallest``,
        ``head``, ``tail`` and ``parts``.

    Raises:
        ModelError: the model cannot be read.
        MissingDependencyError: TFLite-Micro is not installed.
    """
    path = Path(model)
    with listener.step(f"reading {path.name}"):
        graph = import_model(path).graph
    plan = export_c(graph).plan
    with tempfile.TemporaryDirectory() as folder, listener.step("trying TFLite-Micro's arena"):
        file = path
        if not is_tflite_model(path):
            file = Path(folder) / "model.tflite"
            file.write_bytes(export_tflite(graph))
        usage = measure_arena(file)
    return {
        "tinyedge": {
            "bytes": plan.size,
            "lower_bound": plan.lower_bound,
            "states": plan.state_size,
        },
        "tflite_micro": dataclasses.asdict(usage),
    }
