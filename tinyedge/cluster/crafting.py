"""Attacks on a converted model, a part at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.finished import samples_digest, start_identity
from tinyedge.attacks.pieces import Piece
from tinyedge.attacks.settings import AttackSettings
from tinyedge.attacks.suites import Assignment, Means
from tinyedge.cluster.bench import Bench
from tinyedge.cluster.engine import Engine
from tinyedge.cluster.jobs import Job, Task, chunk_name
from tinyedge.cluster.material import Material
from tinyedge.cluster.running import Site
from tinyedge.cluster.versions import versions
from tinyedge.errors import UsageError
from tinyedge.evaluation.suites import Suite
from tinyedge.importers.result import file_hash
from tinyedge.threads import one_thread

if TYPE_CHECKING:
    from tinyedge.attacks.craft import Crafter
    from tinyedge.attacks.float_craft import FloatCrafter
    from tinyedge.attacks.oracle_craft import OracleCrafter

_SAMPLES, _LABELS, _START = "x.npy", "y.npy", "start.npy"
_alone = threading.Lock()
"""ART draws from numpy's generator, of which a process has one."""


@dataclass(frozen=True)
class Target:
    """The model under attack, as it travels to workers.

    Attributes:
        attacked: where a converted model under attack runs; or names of the material with a float
            model's file, and of the file.
        samples: name of the material with the samples under attack.
        surrogate: names of the material with the surrogate's file, and of the file.
        settings: of the attacks; those of an assignment differ in their epsilon.
        budget: queries that an attack has for a sample.
    """

    attacked: Site | tuple[str, str]
    samples: str
    surrogate: tuple[str, str] | None
    settings: AttackSettings
    budget: int | None

    @contextlib.contextmanager
    def opened(
        self, bench: Bench, answers: dict[bytes, bytes] | None = None
    ) -> Iterator[FloatCrafter | OracleCrafter]:
        """Opens what is attacked on a worker.

        Args:
            bench: of the worker's thread, or of one of its boards.
            answers: see ``Oracle``.
        """
        from tinyedge.attacks.oracle import Oracle
        from tinyedge.attacks.oracle_craft import OracleCrafter

        start = bench.material(self.samples) / _START
        transferred = _read_array(start) if start.is_file() else None
        surrogate = self._float(bench, self.surrogate) if self.surrogate else None
        if isinstance(self.attacked, tuple):
            yield self._float(bench, self.attacked, surrogate, transferred)
            return
        with self.attacked.opened(bench) as (model, place):
            oracle = Oracle(
                model.graph,
                place.execute,
                self.settings.clip,
                self.settings.temperature,
                self.budget,
                answers=answers,
            )
            yield OracleCrafter(oracle, self.settings, surrogate, transferred)

    def _float(
        self,
        bench: Bench,
        file: tuple[str, str],
        surrogate: Crafter | None = None,
        transferred: NDArray[Any] | None = None,
    ) -> FloatCrafter:
        from tinyedge.attacks.classifier import FloatModel
        from tinyedge.attacks.float_craft import FloatCrafter

        material, name = file
        model = FloatModel(bench.material(material) / name)
        return FloatCrafter(model, self.settings, surrogate, transferred)


@dataclass(frozen=True)
class CraftTask(Task):
    """Crafts a part of an attack.

    Attributes:
        target: what is attacked.
        assignment: which part.
    """

    target: Target
    assignment: Assignment

    def compute(self, bench: Bench) -> bytes:
        attacked = self.target.attacked
        if isinstance(attacked, tuple) or attacked.spec.on != "board":
            return self._crafted(bench, self.target)
        # The next board is not asked again for answers of the one before.
        answers = bench.opened(attacked.key, _no_answers)

        def at_a_board(own: Bench, site: Site) -> bytes:
            return self._crafted(own, dataclasses.replace(self.target, attacked=site), answers)

        return attacked.have(bench, at_a_board)

    def _crafted(
        self, bench: Bench, target: Target, answers: dict[bytes, bytes] | None = None
    ) -> bytes:
        with _alone, one_thread():
            crafter = bench.opened(repr(target), lambda: target.opened(bench, answers))
            folder = bench.material(target.samples)
            inputs, labels = _read_array(folder / _SAMPLES), _read_array(folder / _LABELS)
            attack, settings, at = self.assignment
            variant = crafter.with_settings(settings)
            return variant.part(attack, inputs, labels, at).to_bytes()


class ClusterCrafting:
    """Crafts parts of attacks on a cluster's workers, see ``attacks.suites.Elsewhere``.

    Args:
        engine: of the cluster.
        attacked: where a converted model under attack runs, or the file of a float model.
        clean: the samples under attack.
        settings: of the attacks.
        means: what there is besides the model.
        budget: queries that an attack has for a sample.
    """

    def __init__(
        self,
        engine: Engine,
        attacked: Site | Path,
        clean: Suite,
        settings: AttackSettings,
        means: Means,
        budget: int | None = None,
    ) -> None:
        self._engine = engine
        files = {_SAMPLES: _array_bytes(clean.inputs), _LABELS: _array_bytes(clean.labels)}
        if means.start:
            start = means.start.first(len(clean.labels))
            files[_START] = _array_bytes(start.inputs)
        samples = Material(files)
        engine.provide(samples)
        surrogate = self._provided(means.surrogate) if means.surrogate else None
        place: dict[str, Any]
        self._resources: dict[str, float] = {}
        if isinstance(attacked, Path):
            model = self._provided(attacked)
            place = {"float model": file_hash(attacked)}
            self._target = Target(model, samples.name, surrogate, settings, budget)
        else:
            place, self._resources = attacked.identity, attacked.resources
            self._target = Target(attacked, samples.name, surrogate, settings, budget)
        self._identity = {
            "place": place,
            "samples": samples_digest(clean),
            "start": start_identity(means.start),
            "surrogate": file_hash(means.surrogate) if means.surrogate else None,
            "budget": budget,
            "versions": versions(attacks=True),
        }

    def _provided(self, file: Path) -> tuple[str, str]:
        """Brings a model's file to all workers; gives the names of the material and the file.

        Raises:
            UsageError: it is a folder.
        """
        if file.is_dir():
            raise UsageError(
                f"{file}: a folder; --cluster takes a model in one file", hint="save it as .h5"
            )
        material = Material.of([file])
        self._engine.provide(material)
        return material.name, file.name

    def __call__(self, assignments: Sequence[Assignment]) -> Iterator[Piece]:
        """Gives the pieces in the order of the assignments."""
        jobs = [
            Job(
                chunk_name("craft", self._identity | _identity_of(each)),
                each.at.stop - each.at.start,
                CraftTask(self._target, each),
                attacks=True,
                resources=self._resources,
            )
            for each in assignments
        ]
        return map(Piece.from_bytes, self._engine.compute(jobs, "crafting"))


def _no_answers() -> AbstractContextManager[dict[bytes, bytes]]:
    return contextlib.nullcontext({})


def _array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _read_array(path: Path) -> NDArray[Any]:
    found: NDArray[Any] = np.load(path, allow_pickle=False)
    return found


def _identity_of(assignment: Assignment) -> dict[str, Any]:
    return {
        "attack": assignment.attack,
        "settings": dataclasses.asdict(assignment.settings),
        "part": [assignment.at.start, assignment.at.stop],
    }
