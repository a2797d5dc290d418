"""Making the record of a run; ``run_record`` says what it holds."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinyedge
from tinyedge.attacks.run_judgement import judge_run
from tinyedge.errors import ThresholdError
from tinyedge.evaluation.compare import PLACES, SuiteResult, accuracy
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.metrics import LogitError, confusion_matrix, verdicts
from tinyedge.evaluation.perturbation import Perturbation, successes, withstood
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.files import write_atomically
from tinyedge.graph.operators import Softmax
from tinyedge.reports.parts import VERSION, encode_array

_PICTURES = 4
"""Samples of each adversarial suite that are kept to be shown."""
_FILE_ONLY = ("arrays", "pictures")
"""Keys of the record that a file holds and ``--json`` does not print."""


def model_record(model: ConvertedModel) -> dict[str, Any]:
    """What a report says of the model."""
    manifest = model.manifest
    keys = ("name", "hash", "parameters", "macs", "weight_bytes", "source", "notes")
    return {key: manifest[key] for key in (*keys, "input", "output")}


def evaluation_record(
    model: ConvertedModel, results: list[SuiteResult], place: dict[str, Any]
) -> dict[str, Any]:
    """The record of a run.

    Args:
        model: what was run.
        results: of its suites.
        place: where it ran: ``board``, ``emulator``, ``compiler``, ``memory`` as far as they apply.
    """
    cleans = [_clean_of(result, results) for result in results]
    pairs = list(zip(results, cleans, strict=True))
    return {
        **place,
        "model": model_record(model),
        "suites": [_suite_record(model, result, clean) for result, clean in pairs],
        "judgement": judge_run(pairs, model.graph.hash),
        "versions": {
            "tinyedge": tinyedge.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "platform": platform.platform(),
        },
        "arrays": [_suite_arrays(result, clean) for result, clean in pairs],
        "pictures": [
            picture for result, clean in pairs if clean for picture in _pictures(result, clean)
        ],
    }


def printed(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the arrays, as ``--json`` prints it."""
    return {key: value for key, value in record.items() if key not in _FILE_ONLY}


def save_run(path: Path, record: dict[str, Any], command: list[str]) -> None:
    """Writes a record to a file that reports can be made from.

    Args:
        path: the ``.json`` file.
        record: see ``evaluation_record``.
        command: the command line, to repeat the run.
    """
    write_atomically(path, json.dumps({"version": VERSION, "command": command, **record}) + "\n")


def _clean_of(result: SuiteResult, results: list[SuiteResult]) -> SuiteResult | None:
    """The result on the samples that an adversarial suite was made of, if it is there.

    It is the first of the same file that is no attack's and begins with the same labels.
    """
    if "attack" not in result.suite.settings:
        return None
    labels = result.suite.labels
    return next(
        (
            other
            for other in results
            if "attack" not in other.suite.settings
            and other.suite.file == result.suite.file
            and np.array_equal(other.suite.labels[: len(labels)], labels)
        ),
        None,
    )


def _suite_record(
    model: ConvertedModel, result: SuiteResult, clean: SuiteResult | None
) -> dict[str, Any]:
    suite, count, differs = result.suite, result.samples, result.differs
    logits = result.logits
    accuracies = {place: result.accuracy(place) for place in PLACES}
    found = {
        place: None if given is None else verdicts(given, result.output)
        for place, given in logits.items()
    }
    assert found["device"] is not None
    classes = max(result.run.logits[0].size, 2)
    run = result.run
    return {
        "name": suite.name,
        "samples": count,
        "accuracy": accuracies,
        "mismatched_samples": int(differs.any(axis=1).sum()),
        "mismatched_logits": int(differs.sum()),
        "instructions": _spread(run.instructions),
        "seconds": _spread(run.seconds),
        "settings": suite.settings,
        "intervals": {
            place: None if share is None else wilson_interval(share, count)
            for place, share in accuracies.items()
        },
        "agreement": {
            "host_device": _agreement(found["host"], found["device"]),
            "float_device": _agreement(found["float"], found["device"]),
        },
        "logit_error": _logit_errors(model, result),
        "confusion": {
            place: None
            if (given := found[place]) is None
            else confusion_matrix(given, suite.labels, classes).tolist()
            for place in ("float", "device")
        },
        "change": _change(result, clean) if clean else None,
        "within_epsilon": _within_epsilon(result, clean) if clean else None,
        "classes": list(suite.classes),
        "file": suite.file and {"name": suite.file.name, "sha256": suite.file.sha256},
    }


