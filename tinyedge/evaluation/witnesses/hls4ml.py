"""hls4ml's C++ for the QKeras model that the graph came from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.evaluation.witnesses.witness import (
    Float64,
    Int8,
    Progress,
    RealWeights,
    Seen,
    Standard,
    Subject,
    Witness,
)
from tinyedge.exporters.hls4ml.project import (
    Constants,
    LayerRecord,
    Project,
    read_project,
    write_project,
)
from tinyedge.exporters.hls4ml.simulation import Simulation
from tinyedge.graph import operators as ops
from tinyedge.importers.result import ImportResult, Origin


class Hls4mlWitness(Witness):
    """An hls4ml project, made for the purpose or made before, compiled with g++.

    What is made for the purpose streams, if it can: such C++ compiles in seconds whatever the size
    of images.
    """

    standard: ClassVar[Standard] = "steps"

    def __init__(self, subject: Subject, folder: Path) -> None:
        super().__init__(subject)
        self._project = (
            read_project(subject.project) if subject.project else _written(subject, folder)
        )
        self._simulation = Simulation(self._project, folder)
        self._origins = subject.origins
        self._layers = {layer.value_of: layer for layer in self._project.layers if layer.value_of}

    def shows(self) -> list[str]:
        seen = self._simulation.names()
        names = {name for name in self._origins if (layer := self._layer(name)) and layer in seen}
        return [name for name in super().shows() if name in {*names, self.graph.output}]

    def _layer(self, name: str) -> str | None:
        """The project's layer that has a tensor's value."""
        layer = self._layers.get(self._origins[name].value_of or "")
        return layer.name if layer else None

    def run(self, samples: Int8, names: list[str], progress: Progress | None) -> list[Seen]:
        traced = [name for name in names if name != self.graph.output]
        layers = [layer for name in traced if (layer := self._layer(name))]
        units = {layer.name: layer.unit for layer in self._project.layers}
        unit_of = [units[name] for name in layers]
        reals = self.graph.input_tensor.quantization.dequantize(samples)
        parts: dict[str, list[Seen]] = {name: [] for name in names}
        unit_of.append(self._project.layers[-1].unit)
        for values in self._simulation.run(reals, layers):
            for name, value, unit in zip(
                [*traced, self.graph.output], values, unit_of, strict=True
            ):
                if name in parts:
                    tensor = self.graph.tensors[name]
                    parts[name].append(Seen.of_reals(value[np.newaxis] * unit, tensor))
            if progress:
                progress(1)
        return [Seen.joined(parts[name]) for name in names]

    def weights(self) -> dict[str, RealWeights]:
        products = {layer.codes_of: layer for layer in self._project.layers if layer.codes_of}
        found = {}
        for operator in self.graph.operators:
            origin = self._origins.get(operator.output)
            if not isinstance(operator, ops.Weighted) or not origin:
                continue
            made = next((products[name] for name in origin.layers if name in products), None)
            if made:
                codes = _codes(self._project, made, operator)
                scale, bias = np.ones(len(codes)), np.zeros(len(codes))
                unit = made.unit
                for layer in self._scalings(origin):
                    factor = _read(self._project, layer.weights["scale"]) * layer.unit / unit
                    scale, bias = scale * factor, bias * factor
                    bias = bias + _read(self._project, layer.weights["bias"]) * layer.unit
                    unit = layer.unit
                column = (-1, *[1] * (codes.ndim - 1))
                found[operator.output] = RealWeights(codes * scale.reshape(column), bias)
        return found

    def _scalings(self, origin: Origin) -> list[LayerRecord]:
        """The layers that scale a sum of products, in order."""
        names = [f"{name}/multiplied" for name in origin.layers]
        names += [  # behind "rounded", a zero point comes and goes
            f"{name}/rounded" if f"{name}/rounded" in self._layers else name
            for name in origin.layers
        ]
        found = [self._layers[name] for name in names if name in self._layers]
        return [layer for layer in found if "scale" in layer.weights]


def _written(subject: Subject, folder: Path) -> Project:
    path = subject.keras_file("hls4ml")
    imported = ImportResult(subject.graph, (), subject.origins)
    try:
        return write_project(path, imported, folder / "written", io_type="stream")
    except ModelError:
        return write_project(path, imported, folder / "written", io_type="parallel")


def _codes(project: Project, layer: LayerRecord, operator: ops.Weighted) -> Float64:
    """Integer weights, laid out as the graph's."""
    constants = layer.weights["weight"]
    codes = _read(project, constants)
    if constants.binary:
        codes = 2 * codes - 1
    if project.settings.reuse_factor == 1:  # else hls4ml has the output channel first
        codes = np.moveaxis(codes, -1, 0)
    if isinstance(operator, ops.DepthwiseConv2D):
        # (1, rows, columns, channels), or (channels, rows, columns, in) with one input for each
        codes = np.moveaxis(codes, -1, 0) if len(codes) == 1 else codes.sum(axis=-1)
    if isinstance(operator, ops.Conv2D | ops.DepthwiseConv2D):
        codes = codes[:, :: operator.dilation[0], :: operator.dilation[1]]
    return codes.reshape(operator.weights.codes.shape)


def _read(project: Project, constants: Constants) -> Float64:
    path = project.folder / "firmware" / "weights" / f"{constants.file}.txt"
    values = np.array(path.read_text().replace("\n", " ").split(","), dtype=np.float64)
    return values.reshape(constants.shape)
