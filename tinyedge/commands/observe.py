"""The part of ``run`` behind ``profile`` and ``trace``: watching each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.errors import ThresholdError, UsageError
from tinyedge.evaluation import observation
from tinyedge.evaluation.executors import Int8
from tinyedge.evaluation.witnesses import random_inputs
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.observation import observed_layers
from tinyedge.places import PlaceSpec, open_watched
from tinyedge.progress import Listener
from tinyedge.reports.record import model_record

RANDOM_SAMPLES = 8
"""Without any that were named."""


def check_options(
    place: str, ports: tuple[str, ...], others: Mapping[str, object], sources: int
) -> None:
    """Refuses what --profile and --trace do not go with.

    Args:
        place: of ``--on``.
        ports: of ``--port``.
        others: options by name that they exclude.
        sources: how many of ``--data`` and ``--dataset`` there are.

    Raises:
        UsageError: names the first of them.
    """
    if place not in ("twin", "emulator", "board"):
        raise UsageError(f"--profile and --trace go with --on twin, emulator or board, not {place}")
    for name, given in others.items():
        if given:
            raise UsageError(f"--profile and --trace do not go with {name}")
    if sources > 1:
        raise UsageError("--data and --dataset exclude each other")
    if len(ports) > 1:
        raise UsageError("--profile and --trace take one board: name one --port")


def observe(
    model: ConvertedModel,
    place: PlaceSpec,
    samples: Int8 | None,
    count: int | None,
    *,
    profile: bool,
    trace: bool,
    listener: Listener,
) -> dict[str, Any]:
    """Runs samples, and says what each layer costs and which is the first that differs.

    Args:
        model: the converted model.
        place: where to run.
        samples: int8 (n, *input shape); random ones by default.
        count: how many random ones.
        profile: whether to say what layers cost.
        trace: whether to compare their outputs.
        listener: told how far it is.

    Raises:
        TinyEdgeError: what opening the place or running there raises.
    """
    layers = observed_layers(model)
    given = "random" if samples is None else "given"
    if samples is None:
        samples = random_inputs(model.graph, count or RANDOM_SAMPLES, seed=0)
    measured = samples if profile else None
    with open_watched(model, place, measured, listener.progress, listener.step) as opened:
        record = {
            **opened.about,
            "model": model_record(model),
            "samples": len(samples),
            "inputs": given,
        }
        with listener.progress(f"watching layers on {place.on}", len(samples)) as advance:
            ticks, crcs = observation.watch(opened.observer, samples, advance)
        if profile:
            modelled = None
            if opened.cycles:
                modelled = observation.ModelledCycles.of(
                    opened.cycles, place.required_board, len(samples), len(layers)
                )
            record["profile"] = {
                **observation.profile_record(model, opened.counter, ticks, opened.whole, modelled),
                "no_cycles": opened.no_cycles,
                "instead_of": opened.instead_of,
            }
        if trace:
            with listener.step("computing the reference"):
                differs = observation.differing_outputs(model.graph, layers, samples, crcs)
            first = _first_difference(listener, model, samples, differs, opened.observer)
            record["trace"] = {
                "layers": [
                    {
                        "name": layer.name,
                        "operator": layer.operator,
                        "kernel": layer.kernel,
                        "values": layer.size,
                        "differing_samples": int(differs[:, number].sum()),
                    }
                    for number, layer in enumerate(layers)
                ],
                "first_difference": first and first.to_json(),
            }
    return record


def layer_difference(record: Mapping[str, Any]) -> ThresholdError | None:
    """Describes the first layer that differs, by the record of ``observe``."""
    first = record.get("trace", {}).get("first_difference")
    return ThresholdError(observation.difference_message(first)) if first else None


def _first_difference(
    listener: Listener,
    model: ConvertedModel,
    samples: Int8,
    differs: NDArray[np.bool_],
    observer: observation.Observer,
) -> observation.Difference | None:
    if not differs.any():
        return None
    layers = observed_layers(model)
    layer = layers[int(differs.any(axis=0).argmax())]
    with listener.progress(f"fetching {layer.name}", layer.size) as advance:
        return observation.first_difference(
            model.graph, layers, samples, differs, observer, advance
        )
