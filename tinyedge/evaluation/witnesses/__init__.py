"""Witnesses: other implementations of a model, which the integer graph is compared with.

``witness`` says what one is, ``compare`` runs one beside the numpy reference; each other file is
one: the C code on this machine, TensorFlow Lite's interpreters, the QKeras model itself, hls4ml,
ONNX Runtime, qonnx.
"""

from __future__ import annotations

from pathlib import Path

from tinyedge.evaluation.witnesses.compare import (
    Comparison,
    TensorComparison,
    compare,
    random_inputs,
)
from tinyedge.evaluation.witnesses.witness import Subject, Witness
from tinyedge.names import WitnessName

__all__ = [
    "Comparison",
    "Subject",
    "TensorComparison",
    "Witness",
    "compare",
    "open_witness",
    "random_inputs",
]


def open_witness(name: WitnessName, subject: Subject, folder: Path) -> Witness:
    """Makes a witness ready to run.

    Args:
        name: one of ``WITNESSES``.
        subject: what it is to compute.
        folder: an empty one, for what has to be compiled.

    Raises:
        MissingDependencyError, ToolchainError: what it takes is not installed.
        ModelError: the witness refuses the model.
    """
    match name:
        case "twin":
            from tinyedge.evaluation.witnesses.twin import TwinWitness

            return TwinWitness(subject, folder)
        case "qkeras":
            from tinyedge.evaluation.witnesses.qkeras import QKerasWitness

            return QKerasWitness(subject)
        case "hls4ml":
            from tinyedge.evaluation.witnesses.hls4ml import Hls4mlWitness

            return Hls4mlWitness(subject, folder)
        case "onnxruntime":
            from tinyedge.evaluation.witnesses.onnxruntime import OnnxRuntimeWitness

            return OnnxRuntimeWitness(subject)
        case "qonnx":
            from tinyedge.evaluation.witnesses.onnxruntime import QonnxWitness

            return QonnxWitness(subject)
        case "tflite-micro":
            from tinyedge.evaluation.witnesses.tflite import MicroWitness

            return MicroWitness(subject)
        case "litert-reference" | "litert-optimized":
            from tinyedge.evaluation.witnesses.tflite import LiteRTWitness

            return LiteRTWitness(subject, name)
