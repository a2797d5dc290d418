"""Inferences watched layer by layer: what each costs, and the first whose output is wrong."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tinyedge.boards import Board
from tinyedge.evaluation.cycles import CycleCounter
from tinyedge.evaluation.devices import Device
from tinyedge.evaluation.executors import Int8, Progress
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.observation import ObservedLayer, observed_layers
from tinyedge.firmware.twin import Twin
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.timing import timing_model

Unit = Literal["instructions", "cycles", "microseconds"]
Ticks = NDArray[np.uint64]
Crcs = NDArray[np.uint32]

_MICROSECONDS_HZ = 1_000_000


class Observer(Protocol):
    """A place where layers can be watched."""

    def layers(self, sample: Int8) -> tuple[Ticks, Crcs]:
        """Computes a sample; gives ticks, 0 where none are counted, and output CRCs, (layers,)."""

    def output(self, sample: Int8, layer: int, progress: Progress) -> Int8:
        """The output of one layer for a sample, flat; progress is told the bytes that came."""


class DeviceObserver:
    """A device with a firmware that watches.

    Args:
        device: opened.
        layers: of its model.
    """

    def __init__(self, device: Device, layers: list[ObservedLayer]) -> None:
        self._client = device.client
        self._layers = layers

    def layers(self, sample: Int8) -> tuple[Ticks, Crcs]:
        """See ``Observer``; raises LinkError where the conversation fails."""
        answer = self._client.layers(sample, len(self._layers))
        return answer.ticks, answer.crcs

    def output(self, sample: Int8, layer: int, progress: Progress) -> Int8:
        """See ``Observer``; raises LinkError where the conversation fails."""
        return self._client.output(sample, layer, self._layers[layer].size, progress)


class TwinObserver:
    """The host twin, which counts nothing.

    Args:
        model: raises ModelError or ToolchainError as ``Twin`` does.
    """

    def __init__(self, model: ConvertedModel) -> None:
        self._twin = Twin(model, observe=True)

    def layers(self, sample: Int8) -> tuple[Ticks, Crcs]:
        """See ``Observer``."""
        outputs = self._twin.outputs(sample)
        crcs = [zlib.crc32(output.tobytes()) for output in outputs]
        return np.zeros(len(crcs), np.uint64), np.array(crcs, np.uint32)

    def output(self, sample: Int8, layer: int, progress: Progress) -> Int8:
        """See ``Observer``."""
        output = self._twin.outputs(sample)[layer]
        progress(output.size)
        return output


def watch(observer: Observer, samples: Int8, progress: Progress) -> tuple[Ticks, Crcs]:
    """Computes samples, int8 (n, *input shape); gives ticks and CRCs, (n, layers)."""
    ticks, crcs = [], []
    for sample in samples:
        counted, seen = observer.layers(sample)
        ticks.append(counted)
        crcs.append(seen)
        progress(1)
    return np.stack(ticks), np.stack(crcs)


def inference_ticks(device: Device, samples: Int8, progress: Progress) -> Ticks:
    """Ticks of whole inferences, (n,), in which nothing is watched."""
    ticks = []
    for sample in samples:
        ticks.append(device.infer(sample).ticks)
        progress(1)
    return np.array(ticks, np.uint64)


@dataclass(frozen=True)
class Counter:
    """The meaning of a device's ticks.

    Attributes:
        unit: what they are shown in.
        ticks_per_unit: how many of them make one.
        hz: units a second on the device; None where they tell nothing of time.
    """

    unit: Unit
    ticks_per_unit: float = 1.0
    hz: int | None = None

    @classmethod
    def of(cls, device: Device) -> Counter | None:
        """The counter of a device; None where it counts nothing.

        A board's runs at the core's clock, or at 1 MHz, at which no core runs.
        """
        target, hz = device.target, device.hello.tick_hz
        if target.ticks_per_instruction:
            return cls("instructions", target.ticks_per_instruction)
        if target.process and not target.keeps_time:
            return None
        return cls("microseconds" if hz == _MICROSECONDS_HZ else "cycles", hz=hz)

    def counts(self, ticks: Ticks) -> NDArray[np.float64]:
        """Ticks in units."""
        return np.rint(ticks / self.ticks_per_unit)


@dataclass(frozen=True)
class ModelledCycles:
    """Cycles of layers by a model of the core's timings; nothing was measured.

    Attributes:
        model: the core whose timings they are, for people.
        hz: the board's clock.
        layers: of each, the mean over the samples.
    """

    model: str
    hz: int
    layers: list[float]

    @classmethod
    def of(cls, counter: CycleCounter, board: Board, samples: int, layers: int) -> ModelledCycles:
        """Those of the last inferences that were counted.

        Args:
            counter: of the firmware that was watched.
            board: whose timings and clock are taken: that of the firmware, or another that runs the
                same instructions.
            samples: how many inferences were watched.
            layers: that were watched in each.
        """
        model = timing_model(board.timing) or counter.model
        cycles = counter.cycles(model)[-samples:, :layers]
        means = [float(mean) for mean in cycles.mean(axis=0)]
        return cls(model.title, board.clock.sysclk_hz, means)

    @property
    def total(self) -> float:
        """The sum over the layers of one inference."""
        return sum(self.layers)

    @property
    def estimated_seconds(self) -> float:
        """An estimate of an inference's time on the board: flash and RAM are taken to be fast."""
        return self.total / self.hz


