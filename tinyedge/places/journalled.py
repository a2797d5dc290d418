"""The journal of a run on devices: what is answered is kept until the run has ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import LinkError
from tinyedge.evaluation.executors import Int8
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.link.journal import Journal
from tinyedge.places.spec import PlaceSpec
from tinyedge.records import check_replaceable


@dataclass(frozen=True, eq=False)
class Journalled:
    """The answers of a run go to a journal.

    Attributes:
        inputs: all samples of the run, int8 (n, *input shape) a suite, in their order.
        path: of the journal, which then stays; by default a file in the model's folder, until the
            run has ended.
        resume: goes on with what is there.
        discard: throws away what is there.
    """

    inputs: Sequence[Int8]
    path: Path | None = None
    resume: bool = False
    discard: bool = False

    @contextlib.contextmanager
    def opened(
        self, model: ConvertedModel, spec: PlaceSpec, remark: Callable[[str], None]
    ) -> Iterator[Journal]:
        """The journal; if the body fails, it stays, and the user is told.

        Raises:
            DataError: it is damaged, or of another run.
            FileError: another program writes to it; or it holds answers, and is neither to be
                resumed nor to be discarded.
        """
        with self._journal(model, spec) as journal:
            if self.resume:
                remark(self._kept(journal))
            try:
                yield journal
            except KeyboardInterrupt:
                remark(self._kept(journal))
                remark("--resume goes on with them")
                raise
            except LinkError as error:
                if journal.entries:
                    error.hint = f"{error.hint}; " if error.hint else ""
                    error.hint += f"go on with --resume: {self._kept(journal)}"
                raise
        if not self.path:
            journal.remove()

    def _kept(self, journal: Journal) -> str:
        total = sum(map(len, self.inputs))
        return f"{len(journal.entries)} of {total} samples are in {journal.path}"

    def _journal(self, model: ConvertedModel, spec: PlaceSpec) -> Journal:
        digest = hashlib.sha256()
        for samples in self.inputs:
            digest.update(samples.tobytes())
        identity = {
            "model": model.graph.hash,
            "on": spec.on,
            "board": spec.required_board.name,
            "samples": sum(map(len, self.inputs)),
            "inputs": digest.hexdigest(),
        }
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        path = self.path or model.folder / "journals" / f"{key}.jsonl"
        if not (self.resume or self.discard):
            check_replaceable(path)
        return Journal(path, identity, resume=self.resume)
