"""The record of an evaluation, which every form of report is made from."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

import tinyedge
from tinyedge.boards import Board
from tinyedge.errors import ThresholdError
from tinyedge.evaluation.compare import SuiteResult
from tinyedge.evaluation.session import EmulatedDevice
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.footprint import Footprint


def memory_record(footprint: Footprint, board: Board, stack_peak: int | None) -> dict[str, Any]:
    """Flash and RAM in bytes against the board's; the stack is None until it has been measured."""
    return {
        "flash": {
            "code": footprint.code,
            "weights": footprint.weights,
            "other": footprint.other,
            "total": footprint.flash,
            "size": board.flash.size,
        },
        "ram": {
            "arena": footprint.arena,
            "static": footprint.static,
            "stack_peak": stack_peak,
            "total": footprint.arena + footprint.static + (stack_peak or 0),
            "size": board.ram.size,
        },
    }


def measured_record(emulated: EmulatedDevice) -> dict[str, Any]:
    """Memory of a firmware that has run in an emulator: ``memory`` and ``arena`` of its record."""
    firmware, stats = emulated.firmware, emulated.device.stats()
    return {
        "memory": memory_record(firmware.footprint, firmware.board, stats.stack_peak),
        "arena": {
            "smallest": stats.arena_smallest,
            "total": stats.arena_head + stats.arena_tail,
            "head": stats.arena_head,
            "tail": stats.arena_tail,
        },
    }


def model_record(model: ConvertedModel) -> dict[str, Any]:
    """What a report says of the model."""
    manifest = model.manifest
    return {
        key: manifest[key]
        for key in ("name", "hash", "parameters", "macs", "weight_bytes", "source", "notes")
    }


def evaluation_record(
    model: ConvertedModel, suites: list[SuiteResult], place: dict[str, Any]
) -> dict[str, Any]:
    """The record of a run.

    Args:
        model: what was run.
        suites: the results.
        place: where it ran: ``board``, ``emulator``, ``compiler``, ``memory`` as far as they apply.
    """
    return {
        **place,
        "model": model_record(model),
        "suites": [suite.to_json() for suite in suites],
        "versions": {
            "tinyedge": tinyedge.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }


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
