"""Making the record of a run; ``run_record`` says what it holds."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinyedge
from tinyedge.attacks.run_judgement import judge_run
from tinyedge.attacks.worst_case import Tried, worst_cases
from tinyedge.errors import ThresholdError
from tinyedge.evaluation.compare import SuiteResult, accuracy
from tinyedge.evaluation.intervals import wilson_interval
from tinyedge.evaluation.metrics import LogitError, confusion_matrix, verdicts
from tinyedge.evaluation.perturbation import Perturbation, successes, withstood
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.files import write_atomically
from tinyedge.graph.operators import Logistic, Softmax
from tinyedge.records import run as run_record
from tinyedge.records.parts import (
    VERSION,
    Array,
    Int8Array,
    Tensor,
    dumped,
    made,
)
from tinyedge.records.run import (
    Accuracy,
    Agreement,
    Change,
    Confusion,
    Cost,
    File,
    Intervals,
    Judgement,
    LogitErrors,
    Model,
    Picture,
    Run,
    Suite,
    SuiteArrays,
    Within,
    WorstCase,
)

_PICTURES = 4
"""Samples of each adversarial suite that are kept to be shown."""
_FILE_ONLY = ("arrays", "pictures")
"""Keys of the record that a file holds and ``--json`` does not print."""


def model_record(model: ConvertedModel) -> dict[str, Any]:
    """Gives a report's record of the model."""
    return dumped(_model(model))


def _model(model: ConvertedModel) -> Model:
    manifest = model.manifest
    return Model(
        name=manifest["name"],
        hash=manifest["hash"],
        parameters=manifest["parameters"],
        macs=manifest["macs"],
        weight_bytes=manifest["weight_bytes"],
        source=manifest["source"],
        notes=manifest["notes"],
        input=Tensor.model_validate(manifest["input"]),
        output=Tensor.model_validate(manifest["output"]),
    )


def evaluation_record(
    model: ConvertedModel, results: list[SuiteResult], place: Mapping[str, Any]
) -> Run:
    """The record of a run.

    Args:
        model: what was run.
        results: of its suites.
        place: where it ran: ``board``, ``emulator``, ``compiler``, ``memory`` as far as they apply.

    Raises:
        DataError: a suite or the model holds what no record does, such as a NUL in a name.
    """
    cleans = [_clean_of(result, results) for result in results]
    pairs = list(zip(results, cleans, strict=True))
    judgement = judge_run(pairs, model.graph.hash)
    with made("the record of this run"):
        return Run(
            model=_model(model),
            suites=[_suite_record(model, result, clean) for result, clean in pairs],
            judgement=None if judgement is None else Judgement.model_validate(judgement),
            worst_cases=_worst_cases(results, cleans),
            versions={
                "tinyedge": tinyedge.__version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
                "platform": platform.platform(),
            },
            arrays=[_suite_arrays(result, clean) for result, clean in pairs],
            pictures=[
                picture for result, clean in pairs if clean for picture in _pictures(result, clean)
            ],
            **place,
        )


def printed(record: Run) -> dict[str, Any]:
    """A record without the arrays, as ``--json`` prints it."""
    return {key: value for key, value in dumped(record).items() if key not in _FILE_ONLY}


def save_run(path: Path, record: Run | Mapping[str, Any], command: list[str]) -> None:
    """Writes a record to a file that reports can be made from.

    Args:
        path: the ``.json`` file.
        record: see ``evaluation_record``; or what ``run --profile`` and ``--trace`` print.
        command: the command line, to repeat the run.
    """
    content = dumped(record) if isinstance(record, Run) else record
    text = json.dumps({"version": VERSION, "command": command, **content})
    write_atomically(path, text + "\n")


def _clean_of(result: SuiteResult, results: list[SuiteResult]) -> SuiteResult | None:
    """The result on the samples that an adversarial suite was made of, if it is there.

    It is of the same file, no attack's, and begins with the same labels; of several the one whose
    samples are nearest.
    """
    if "attack" not in result.suite.settings:
        return None
    labels = result.suite.labels
    candidates = [
        other
        for other in results
        if "attack" not in other.suite.settings
        and other.suite.file == result.suite.file
        and np.array_equal(other.suite.labels[: len(labels)], labels)
    ]
    if len(candidates) < 2:
        return next(iter(candidates), None)
    return min(candidates, key=lambda each: float(_perturbation(result, each).lengths.mean()))


