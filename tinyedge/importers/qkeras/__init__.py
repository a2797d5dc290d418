"""From a trained QKeras model to the integer graph.

``load`` reads the file, ``layers`` turns each Keras layer into float nodes with integer weights,
``fusion`` folds normalization and activations into them, ``ranges`` gives every node without a
quantizer of its own an int8 grid, and ``lowering`` makes the integer graph.

Importing this package does not import TensorFlow; calling it does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers.result import Agreement, ImportResult, file_hash

SUFFIXES = (".h5", ".hdf5", ".keras")
_COMPARED_SAMPLES = 256


def import_qkeras(
    path: Path,
    calibration: NDArray[Any] | None = None,
    input_range: tuple[float, float] | None = None,
) -> ImportResult:
    """Imports a QKeras model file.

    A final softmax is left out: the graph's output is the logits.

    Args:
        path: ``.h5``, ``.keras`` or a SavedModel folder.
        calibration: real inputs (n, *input shape), float32 or uint8 pixels, which are taken as the
            model itself takes pixels, for the int8 grids of activations that have no
            quantizer of their own. Without it they are estimated from batch normalization's
            statistics and from synthetic inputs.
        input_range: smallest and largest input value; by default that of ``calibration``, else
            what 0 and 255 of a pixel become: (0, 255) where the model scales pixels itself, else
            (0, 1). An input that a quantizer follows takes that quantizer's grid instead.

    Raises:
        ModelError: the file is missing or damaged, or holds a layer, an activation or a quantizer
            that is not supported.
    """
    from tinyedge.importers.fusion import fuse, refine_averages
    from tinyedge.importers.lowering import lower
    from tinyedge.importers.qkeras.layers import trace
    from tinyedge.importers.qkeras.ranges import assign_grids, expected_pixels
    from tinyedge.keras.load import load_keras_model

    model = load_keras_model(path)
    traced = trace(model)
    pixels = expected_pixels(traced)
    nodes = refine_averages(fuse(traced))
    notes = assign_grids(nodes, calibration, input_range, pixels)
    source = {"file": path.name, "sha256": file_hash(path), "producer": "QKeras"}
    graph, origins = lower(nodes, path.stem, source, notes)
    agreement = None if calibration is None else _agreement(model, graph, calibration)
    return ImportResult(graph, tuple(notes), origins, agreement)


def _agreement(model: Any, graph: Graph, samples: NDArray[Any]) -> Agreement:
    """Compares graph and model on up to 256 of the calibration data, float32 or uint8 pixels."""
    from tinyedge.keras.load import logits_model
    from tinyedge.samples.scaling import pixel_range, scaled_pixels

    taken = graph.input_tensor.quantization
    samples = samples[:_COMPARED_SAMPLES].reshape(-1, *graph.input_tensor.shape)
    if samples.dtype == np.uint8:
        samples = scaled_pixels(samples, *pixel_range(taken))
    expected = np.asarray(logits_model(model)(samples, training=False)).reshape(len(samples), -1)
    found = reference.run(graph, taken.quantize(samples))
    quantization = graph.output_tensor.quantization
    reals = quantization.dequantize(found).reshape(expected.shape)
    return Agreement.of(reals, expected, quantization.scale)


def logits_function(path: Path) -> tuple[Callable[[Any], Any], tuple[int, ...], int]:
    """The float model up to its logits.

    Args:
        path: as ``import_qkeras`` takes.

    Returns:
        A function from a float32 tensor (n, *input shape) to logits (n, classes), differentiable
        and without the final softmax; the input shape; the number of classes.

    Raises:
        ModelError: as ``import_qkeras``.
    """
    from tinyedge.keras.load import load_keras_model, logits_model

    model = logits_model(load_keras_model(path))
    return (
        lambda x: model(x, training=False),
        tuple(model.input_shape[1:]),
        int(np.prod(model.output_shape[1:])),
    )
