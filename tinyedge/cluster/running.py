"""Samples through a converted model, a chunk at a time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyedge.cluster.bench import Bench, bench_in
from tinyedge.cluster.boards import BoardsGoneError, DeclaredBoard, pool
from tinyedge.cluster.engine import Engine
from tinyedge.cluster.jobs import Job, Task, chunk_name, this_worker
from tinyedge.cluster.material import Material
from tinyedge.cluster.versions import versions
from tinyedge.errors import DataError, DeviceError, LinkError, OtherModelError
from tinyedge.evaluation.executors import Int8, Progress, Run
from tinyedge.exporters.converted import ConvertedModel, load_converted
from tinyedge.firmware.footprint import memory_record
from tinyedge.firmware.project import Firmware, build_firmware, kernel_note
from tinyedge.firmware.twin import Twin
from tinyedge.places import OpenPlace, PlaceSpec, open_place
from tinyedge.progress import Listener
from tinyedge.targets import require_emulator
from tinyedge.threads import one_thread

_SAMPLES_AT_ONCE = {"numpy": 100, "twin": 100, "tflite-micro": 50, "emulator": 10, "board": 1}
"""Samples of a chunk: some seconds' work; what a board has answered is never asked again."""
_ARENA = ("smallest", "total", "head", "tail")


@dataclass(frozen=True)
class Site:
    """A place as it travels to workers.

    Attributes:
        model: name of the converted model's material.
        spec: the place; the firmware's files are a material too.
        firmware: the name of that; None on this machine.
        identity: what results depend on, as JSON takes it.
    """

    model: str
    spec: PlaceSpec
    firmware: str | None
    identity: dict[str, Any]

    @property
    def key(self) -> str:
        """Tells it from other sites."""
        return chunk_name("site", {"material": self.model, **self.identity})

    @property
    def resources(self) -> dict[str, float]:
        """A worker's offers, as Dask names them."""
        return {self.spec.required_board.name: 1.0} if self.spec.on == "board" else {}

    def have(self, bench: Bench, work: Callable[[Bench, Site], bytes]) -> bytes:
        """Has something worked out here: of boards by a free one, and by the next where it fails.

        Args:
            bench: of the worker's thread.
            work: gets the bench to open the place on, and the site: of boards that of one.

        Raises:
            BoardsGoneError: this worker has no such board, or all have failed.
            OtherModelError: a board holds another model.
        """
        if self.spec.on != "board":
            return work(bench, self)
        boards, name = pool(), self.spec.required_board.name
        while True:
            try:
                with boards.one(name) as board:
                    return self._at(board, bench_in(bench.folder, board.port), work)
            except BoardsGoneError as error:
                # An error carries no remarks: those of the boards before the last go into it.
                told = "; ".join((str(error), *bench.remarks[:-1]))
                raise BoardsGoneError(told, error.hint) from error
            except OtherModelError as error:
                raise OtherModelError(
                    f"{this_worker()}, {error}", hint="--flash has workers write it first"
                ) from error
            except (DeviceError, LinkError) as error:
                bench.remarks.append(f"a board '{name}' fails, and is left out: {error}")

    def _at(
        self, board: DeclaredBoard, bench: Bench, work: Callable[[Bench, Site], bytes]
    ) -> bytes:
        """Has something worked out by a board, which stays open for the next chunk."""
        spec = replace(self.spec, ports=(board.port,), probe=board.probe)
        try:
            return work(bench, replace(self, spec=spec))
        except BaseException:
            bench.close()
            raise

    def opened(self, bench: Bench) -> AbstractContextManager[AtWork]:
        """Opens the place on a worker."""
        return self._opened(bench)

    @contextlib.contextmanager
    def _opened(self, bench: Bench) -> Iterator[AtWork]:
        model, spec = load_converted(bench.material(self.model)), self.spec
        with ExitStack() as opened:
            if self.firmware and spec.firmware:
                folder = bench.material(self.firmware)
                if spec.flash:  # flashing tools write beside the image, and boards are several
                    own = Path(opened.enter_context(TemporaryDirectory(prefix="tinyedge-flash-")))
                    folder = Path(shutil.copytree(folder, own / "firmware"))
                built = spec.firmware
                here = replace(built, elf=folder / built.elf.name, image=folder / built.image.name)
                spec = replace(spec, firmware=here)
            yield AtWork(model, opened.enter_context(open_place(model, spec)))


class AtWork(NamedTuple):
    """A place that a worker has open."""

    model: ConvertedModel
    place: OpenPlace


@dataclass(frozen=True, eq=False)
class RunTask(Task):
    """Runs samples at a site.

    Attributes:
        site: where.
        samples: int8 (n, *input shape), or sequences.
    """

    site: Site
    samples: Int8

    def compute(self, bench: Bench) -> bytes:
        return self.site.have(bench, self._run)

    def _run(self, bench: Bench, site: Site) -> bytes:
        with one_thread():
            place = bench.opened(site.key, lambda: site.opened(bench)).place
            found = place.execute(self.samples)
        if site.spec.on == "board":
            return _packed(found, {"firmware": place.about["firmware"]})
        return _packed(found, place.finish())


def _packed(found: Run, finished: dict[str, Any]) -> bytes:
    arrays: dict[str, NDArray[Any]] = {"logits": found.logits}
    if found.instructions is not None:
        arrays["instructions"] = found.instructions
    if found.seconds is not None:
        arrays["seconds"] = found.seconds
    if "arena" in finished:
        arrays["arena"] = np.array([finished["arena"][key] for key in _ARENA], np.int64)
    peak = finished.get("stack_peak")
    if "memory" in finished:
        peak = finished["memory"]["ram"]["stack_peak"]
    if "firmware" in finished:
        arrays["firmware"] = np.array(finished["firmware"])
    if peak is not None:
        arrays["stack_peak"] = np.array(peak, np.int64)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


