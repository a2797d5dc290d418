"""From a trained HGQ2 model to the integer graph.

``fixed`` has HGQ2's fixed-point quantizers, ``layers`` turns its layers into float nodes with
integer weights. Fusion, ranges and lowering are those of the other importers. The file is read as
it is: neither HGQ2 nor Keras is needed, but h5py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tinyedge.errors import ModelError
from tinyedge.importers.result import ImportResult, file_hash
from tinyedge.keras.contents import KerasContents, read_contents


def import_hgq2(
    path: Path,
    calibration: NDArray[Any] | None = None,
    input_range: tuple[float, float] | None = None,
    contents: KerasContents | None = None,
) -> ImportResult:
    """Imports a model of HGQ2.

    A final softmax is left out: the graph's output is the logits.

    Args:
        path: ``.keras``.
        calibration: real inputs (n, *input shape), float32 or uint8 pixels, for the grids of values
            that the model does not quantize.
        input_range: smallest and largest input value, where the model does not quantize its input;
            by default that of ``calibration``, else (0, 1).
        contents: of the file, where they have been read and checked.

    Raises:
        ModelError: the file is missing or damaged, or holds a layer, or a quantizer whose values
            are not on one int8 grid.
    """
    from tinyedge.importers.fusion import fuse, hoist_scalings, refine_averages, settle_means
    from tinyedge.importers.hgq2.layers import trace
    from tinyedge.importers.lowering import lower
    from tinyedge.importers.ranges import assign_grids

    contents = contents or read_contents(path)
    try:
        traced, notes = trace(path, contents)
        nodes = settle_means(refine_averages(fuse(hoist_scalings(traced))))
        notes += assign_grids(nodes, calibration, input_range)
        source = {"file": path.name, "sha256": file_hash(path), "producer": "HGQ2"}
        graph, origins = lower(nodes, path.stem, source, notes)
    except ModelError as error:
        raise ModelError(f"{path}: {error}", error.hint) from error
    return ImportResult(graph, tuple(notes), origins)
