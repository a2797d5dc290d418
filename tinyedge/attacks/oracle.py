"""A converted model as attacks see it: int8 inputs are sent, int8 logits come back."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.journal import QueryJournal
from tinyedge.attacks.margins import margins
from tinyedge.attacks.settings import Norm
from tinyedge.evaluation.compare import Executor
from tinyedge.evaluation.metrics import class_logits
from tinyedge.graph.graph import Graph

Float32 = NDArray[np.float32]
Int8 = NDArray[np.int8]

_SENT_AT_ONCE = 32
"""Samples that a device is given before their answers go to the journal."""


def _digests(samples: Int8) -> list[bytes]:
    return [hashlib.blake2b(sample.tobytes(), digest_size=16).digest() for sample in samples]


class BudgetReachedError(Exception):
    """A sample's queries are used up; only ``Oracle.search`` sees it."""


@dataclass
class Search:
    """The state of an attack on one sample.

    Attributes:
        origin: the clean sample, float32.
        label: its class.
        norm: that the attack's change is measured in.
        best: of all inputs asked about: for L2, the misclassified one nearest to the origin; for
            L-infinity, whose attacks stay within epsilon, the one with the smallest margin. The
            origin as long as there is none.
        asked: queries.
        sent: those that were not asked before in this search.
        exhausted: whether the budget ended the attack.
    """

    origin: Float32
    label: int
    norm: Norm
    best: Float32 = field(init=False)
    asked: int = 0
    sent: int = 0
    exhausted: bool = False
    _lowest: float = math.inf
    _known: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.best = self.origin

    def note(self, inputs: Float32, logits: Float32, digests: Sequence[bytes]) -> None:
        """Takes in answers: inputs (n, *shape), logits (n, classes), what tells inputs apart."""
        self.asked += len(inputs)
        self.sent += len(set(digests) - self._known)
        self._known.update(digests)
        cost = margins(logits, np.full(len(inputs), self.label))
        if self.norm == "L2":
            lengths = np.linalg.norm((inputs - self.origin).reshape(len(inputs), -1), axis=1)
            cost = np.where(cost <= 0, lengths, np.float32(np.inf))
        at = int(cost.argmin())
        if cost[at] < self._lowest:
            self._lowest, self.best = float(cost[at]), inputs[at].copy()


class Oracle:
    """An executor as attacks see a black box: floats in, logits out, nothing else.

    Inputs are clipped, and quantized as the device's host would; logits are dequantized. A model of
    one output shows two logits, see ``class_logits``. No input is sent twice.

    Args:
        graph: of the converted model.
        executor: what answers.
        clip: range of the inputs.
        temperature: that attacks divide the logits by.
        budget: queries that an attack has for a sample, repeated ones included.
        journal: keeps the answers.
        about: where the executor runs, for reports.
        sent_at_once: samples that the executor is given before their answers go to the journal.

    Attributes:
        graph: of the converted model.
        execute: what answers; direct calls of it are neither counted nor kept.
        shape: of an input.
        classes: number of logits, at least 2.
        quantization: of the inputs.
        clip_values: range of the inputs.
        about: where it runs, and the model's hash.
        computed: inputs that the executor was sent; the journal answered the others.
    """

    def __init__(
        self,
        graph: Graph,
        executor: Executor,
        clip: tuple[float, float],
        temperature: float = 1.0,
        budget: int | None = None,
        journal: QueryJournal | None = None,
        about: dict[str, Any] | None = None,
        sent_at_once: int = _SENT_AT_ONCE,
    ) -> None:
        self.graph = graph
        self.execute = executor
        self.shape = graph.input_tensor.shape
        self._outputs = graph.output_tensor.size
        self.classes = max(self._outputs, 2)
        self.quantization = graph.input_tensor.quantization
        self.clip_values = clip
        self.budget = budget
        self.about = {**(about or {}), "model": graph.hash}
        self.computed = 0
        self._output = graph.output_tensor.quantization
        self._temperature = temperature
        self._journal = journal
        self._sent_at_once = sent_at_once
        if journal:
            journal.check_logits(self._outputs)
        self._answers: dict[bytes, bytes] = {}
        self._search: Search | None = None

    @contextlib.contextmanager
    def search(self, origin: Float32, label: int, norm: Norm) -> Iterator[Search]:
        """Counts and records the queries inside; ends them when the budget is reached."""
        self._search = search = Search(origin, label, norm)
        try:
            yield search
        except BudgetReachedError:
            search.exhausted = True
        finally:
            self._search = None

    def predict(self, x: Any) -> Float32:
        """Logits divided by the temperature, float32 (n, classes), for an attack."""
        low, high = self.clip_values
        inputs = np.clip(np.asarray(x, dtype=np.float32), np.float32(low), np.float32(high))
        search = self._search
        assert search, "attacks ask inside of a search"
        left = len(inputs) if self.budget is None else self.budget - search.asked
        affordable = inputs[:left]
        logits = np.empty((0, self.classes), dtype=np.float32)
        if len(affordable):
            samples = self.quantization.quantize(affordable)
            digests = _digests(samples)
            logits = self._answered(samples, digests)
            search.note(affordable, logits, digests)
        if left < len(inputs):
            raise BudgetReachedError
        return logits / np.float32(self._temperature)

    def logits(self, inputs: Float32) -> Float32:
        """The logits of float32 inputs (n, *shape), as float32 (n, classes); not counted.

        Raises:
            LinkError: the executor is a device and does not answer.
        """
        samples = self.quantization.quantize(inputs)
        return self._answered(samples, _digests(samples))

    def _answered(self, samples: Int8, digests: Sequence[bytes]) -> Float32:
        unknown = {
            digest: index for index, digest in enumerate(digests) if digest not in self._answers
        }
        journalled = self._journal.answers if self._journal else {}
        missing = [digest for digest in unknown if digest not in journalled]
        for start in range(0, len(missing), self._sent_at_once):
            part = missing[start : start + self._sent_at_once]
            run = self.execute(samples[[unknown[digest] for digest in part]])
            raw = [logits.tobytes() for logits in run.logits]
            if self._journal:
                self._journal.add(part, raw)
            self._answers.update(zip(part, raw, strict=True))
            self.computed += len(part)
        self._answers.update(
            (digest, journalled[digest]) for digest in unknown if digest in journalled
        )
        answers = b"".join(self._answers[digest] for digest in digests)
        quantized = np.frombuffer(answers, np.int8).reshape(len(samples), self._outputs)
        return class_logits(self._output.dequantize(quantized), self._output)
