"""The numpy reference beside another implementation, a chunk of samples at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tinyedge.cluster.bench import Bench
from tinyedge.cluster.engine import Engine
from tinyedge.cluster.jobs import Job, Task, chunk_name, this_worker
from tinyedge.cluster.material import Material
from tinyedge.cluster.running import samples_identity
from tinyedge.cluster.versions import check_versions, package_versions, versions
from tinyedge.evaluation import witnesses
from tinyedge.evaluation.executors import Int8
from tinyedge.evaluation.witnesses.compare import TensorComparison, WeightComparison
from tinyedge.files import json_text
from tinyedge.graph.graph import Graph
from tinyedge.importers.result import file_hash
from tinyedge.names import WitnessName
from tinyedge.threads import one_thread

_SAMPLES_AT_ONCE = 128
"""Samples of a chunk: whole batches of the witnesses that compute with floats."""
_SUBJECT = "subject"
_PACKAGES: dict[str, tuple[str, ...]] = {
    "qkeras": ("qkeras", "tensorflow", "tf-keras"),
    "onnxruntime": ("onnxruntime",),
    "qonnx": ("qonnx", "onnxruntime"),
    "tflite-micro": ("tflite-micro",),
    "litert-reference": ("ai-edge-litert",),
    "litert-optimized": ("ai-edge-litert",),
}
"""The packages that compute for a witness, the same on all workers."""


@dataclass(frozen=True, eq=False)
class CheckTask(Task):
    """Compares some samples.

    Attributes:
        witness: the other implementation.
        subject: name of the material with what it computes.
        file: name of the model's file in there; None where the witness takes none.
        layers: whether all tensors are compared.
        packages: versions of what computes for the witness.
        samples: int8 (n, *input shape), or sequences.
    """

    witness: WitnessName
    subject: str
    file: str | None
    layers: bool
    packages: dict[str, str]
    samples: Int8

    def compute(self, bench: Bench) -> bytes:
        theirs = package_versions(_PACKAGES.get(self.witness, ()))
        check_versions(this_worker(), self.packages, theirs)
        with one_thread():
            opened = bench.opened(f"{self.witness} {self.subject}", lambda: self._opened(bench))
            found = witnesses.compare(opened, self.samples, layers=self.layers)
        return json_text(dataclasses.asdict(found)).encode()

    @contextlib.contextmanager
    def _opened(self, bench: Bench) -> Iterator[witnesses.Witness]:
        material = bench.material(self.subject)
        subject: witnesses.Subject = pickle.loads((material / _SUBJECT).read_bytes())  # noqa: S301 - a worker does what its client sends
        path = material / self.file if self.file else None
        subject = dataclasses.replace(
            subject, model=path if subject.model else None, onnx=path if subject.onnx else None
        )
        with TemporaryDirectory() as folder:
            yield witnesses.open_witness(self.witness, subject, Path(folder))


def check_on_cluster(
    engine: Engine,
    witness: WitnessName,
    subject: witnesses.Subject,
    samples: Int8,
    *,
    layers: bool,
    progress: Callable[[int], None],
) -> witnesses.Comparison:
    """Compares as ``witnesses.compare`` does, on a cluster's workers.

    Args:
        engine: of the cluster.
        witness: the other implementation.
        subject: what it is to compute.
        samples: int8 (n, *input shape), or sequences.
        layers: whether to compare every tensor that the witness shows, and its weights.
        progress: called with the number of samples that are finished.

    Raises:
        TinyEdgeError: what opening the witness there raises.
    """
    path = subject.model if witness == "qkeras" else subject.onnx
    file = path if witness in ("qkeras", "onnxruntime", "qonnx") else None
    kept = dataclasses.replace(
        subject, model=subject.model if file else None, onnx=subject.onnx if file else None
    )
    files = {_SUBJECT: pickle.dumps(kept)}
    if file:
        files[file.name] = file.read_bytes()
    material = Material(files)
    engine.provide(material)
    packages = package_versions(_PACKAGES.get(witness, ()))
    floats = witness == "qkeras"
    identity = {
        "witness": witness,
        "graph": subject.graph.hash,
        "file": file_hash(file) if file else None,
        "original": Material({"": subject.original}).name if subject.original else None,
        "layers": layers,
        "packages": packages,
        **versions(attacks=floats),
    }
    starts = range(0, max(1, len(samples)), _SAMPLES_AT_ONCE)
    parts = [samples[start : start + _SAMPLES_AT_ONCE] for start in starts]
    jobs = [
        Job(
            chunk_name("check", identity | samples_identity(part)),
            len(part),
            CheckTask(
                *(witness, material.name, file.name if file else None, layers, packages),
                np.ascontiguousarray(part),
            ),
            attacks=floats,
        )
        for part in parts
    ]
    told = [json.loads(each) for each in engine.compute(jobs, f"running on {witness}", progress)]
    found = [[TensorComparison(**tensor) for tensor in each["tensors"]] for each in told]
    return witnesses.Comparison(
        [_merged(subject.graph, parts) for parts in zip(*found, strict=True)],
        [WeightComparison(**layer) for layer in told[0]["weights"]],
        told[0]["standard"],
    )


def _merged(graph: Graph, parts: Sequence[TensorComparison]) -> TensorComparison:
    """One tensor, compared in several chunks."""
    first = parts[0]
    size = graph.tensors[first.name].size
    rows = [part.values // size for part in parts]
    same = sum(round(part.agreement * count) for part, count in zip(parts, rows, strict=True))
    own_differing = [part.own_differing for part in parts if part.own_differing is not None]
    own_largest = [part.own_largest for part in parts if part.own_largest is not None]
    known = len(own_differing) == len(parts)
    return TensorComparison(
        first.name,
        first.kind,
        values=sum(part.values for part in parts),
        differing=sum(part.differing for part in parts),
        largest=max(part.largest for part in parts),
        agreement=same / sum(rows),
        own_differing=sum(own_differing) if known else None,
        own_largest=max(own_largest) if known else None,
    )
