#!/usr/bin/env python3
"""Measures how far the integer graph of a model agrees with the float QKeras model.

    python tools/measure_agreement.py --samples 10000

Takes the demonstration network and Fashion-MNIST's test set unless told otherwise. Prints one JSON
object: top-1 agreement, both accuracies, and the error of the logits in steps of the int8 output.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tinyedge import demo
from tinyedge.datasets import fashion_mnist
from tinyedge.evaluation.compare import accuracy
from tinyedge.evaluation.suites import load_suites
from tinyedge.graph import reference
from tinyedge.importers import import_model
from tinyedge.importers.qkeras import logits_function
from tinyedge.samples.reading import read_calibration
from tinyedge.samples.scaling import ModelInput

BATCH = 500


def main() -> None:
    """Measures and prints; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=demo.MODEL)
    parser.add_argument("--calibration", type=Path, help="as 'tinyedge convert' takes it")
    parser.add_argument("--data", type=Path, help=".npz with x and y; default: Fashion-MNIST")
    parser.add_argument("--samples", type=int, default=2000)
    arguments = parser.parse_args()

    if arguments.data:
        suite = load_suites(arguments.data, ModelInput())[0]
        x, y = suite.inputs, suite.labels
    else:
        test = fashion_mnist.load("test")
        x, y = (test.x / 255.0).astype(np.float32), test.y
    x, y = x[: arguments.samples], y[: arguments.samples]
    calibration = arguments.calibration
    if arguments.model == demo.MODEL:
        calibration = calibration or demo.CALIBRATION
    graph = import_model(
        arguments.model, read_calibration(calibration) if calibration else None
    ).graph
    logits, _, _ = logits_function(arguments.model)
    expected = np.concatenate(
        [np.asarray(logits(x[start : start + BATCH])) for start in range(0, len(x), BATCH)]
    )
    found = reference.run(graph, graph.input_tensor.quantization.quantize(x))
    quantization = graph.output_tensor.quantization
    steps = np.abs(quantization.dequantize(found) - expected) / quantization.scale
    print(
        json.dumps(
            {
                "model": arguments.model.name,
                "samples": len(x),
                "top1_agreement": float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
                "accuracy": {
                    "float": accuracy(expected, y),
                    "integer_graph": accuracy(found, y, quantization),
                },
                "logit_error_steps": {
                    "rms": float(np.sqrt((steps**2).mean())),
                    "max": float(steps.max()),
                },
            }
        )
    )


if __name__ == "__main__":
    main()
