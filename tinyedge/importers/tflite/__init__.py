"""From an int8 ``.tflite`` file to the integer graph.

``reader`` reads the file, ``operators`` turns each of its operators into the graph's. Every integer
stays what it is in the file, so that the graph gives the bytes of TFLite-Micro.
"""

from __future__ import annotations

from pathlib import Path

from tinyedge.errors import ModelError
from tinyedge.importers.result import ImportResult

SUFFIX = ".tflite"


def import_tflite(path: Path, *, keep_constant_channels: bool = False) -> ImportResult:
    """Imports a fully int8 ``.tflite`` file with one input, one output and a batch of one.

    A QUANTIZE of the input and a DEQUANTIZE of the output are left out: the graph begins and ends
    with int8. A file that ``tinyedge`` exported gives the graph that it was made from.

    Args:
        path: the file.
        keep_constant_channels: whether channels stay that never change; otherwise they are taken
            out, which changes no result (``tinyedge.graph.pruning``).

    Raises:
        ModelError: the file is missing or damaged, or holds an operator, a type or a shape that is
            not supported; says which.
    """
    from tinyedge.importers.tflite.operators import build_graph
    from tinyedge.importers.tflite.reader import read_tflite, reading

    try:
        with reading("the file"):
            return build_graph(read_tflite(path), path, keep=keep_constant_channels)
    except ModelError as error:
        raise ModelError(f"{path}: {error}", error.hint) from error