def _suite_record(model: ConvertedModel, result: SuiteResult, clean: SuiteResult | None) -> Suite:
    suite, count, differs = result.suite, result.samples, result.differs
    logits, run, file = result.logits, result.run, result.suite.file
    labels, classes = suite.labels, max(run.logits[0].size, 2)
    floats, host, device = logits["float"], logits["host"], logits["device"]
    assert host is not None
    assert device is not None
    shares = Accuracy(
        float=None if floats is None else accuracy(floats, labels, result.output),
        host=accuracy(host, labels, result.output),
        device=accuracy(device, labels, result.output),
    )
    found = verdicts(device, result.output)
    of_float = None if floats is None else verdicts(floats, result.output)
    return Suite(
        name=suite.name,
        samples=count,
        accuracy=shares,
        mismatched_samples=int(differs.any(axis=1).sum()),
        mismatched_logits=int(differs.sum()),
        instructions=_spread(run.instructions),
        seconds=_spread(run.seconds),
        settings=suite.settings,
        intervals=Intervals(
            float=None if shares.float is None else _interval(shares.float, count),
            host=_interval(shares.host, count),
            device=_interval(shares.device, count),
        ),
        agreement=Agreement(
            host_device=float((verdicts(host, result.output) == found).mean()),
            float_device=None if of_float is None else float((of_float == found).mean()),
        ),
        logit_error=_logit_errors(model, result),
        confusion=Confusion(
            float=None if of_float is None else _confusion(of_float, labels, classes),
            device=_confusion(found, labels, classes),
        ),
        change=_change(result, clean) if clean else None,
        within_epsilon=_within_epsilon(result, clean) if clean else None,
        classes=list(suite.classes),
        file=None if file is None else File(name=file.name, sha256=file.sha256),
    )


def _interval(share: float, count: int) -> list[float]:
    return list(wilson_interval(share, count))


def _confusion(found: NDArray[Any], labels: NDArray[Any], classes: int) -> list[list[int]]:
    counts: list[list[int]] = confusion_matrix(found, labels, classes).tolist()
    return counts


def _spread(values: NDArray[Any] | None) -> Cost | None:
    if values is None:
        return None
    kind = int if np.issubdtype(values.dtype, np.integer) else float
    p50, p95 = np.percentile(values, (50, 95), method="higher")
    return Cost(
        mean=float(values.mean()),
        min=kind(values.min()),
        max=kind(values.max()),
        p50=kind(p50),
        p95=kind(p95),
    )


def _logit_errors(model: ConvertedModel, result: SuiteResult) -> LogitErrors:
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
    elif isinstance(model.graph.operators[-1], Logistic):
        missing = "the device gives the logistic's probabilities, the float model logits"
    return LogitErrors(
        device_host=_logit_error(real, result.output.dequantize(host)),
        device_float=None if missing or floats is None else _logit_error(real, floats),
        device_float_missing=missing,
    )


def _logit_error(found: NDArray[Any], expected: NDArray[Any]) -> run_record.LogitError:
    error = LogitError.of(found, expected)
    return run_record.LogitError(
        rmse=error.rmse,
        mae=error.mae,
        l2r=error.l2r,
        cos=error.cos,
        largest=error.largest,
        undefined=error.undefined,
    )


def _perturbation(result: SuiteResult, clean: SuiteResult) -> Perturbation:
    return Perturbation.between(clean.suite.inputs, result.suite.inputs)


def _rights(result: SuiteResult, clean: SuiteResult) -> tuple[NDArray[np.bool_], ...]:
    """Whether the device had each sample right before the attack, and after it."""
    labels = result.suite.labels
    return tuple(
        verdicts(each.run.logits[: len(labels)], each.output) == labels for each in (clean, result)
    )


def _change(result: SuiteResult, clean: SuiteResult) -> Change:
    count, labels = result.samples, result.suite.labels
    change = _perturbation(result, clean)
    steps = (result.inputs != clean.inputs[:count]).reshape(count, -1)
    given = {
        place: None if given is None else accuracy(given[:count], labels, clean.output)
        for place, given in clean.logits.items()
    }
    host, device = given["host"], given["device"]
    assert host is not None
    assert device is not None
    return Change(
        clean=clean.suite.name,
        clean_accuracy=Accuracy(float=given["float"], host=host, device=device),
        linf_max=float(change.largest.max()),
        linf_mean=float(change.largest.mean()),
        l2_mean=float(change.lengths.mean()),
        l2_max=float(change.lengths.max()),
        l2_median_of_successes=change.median_of_successes(*_rights(result, clean)),
        values_changed=float((change.change != 0).mean()),
        samples_changed=change.samples_changed,
        samples_changed_int8=int(steps.any(axis=1).sum()),
    )


