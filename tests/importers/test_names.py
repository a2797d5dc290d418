"""Names that a framework allows, and a graph's file does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from tests.graph.random_graphs import RandomGraph
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers.tflite import import_tflite


def test_names_in_a_tflite_file_become_ones_that_are_seen(tmp_path: Path) -> None:
    built = RandomGraph(278)
    graph = built.graph
    names = {name: f"x{chr(1 + index % 31)}[2J\n" for index, name in enumerate(graph.tensors)}
    assert len(set(names.values())) == len(names)
    odd = Graph(
        "model\x1b[2J",
        {
            names[name]: dataclasses.replace(tensor, name=names[name])
            for name, tensor in graph.tensors.items()
        },
        tuple(
            dataclasses.replace(
                operator,
                name=names[operator.output],
                inputs=tuple(names[name] for name in operator.inputs),
                output=names[operator.output],
            )
            for operator in graph.operators
        ),
        names[graph.input],
        names[graph.output],
        constants={names[name]: values for name, values in graph.constants.items()},
    )
    path = tmp_path / "odd\n.tflite"
    path.write_bytes(export_tflite(odd))
    imported = import_tflite(path).graph
    shown = [imported.name, *imported.tensors, *(operator.name for operator in imported.operators)]
    assert all(name.isprintable() for name in shown)
    imported.save(tmp_path / "graph.npz")
    loaded = Graph.load(tmp_path / "graph.npz")
    samples = built.inputs(4)
    assert np.array_equal(reference.run(loaded, samples), reference.run(graph, samples))
