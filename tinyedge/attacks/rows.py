"""The rows that ``tinyedge attack`` keeps of samples, and the paired test of two records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.evaluation.paired import Paired


def packed(values: NDArray[Any]) -> str:
    """Whole numbers with spaces between them: a line of a record, not one a sample."""
    return " ".join(str(int(value)) for value in values)


def unpacked(text: str) -> NDArray[np.int64]:
    """The numbers that ``packed`` has made a text of.

    Raises:
        DataError: it is none.
    """
    try:
        return np.array([int(part) for part in text.split()], dtype=np.int64)
    except (AttributeError, ValueError) as error:
        raise DataError(f"verdicts: {text!r} are no whole numbers") from error


def kept_samples(record: Mapping[str, Any], name: str) -> NDArray[np.bool_] | None:
    """Which samples a network keeps under an attack, within its budget.

    Args:
        record: of ``tinyedge attack``.
        name: of a suite.

    Returns:
        (n,); None where the record has no such suite, or is older and keeps no verdicts.

    Raises:
        DataError: the verdicts are damaged.
    """
    for suite in record["suites"]:
        if suite["name"] == name and "verdicts" in suite and "labels" in record:
            if "withstood" in suite:
                withstood: NDArray[np.bool_] = unpacked(suite["withstood"]) != 0
                return withstood
            verdicts, labels = unpacked(suite["verdicts"]), unpacked(record["labels"])
            if len(verdicts) != len(labels):
                raise DataError(f"suite '{name}': {len(verdicts)} verdicts, {len(labels)} labels")
            right: NDArray[np.bool_] = verdicts == labels
            return right
    return None


def compare_records(
    first: Mapping[str, Any], second: Mapping[str, Any], name: str
) -> Paired | None:
    """Compares what two networks keep of the same samples under an attack.

    Args:
        first: record of ``tinyedge attack``.
        second: another.
        name: of a suite of both.

    Returns:
        None where either keeps no verdicts, or the samples are not the same.
    """
    if first.get("samples_sha256") != second.get("samples_sha256"):
        return None
    kept = [kept_samples(record, name) for record in (first, second)]
    if kept[0] is None or kept[1] is None or len(kept[0]) != len(kept[1]):
        return None
    return Paired.of(kept[0], kept[1])
