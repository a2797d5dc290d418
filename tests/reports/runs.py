"""Runs to make reports of: a small network, its suites, and what ran them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.attacks import AttackSettings
from tinyedge.evaluation.compare import SuiteResult, evaluate_suite
from tinyedge.evaluation.executors import Int8, Progress, Run
from tinyedge.evaluation.suites import Suite, load_suites, save_suites
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import reference
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.models.benchmark import NetworkBuilder
from tinyedge.reports.record import evaluation_record, save_run

PIXELS = Quantization(1 / 255, -128)
CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Shoe",
    "Bag",
    "Boot",
)
DEVICE = {
    "on": "emulator",
    "board": "netduinoplus2",
    "emulator": "qemu",
    "compiler": "gcc 12.2",
    "firmware": "f" * 64,
    "memory": {
        "flash": {"code": 18292, "weights": 7840, "other": 5712, "total": 31844, "size": 1048576},
        "ram": {"arena": 16940, "static": 1132, "stack_peak": 608, "total": 18680, "size": 131072},
    },
    "link": {
        "from_journal": 3,
        "devices": [
            {
                "port": "socket://127.0.0.1:4000",
                "boot_id": 7,
                "computed": 97,
                "failure": None,
                "requests": 100,
                "retransmissions": 2,
                "damaged": 1,
                "reconnections": 0,
                "resets": 0,
                "restarts": 0,
                "changes": 40,
                "bytes_sent": 81234,
            }
        ],
    },
}
"""A record's entries of an emulated board."""


def network(
    folder: Path, shape: tuple[int, ...] = (28, 28, 1), quantization: Quantization = PIXELS
) -> ConvertedModel:
    """A network of one layer and ten classes."""
    builder = NetworkBuilder("small", shape)
    builder._tensors["input"] = Tensor("input", shape, quantization)
    graph = builder.graph(builder.fully_connected("input", len(CLASSES), 8))
    return write_converted(graph, folder, "test")


def clean_suite(model: ConvertedModel, samples: int, seed: int = 0) -> Suite:
    """Samples in the middle of the input's range; nine of ten labels are what the model says."""
    random = np.random.default_rng(seed)
    tensor = model.graph.input_tensor
    inputs = tensor.quantization.dequantize(
        random.integers(-100, 100, (samples, *tensor.shape)).astype(np.int8)
    )
    logits = float_logits(model, inputs)
    labels = np.where(random.random(samples) < 0.9, logits.argmax(axis=1), 3).astype(np.int64)
    return Suite("clean", inputs, labels, logits, classes=CLASSES)


def float_logits(model: ConvertedModel, inputs: np.ndarray) -> np.ndarray:
    """Logits that a float model might have: the integer graph's, a little off."""
    graph = model.graph
    logits = reference.run(graph, graph.input_tensor.quantization.quantize(inputs))
    real = graph.output_tensor.quantization.dequantize(logits)
    return (real + np.random.default_rng(1).normal(0, 0.01, real.shape)).astype(np.float32)


def attacked_suite(
    model: ConvertedModel, clean: Suite, attack: str, epsilon: float = 8 / 255, **settings: Any
) -> Suite:
    """The clean samples, every value changed by epsilon or not at all."""
    seed = round(1000 * epsilon) + len(attack)
    signs = np.random.default_rng(seed).integers(-1, 2, clean.inputs.shape)
    inputs = (clean.inputs + epsilon * signs).astype(np.float32)
    described = AttackSettings(epsilon=epsilon).describe(attack, clean.inputs[0].size)
    logits = float_logits(model, inputs)
    settings = described | settings
    return replace(clean, name=attack, inputs=inputs, float_logits=logits, settings=settings)


MASKING = {
    "believable": True,
    "findings": [],
    "samples": 100,
    "zero_gradients": 0.0,
    "pgd_sweep": [{"epsilon": 0.03, "accuracy": 0.4}, {"epsilon": 0.5, "accuracy": 0.0}],
}


def from_file(
    path: Path, suites: list[Suite], masking: dict[str, Any] | None = None
) -> list[Suite]:
    """Suites as they are once they were written and read."""
    save_suites(path, suites, {"file": "small.h5", "sha256": "0" * 64}, masking)
    return load_suites(path)


@dataclass
class Counting:
    """An executor that gives the reference's logits and counts instructions.

    Attributes:
        model: that runs.
        wrong: how many samples get a logit that differs.
    """

    model: ConvertedModel
    wrong: int = 0

    def __call__(self, samples: Int8, progress: Progress | None = None) -> Run:
        logits = reference.run(self.model.graph, samples, progress).copy()
        logits[: self.wrong, 0] ^= 1
        counts = np.random.default_rng(2).normal(2e6, 500, len(samples))
        return Run(logits, instructions=counts.astype(np.int64))


def results_of(model: ConvertedModel, suites: Sequence[Suite], wrong: int = 0) -> list[SuiteResult]:
    """The outcome of suites."""
    return [evaluate_suite(model, suite, Counting(model, wrong)) for suite in suites]


def write_run(
    path: Path,
    model: ConvertedModel,
    suites: Sequence[Suite],
    wrong: int = 0,
    change: Callable[[dict[str, Any]], object] = lambda _record: None,
) -> Path:
    """The file of a run's record; ``change`` may do something to it before."""
    record = evaluation_record(model, results_of(model, suites, wrong), DEVICE)
    save_run(path, record, ["tinyedge", "run", "m", "--on", "emulator"])
    written = json.loads(path.read_text())
    change(written)
    path.write_text(json.dumps(written) + "\n")
    return path


def six_suites(folder: Path, model: ConvertedModel, samples: int) -> list[Suite]:
    """Clean samples, PGD at three epsilons, an L2 attack, and noise."""
    clean = clean_suite(model, samples)
    attacked = [
        replace(attacked_suite(model, clean, "pgd", steps / 255), name=f"pgd{steps}")
        for steps in (2, 4, 8)
    ]
    attacked += [attacked_suite(model, clean, name) for name in ("cw", "noise")]
    return from_file(folder / "suites.npz", [clean, *attacked], MASKING)