class ClusterPlace:
    """A place on a cluster's workers, as ``OpenPlace.execute``.

    Args:
        engine: of the cluster.
        site: where samples run.
        label: of the progress bar.
    """

    def __init__(self, engine: Engine, site: Site, label: str) -> None:
        self._engine = engine
        self._site = site
        self._label = label
        self.stack_peak = 0
        self.arena: dict[str, int] | None = None
        self.firmwares: set[str] = set()

    def __call__(self, samples: Int8, progress: Progress | None = None) -> Run:
        """Runs samples, int8 (n, *input shape), or sequences."""
        results = list(self._engine.compute(self._jobs(samples), self._label, progress))
        parts = [np.load(io.BytesIO(each), allow_pickle=False) for each in results]
        for part in parts:
            if "stack_peak" in part:
                self.stack_peak = max(self.stack_peak, int(part["stack_peak"]))
            if "firmware" in part:
                self.firmwares.add(str(part["firmware"]))
            if "arena" in part:
                self.arena = dict(zip(_ARENA, part["arena"].tolist(), strict=True))

        def joined(name: str) -> NDArray[Any] | None:
            """The measurements of all; a board without a counter among them leaves nothing."""
            if not all(name in part for part in parts):
                return None
            return np.concatenate([part[name] for part in parts])

        logits = joined("logits")
        assert logits is not None
        return Run(logits, joined("instructions"), joined("seconds"))

    def _jobs(self, samples: Int8) -> list[Job]:
        size = _SAMPLES_AT_ONCE[self._site.spec.on]
        parts = [samples[start : start + size] for start in range(0, len(samples), size)]
        return [
            Job(
                chunk_name("run", self._site.identity | samples_identity(part)),
                len(part),
                RunTask(self._site, np.ascontiguousarray(part)),
                resources=self._site.resources,
            )
            for part in parts
        ]


def samples_identity(samples: Int8) -> dict[str, Any]:
    """A digest that tells samples from others."""
    digest = hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()
    return {"samples": digest, "shape": list(samples.shape)}


def site_of(engine: Engine, model: ConvertedModel, spec: PlaceSpec) -> Site:
    """Makes a place ready to travel: what is compiled is compiled here, once.

    Raises:
        DoesNotFitError, ToolchainError: the firmware cannot be built, or not emulated.
    """
    material = Material.of_model(model)
    engine.provide(material)
    identity: dict[str, Any] = {"model": model.graph.hash, "on": spec.on, **versions()}
    if spec.on in ("twin", "emulator", "board"):
        identity["code"] = material.name
    if spec.on == "twin":
        Twin(model)  # what does not compile here is not sent anywhere
    if spec.on == "emulator":
        emulator = require_emulator(spec.required_board, spec.emulator)
        identity["emulator"] = emulator
        spec = replace(spec, emulator=emulator)
    if spec.on == "board":
        identity["board"] = spec.required_board.model_dump(mode="json")
        engine.use_boards(spec.required_board.name)
    if spec.on != "emulator" and not spec.flash:
        return Site(material.name, spec, None, identity)
    firmware = spec.firmware or build_firmware(model, spec.required_board, spec.compiler)
    files = Material.of([firmware.elf, firmware.image])
    engine.provide(files)
    identity["firmware"] = files.name
    return Site(material.name, replace(spec, firmware=firmware), files.name, identity)


@contextlib.contextmanager
def open_cluster_place(
    engine: Engine, model: ConvertedModel, spec: PlaceSpec, listener: Listener
) -> Iterator[OpenPlace]:
    """A place on a cluster's workers, which describes itself as ``open_place`` does.

    Args:
        engine: of the cluster.
        model: what runs there.
        spec: where.
        listener: told what is worth knowing meanwhile.

    Raises:
        TinyEdgeError: see ``site_of`` and ``open_place``.
    """
    if spec.on == "emulator" and (note := kernel_note(model, spec.required_board)):
        listener.remark(note)
    site = site_of(engine, model, spec)
    place = ClusterPlace(engine, site, f"running on {spec.on}")
    host = ClusterPlace(engine, site_of(engine, model, PlaceSpec("numpy")), "numpy reference")
    yield OpenPlace(
        place,
        about_site(site),
        lambda: _finished(place, site.spec.firmware) | {"cluster": engine.record()},
        host,
    )


def about_site(site: Site) -> dict[str, Any]:
    """A site's entry in a record: the same as of the place without a cluster."""
    firmware = site.spec.firmware
    if site.spec.on == "board":
        return {"on": "board", "board": site.spec.required_board.name, "emulator": None}
    if firmware is None:
        return {"on": site.spec.on}
    return {
        "on": "emulator",
        "board": firmware.board.name,
        "emulator": site.spec.emulator,
        "compiler": firmware.compiler,
        "firmware": firmware.hash,
    }


def _finished(place: ClusterPlace, firmware: Firmware | None) -> dict[str, Any]:
    if place.firmwares:
        if len(place.firmwares) > 1:
            raise DataError(
                f"boards hold different firmware: {', '.join(sorted(place.firmwares))}",
                hint="--flash has workers write the same to all; or, where they have held another "
                "before, name a new folder with --chunks",
            )
        return {"firmware": next(iter(place.firmwares))}
    if firmware is None:
        return {}
    return {
        "memory": memory_record(firmware.footprint, firmware.board, place.stack_peak),
        "arena": place.arena,
    }
