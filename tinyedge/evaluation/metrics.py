"""How far two sets of logits are apart, and what becomes of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import DataError
from tinyedge.graph.tensors import Quantization


@dataclass(frozen=True)
class LogitError:
    """The error of logits against a reference, called as ST's validation reports call it.

    With ``F`` the reference and ``f`` what is judged, both in real numbers, all samples and classes
    in one vector of ``N`` values, and ``E = F - f``:

    - ``rmse = sqrt(sum(E^2) / N)``, ``mae = sum(|E|) / N``
    - ``l2r = ||E|| / ||F||``, the relative L2 error
    - ``cos = F.f / (||F|| ||f||)``, the cosine similarity

    The names are those of "Evaluation report and metrics" in the documentation of ST Edge AI Core
    (X-CUBE-AI): https://stedgeai-dc.st.com/assets/embedded-docs/evaluation_metrics.html.

    Attributes:
        rmse, mae: in units of the logits, at least 0.
        l2r: at least 0; None where the reference is zero throughout.
        cos: in [-1, 1]; None where either is zero throughout.
        largest: the largest absolute error of any logit.
        undefined: why ``l2r`` or ``cos`` is None; None where neither is.
    """

    rmse: float
    mae: float
    l2r: float | None
    cos: float | None
    largest: float
    undefined: str | None

    @classmethod
    def of(cls, found: NDArray[Any], expected: NDArray[Any]) -> LogitError:
        """Measures logits against a reference.

        Args:
            found: real numbers (n, classes), n at least 1.
            expected: the reference, of the same shape.

        Raises:
            DataError: the shapes differ.
        """
        if found.size != expected.size:
            raise DataError(f"logits of shape {found.shape} against {expected.shape}")
        reference = expected.astype(np.float64).ravel()
        judged = found.astype(np.float64).ravel()
        error = reference - judged
        length, other = float(np.linalg.norm(reference)), float(np.linalg.norm(judged))
        undefined = None
        if not length:
            undefined = "all logits of the reference are zero"
        elif not other:
            undefined = "all logits are zero"
        return cls(
            rmse=float(np.sqrt((error**2).mean())),
            mae=float(np.abs(error).mean()),
            l2r=float(np.linalg.norm(error)) / length if length else None,
            # Rounding can lead beyond what a cosine can be.
            cos=float(np.clip(reference @ judged / (length * other), -1, 1))
            if length and other
            else None,
            largest=float(np.abs(error).max()),
            undefined=undefined,
        )


_LOGISTIC = Quantization(1 / 256, -128)
"""A logistic operator's output, as TensorFlow Lite's quantization specification fixes it."""


def verdicts(logits: NDArray[Any], output: Quantization | None = None) -> NDArray[np.int64]:
    """The class that each sample is taken for, int64 (n,).

    It is that of the largest logit, the first of equals. A single logit tells two classes: 1 where
    its real value is above 0, or above 0.5 behind a logistic operator, else 0.

    Args:
        logits: (n, ...), int8 or real numbers.
        output: the quantization of int8 logits.
    """
    flat = logits.reshape(len(logits), -1)
    if flat.shape[1] != 1:
        found: NDArray[np.int64] = flat.argmax(axis=1)
        return found
    threshold = 0.0
    if flat.dtype == np.int8 and output:
        threshold = output.zero_point + (128 if output == _LOGISTIC else 0)
    return (flat[:, 0] > threshold).astype(np.int64)


def class_logits(logits: NDArray[Any], output: Quantization | None = None) -> NDArray[np.float32]:
    """A logit a class, float32 (n, classes), of which the largest is the verdict of ``verdicts``.

    A single logit becomes two: 0, and by how much it is above the threshold of ``verdicts``.

    Args:
        logits: real numbers (n, outputs).
        output: the quantization that they come from; None of a float model.
    """
    if logits.shape[1] != 1:
        return logits.astype(np.float32, copy=False)
    threshold = np.float32(0.5 if output == _LOGISTIC else 0.0)
    return np.pad(logits.astype(np.float32) - threshold, ((0, 0), (1, 0)))


def confusion_matrix(
    found: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """How many samples of each class got which verdict.

    Args:
        found: verdicts (n,).
        labels: (n,).
        classes: of the model; two where it has one output. Labels beyond them make further rows,
            as no verdict is right there.

    Returns:
        int64 (rows, classes): row by label, column by verdict.
    """
    rows = max(classes, int(labels.max(initial=0)) + 1)
    counts = np.zeros((rows, classes), dtype=np.int64)
    np.add.at(counts, (labels, found), 1)
    return counts
