"""Names of a run's chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import require_packages
from tests.graph.random_graphs import RandomGraph

require_packages("distributed")

from tinyedge.cluster import running  # noqa: E402 - needs Dask
from tinyedge.exporters.converted import write_converted  # noqa: E402
from tinyedge.places import PlaceSpec  # noqa: E402


class Deliverer:
    """Stands in for a cluster."""

    def provide(self, _: object) -> None:
        """Would bring files to workers."""


@pytest.mark.parametrize("changed", ["nothing", "a sample", "tinyedge", "the graph"])
def test_what_a_chunk_depends_on_is_in_its_name(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(seed: int, samples: Any) -> list[str]:
        model = write_converted(RandomGraph(seed).graph, tmp_path / str(seed), "test")
        engine: Any = Deliverer()
        site = running.site_of(engine, model, PlaceSpec("numpy"))
        return [job.name for job in running.ClusterPlace(engine, site, "")._jobs(samples)]

    samples = RandomGraph(3).inputs(4)
    before = names(3, samples)
    other = samples.copy()
    if changed == "a sample":
        other.reshape(-1)[0] ^= 1
    if changed == "tinyedge":
        monkeypatch.setattr(running, "versions", lambda: {"tinyedge": "another state"})
    found = names(4 if changed == "the graph" else 3, other)
    assert (found == before) == (changed == "nothing")
    assert np.array_equal(samples, other) == (changed != "a sample")