def _spread(values: NDArray[Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    kind = int if np.issubdtype(values.dtype, np.integer) else float
    p50, p95 = np.percentile(values, (50, 95), method="higher")
    return {
        "mean": float(values.mean()),
        "min": kind(values.min()),
        "max": kind(values.max()),
        "p50": kind(p50),
        "p95": kind(p95),
    }


def _agreement(first: NDArray[Any] | None, second: NDArray[Any]) -> float | None:
    return None if first is None else float((first == second).mean())


def _logit_errors(model: ConvertedModel, result: SuiteResult) -> dict[str, Any]:
    floats, host, device = result.logits.values()
    assert host is not None
    assert device is not None
    real = result.output.dequantize(device)
    missing = None
    if floats is None:
        missing = "the suite holds no logits of the float model"
    elif floats.shape != device.shape:
        missing = f"the float model has {floats.shape[1]} classes, the device {device.shape[1]}"
    elif isinstance(model.graph.operators[-1], Softmax):
        missing = "the device gives the softmax's probabilities, the float model logits"
    return {
        "device_host": asdict(LogitError.of(real, result.output.dequantize(host))),
        "device_float": None if missing or floats is None else asdict(LogitError.of(real, floats)),
        "device_float_missing": missing,
    }


def _perturbation(result: SuiteResult, clean: SuiteResult) -> Perturbation:
    return Perturbation.between(clean.suite.inputs, result.suite.inputs)


def _rights(result: SuiteResult, clean: SuiteResult) -> tuple[NDArray[np.bool_], ...]:
    """Whether the device had each sample right before the attack, and after it."""
    labels = result.suite.labels
    return tuple(
        verdicts(each.run.logits[: len(labels)], each.output) == labels for each in (clean, result)
    )


def _change(result: SuiteResult, clean: SuiteResult) -> dict[str, Any]:
    count, labels = result.samples, result.suite.labels
    change = _perturbation(result, clean)
    steps = (result.inputs != clean.inputs[:count]).reshape(count, -1)
    return {
        "clean": clean.suite.name,
        "clean_accuracy": {
            place: None if given is None else accuracy(given[:count], labels, clean.output)
            for place, given in clean.logits.items()
        },
        "linf_max": float(change.largest.max()),
        "linf_mean": float(change.largest.mean()),
        "l2_mean": float(change.lengths.mean()),
        "l2_max": float(change.lengths.max()),
        "l2_median_of_successes": change.median_of_successes(*_rights(result, clean)),
        "values_changed": float((change.change != 0).mean()),
        "samples_changed": change.samples_changed,
        "samples_changed_int8": int(steps.any(axis=1).sum()),
    }


def _within_epsilon(result: SuiteResult, clean: SuiteResult) -> dict[str, Any] | None:
    """Of an L2 attack: a sample whose change is longer than the budget has withstood it."""
    settings = result.suite.settings
    if settings.get("norm") != "L2" or "epsilon" not in settings:
        return None
    lengths = _perturbation(result, clean).lengths
    share = float(withstood(lengths, settings["epsilon"], *_rights(result, clean)).mean())
    return {"share": share, "interval": wilson_interval(share, result.samples)}


def _suite_arrays(result: SuiteResult, clean: SuiteResult | None) -> dict[str, Any]:
    floats, host, device = result.logits.values()
    arrays = {
        "float_logits": None if floats is None else floats.astype(np.float32),
        "host_logits": host,
        "device_logits": device,
        "instructions": result.run.instructions,
        "seconds": result.run.seconds,
        "l2": _perturbation(result, clean).lengths.astype(np.float32) if clean else None,
    }
    return {
        "suite": result.suite.name,
        "labels": encode_array(result.suite.labels),
        **{name: None if a is None else encode_array(a) for name, a in arrays.items()},
    }


def _pictures(result: SuiteResult, clean: SuiteResult) -> list[dict[str, Any]]:
    """A few samples to show: those that the attack has broken first, one that has withstood.

    None where an input is neither a picture nor a map.
    """
    if result.inputs[0].ndim != 3:
        return []
    before, after = _rights(result, clean)
    broken, held = np.flatnonzero(successes(before, after)), np.flatnonzero(before & after)
    others = np.flatnonzero(~before)
    chosen = [*broken[: _PICTURES - 1], *held[:1], *broken[_PICTURES - 1 :], *held[1:], *others]
    found = [verdicts(each.run.logits[: result.samples], each.output) for each in (clean, result)]
    return [
        {
            "suite": result.suite.name,
            "index": int(at),
            "label": int(result.suite.labels[at]),
            "clean_verdict": int(found[0][at]),
            "verdict": int(found[1][at]),
            "clean": encode_array(clean.inputs[at]),
            "attacked": encode_array(result.inputs[at]),
        }
        for at in chosen[:_PICTURES]
    ]


def difference(record: dict[str, Any], place: str) -> ThresholdError | None:
    """What is wrong if host and device differ on any sample of any suite."""
    differing = sum(suite["mismatched_samples"] for suite in record["suites"])
    if not differing:
        return None
    return ThresholdError(f"host and {place} differ on {differing} samples")


def side_by_side(runtime: str, record: dict[str, Any]) -> dict[str, Any]:
    """One row of the comparison of runtimes; what was not measured is None.

    Args:
        runtime: ``tinyedge`` or ``tflm``.
        record: of a run (``evaluation_record``), with ``arena`` and ``memory`` where known.
    """
    suites = record["suites"]
    counted = [suite for suite in suites if suite["instructions"]]
    samples = sum(suite["samples"] for suite in counted)
    instructions = (
        sum(suite["instructions"]["mean"] * suite["samples"] for suite in counted) / samples
        if samples
        else None
    )
    memory = record.get("memory")
    return {
        "runtime": runtime,
        "on": record.get("emulator") or record["on"],
        "samples": sum(suite["samples"] for suite in suites),
        "mismatched_logits": sum(suite["mismatched_logits"] for suite in suites),
        "instructions": instructions,
        "instructions_per_mac": instructions and instructions / record["model"]["macs"],
        "flash": memory and memory["flash"],
        "arena": record.get("arena"),
        "stack_peak": memory and memory["ram"]["stack_peak"],
    }
