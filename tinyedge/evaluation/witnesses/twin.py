"""The model's C code on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tinyedge.evaluation.witnesses.witness import (
    Int8,
    Progress,
    Seen,
    Standard,
    Subject,
    Witness,
)
from tinyedge.exporters.converted import write_converted
from tinyedge.firmware.host_twin import HostTwin

_BY_THE_BOARDS_C = 256
"""Samples that are computed by nothing else, as it is the board's C code that is compared."""


class TwinWitness(Witness):
    """The host twin; it shows its output only."""

    standard: ClassVar[Standard] = "bytes"

    def __init__(self, subject: Subject, folder: Path) -> None:
        super().__init__(subject)
        model = write_converted(subject.graph, folder, "tinyedge check")
        self._twin = HostTwin(model, first=_BY_THE_BOARDS_C)

    def shows(self) -> list[str]:
        return [self.graph.output]

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        shape = self.graph.output_tensor.shape
        return [Seen(self._twin.run(samples, progress).reshape(-1, *shape)) for _ in names]
