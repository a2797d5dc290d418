from __future__ import annotations

import numpy as np
import pytest

from tests.graph.random_graphs import RandomGraph
from tinyedge.graph import reference
from tinyedge.graph.ranges import ranges_of


@pytest.mark.parametrize("seed", range(120))
def test_no_value_leaves_its_range(seed: int) -> None:
    built = RandomGraph(seed)
    found = ranges_of(built.graph)

    def tap(name: str, values: reference.Int8) -> None:
        rows = values.reshape(-1, values.shape[-1])
        assert np.all(found[name].low <= rows.min(axis=0))
        assert np.all(found[name].high >= rows.max(axis=0))

    reference.run(built.graph, built.inputs(20), tap=tap)