def _within_epsilon(result: SuiteResult, clean: SuiteResult) -> Within | None:
    """Accuracy under an L2 attack: samples with changes beyond the budget withstood it."""
    settings = result.suite.settings
    if settings.get("norm") != "L2" or "epsilon" not in settings:
        return None
    lengths = _perturbation(result, clean).lengths
    share = float(withstood(lengths, settings["epsilon"], *_rights(result, clean)).mean())
    return Within(share=share, interval=_interval(share, result.samples))


def _worst_cases(results: list[SuiteResult], cleans: list[SuiteResult | None]) -> list[WorstCase]:
    """Worst cases over the attacks on the same samples, on as many as all of them hold."""
    cases = []
    for clean in results:
        attacks = [
            result
            for result, before in zip(results, cleans, strict=True)
            if before is clean and _has_budget(result.suite.settings)
        ]
        if not attacks:
            continue
        count = min(result.samples for result in attacks)
        tried = [
            Tried(
                result.suite.name,
                result.suite.settings["norm"],
                result.suite.settings["epsilon"],
                Perturbation(_perturbation(result, clean).change[:count]),
                _rights(result, clean)[1][:count],
            )
            for result in attacks
        ]
        before = _rights(attacks[0], clean)[0][:count]
        cases += [
            WorstCase(clean=clean.suite.name, **case)
            for case in worst_cases(before, tried, float(np.ptp(clean.suite.inputs)))
        ]
    return cases


def _has_budget(settings: Mapping[str, Any]) -> bool:
    return settings.get("norm") in ("Linf", "L2") and 0 <= settings.get("epsilon", -1) < math.inf


def _suite_arrays(result: SuiteResult, clean: SuiteResult | None) -> SuiteArrays:
    floats, host, device = result.logits.values()
    assert host is not None
    assert device is not None
    lengths = _perturbation(result, clean).lengths.astype(np.float32) if clean else None
    return SuiteArrays(
        suite=result.suite.name,
        labels=Array.of(result.suite.labels),
        float_logits=None if floats is None else Array.of(floats.astype(np.float32)),
        host_logits=Array.of(host),
        device_logits=Array.of(device),
        instructions=_array(result.run.instructions),
        seconds=_array(result.run.seconds),
        l2=_array(lengths),
    )


def _array(values: NDArray[Any] | None) -> Array | None:
    return None if values is None else Array.of(values)


def _pictures(result: SuiteResult, clean: SuiteResult) -> list[Picture]:
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
        Picture(
            suite=result.suite.name,
            index=int(at),
            label=int(result.suite.labels[at]),
            clean_verdict=int(found[0][at]),
            verdict=int(found[1][at]),
            clean=Int8Array.of(clean.inputs[at]),
            attacked=Int8Array.of(result.inputs[at]),
        )
        for at in chosen[:_PICTURES]
    ]


def difference(record: Run, place: str) -> ThresholdError | None:
    """Describes the difference if host and device differ on any sample of any suite."""
    differing = sum(suite.mismatched_samples for suite in record.suites)
    if not differing:
        return None
    return ThresholdError(f"host and {place} differ on {differing} samples")


def side_by_side(runtime: str, record: Run) -> dict[str, Any]:
    """One row of the comparison of runtimes; what was not measured is None.

    Args:
        runtime: ``tinyedge`` or ``tflm``.
        record: of a run (``evaluation_record``), with ``arena`` and ``memory`` where known.
    """
    counted = [(suite.instructions, suite.samples) for suite in record.suites if suite.instructions]
    samples = sum(count for _, count in counted)
    instructions = sum(cost.mean * count for cost, count in counted) / samples if samples else None
    memory = record.memory
    return {
        "runtime": runtime,
        "on": record.emulator or record.on,
        "samples": sum(suite.samples for suite in record.suites),
        "mismatched_logits": sum(suite.mismatched_logits for suite in record.suites),
        "instructions": instructions,
        "instructions_per_mac": instructions and instructions / record.model.macs,
        "flash": memory and dumped(memory.flash),
        "arena": record.arena and dumped(record.arena),
        "stack_peak": memory and memory.ram.stack_peak,
    }