def profile_record(
    model: ConvertedModel,
    counter: Counter | None,
    ticks: Ticks,
    whole: Ticks | None,
    modelled: ModelledCycles | None = None,
) -> dict[str, Any]:
    """The ``profile`` of ``run --json``; means over the samples, null where nothing is counted.

    Args:
        model: what was run.
        counter: of the device.
        ticks: of each layer, (n, layers).
        whole: of whole inferences, (n,).
        modelled: cycles of each layer.
    """
    counts = counter.counts(ticks) if counter else None
    total = None if counts is None else float(counts.sum(axis=1).mean())
    unwatched = float(counter.counts(whole).mean()) if counter and whole is not None else None
    names = [layer.name for layer in observed_layers(model)]
    views = np.zeros((len(ticks), 1))  # of other layers' outputs, for which no code runs
    layers = []
    for layer in model.manifest["layers"]:
        count: float | None = None
        least: int | None = None
        most: int | None = None
        if counts is not None:
            column = counts[:, names.index(layer["name"])] if layer["kernel"] else views
            count, least, most = float(column.mean()), int(column.min()), int(column.max())
        layers.append(
            {
                "name": layer["name"],
                "operator": layer["kind"],
                "kernel": layer["kernel"],
                "packing": layer["packing"],
                "macs": layer["macs"],
                "count": count,
                "min": least,
                "max": most,
                "share": None if count is None or not total else count / total,
                "per_mac": count / layer["macs"] if count and layer["macs"] else None,
                "cycles": _layer_cycles(modelled, names, layer),
            }
        )
    return {
        "unit": counter and counter.unit,
        "hz": counter and counter.hz,
        "samples": len(ticks),
        "total": total,
        "whole": unwatched,
        "overhead": None if total is None or unwatched is None else total - unwatched,
        "cycles": modelled and modelled.total,
        "cycle_model": modelled and modelled.model,
        "estimated_seconds": modelled and modelled.estimated_seconds,
        "layers": layers,
    }


def _layer_cycles(
    modelled: ModelledCycles | None, names: list[str], layer: Mapping[str, Any]
) -> float | None:
    if modelled is None:
        return None
    return modelled.layers[names.index(layer["name"])] if layer["kernel"] else 0.0


@dataclass(frozen=True)
class Difference:
    """Where a device leaves the reference.

    Attributes:
        layer: the first that differs in any sample.
        sample: the first sample in which it does.
        differing: how many of its values do; 0 if they came right when they were fetched.
        index: of the first of them, by the axes of its output, or None.
        host, device: what both have there, or None.
    """

    layer: ObservedLayer
    sample: int
    differing: int
    index: tuple[int, ...] | None
    host: int | None
    device: int | None

    def to_json(self) -> dict[str, Any]:
        """As ``trace.first_difference``."""
        return {
            "layer": self.layer.name,
            "operator": self.layer.operator,
            "kernel": self.layer.kernel,
            "sample": self.sample,
            "values": self.layer.size,
            "differing": self.differing,
            "index": None if self.index is None else list(self.index),
            "host": self.host,
            "device": self.device,
        }


def difference_message(first: Mapping[str, Any]) -> str:
    """Describes a difference in a sentence, by ``trace.first_difference``."""
    where = f"layer '{first['layer']}' ({first['operator']}, {first['kernel']})"
    if first["index"] is None:
        return (
            f"{where} gave another checksum for sample {first['sample']}, but all "
            f"{first['values']:,} values came right when they were computed again"
        )
    return (
        f"{where} is the first that differs: {first['differing']:,} of {first['values']:,} values "
        f"of sample {first['sample']}, the first at {first['index']}: host {first['host']}, device "
        f"{first['device']}"
    )


def differing_outputs(graph: Graph, layers: list[ObservedLayer], samples: Int8, crcs: Crcs) -> Any:
    """Whether each layer's output differs from the reference's, bool (n, layers)."""
    expected: dict[str, list[int]] = {layer.tensor: [] for layer in layers}

    def tap(name: str, values: Int8) -> None:
        if name in expected:
            expected[name] += [zlib.crc32(value.tobytes()) for value in values]

    reference.run(graph, samples, tap=tap)
    return crcs != np.array([expected[layer.tensor] for layer in layers], np.uint32).T


def first_difference(
    graph: Graph,
    layers: list[ObservedLayer],
    samples: Int8,
    differs: NDArray[np.bool_],
    observer: Observer,
    progress: Progress,
) -> Difference | None:
    """Fetches the output of the first layer that differs, if one does.

    Args:
        graph: the model.
        layers: that were watched.
        samples: int8 (n, *input shape).
        differs: from ``differing_outputs``.
        observer: where they were watched.
        progress: called with the number of bytes that came.
    """
    if not differs.any():
        return None
    number = int(differs.any(axis=0).argmax())
    sample = int(differs[:, number].argmax())
    layer = layers[number]
    seen: dict[str, Int8] = {}
    reference.run(graph, samples[sample : sample + 1], tap=seen.__setitem__)
    host = seen[layer.tensor].ravel()
    device = observer.output(samples[sample], number, progress)
    wrong = np.flatnonzero(host != device)
    if not len(wrong):
        return Difference(layer, sample, 0, None, None, None)
    at = int(wrong[0])
    index = tuple(int(axis) for axis in np.unravel_index(at, layer.shape))
    return Difference(layer, sample, len(wrong), index, int(host[at]), int(device[at]))
