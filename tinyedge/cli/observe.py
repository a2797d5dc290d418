"""``tinyedge run --profile`` and ``--trace``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyedge.cli.output import Output
from tinyedge.errors import ThresholdError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tinyedge.evaluation.executors import Int8
    from tinyedge.evaluation.observation import Observer
    from tinyedge.exporters.converted import ConvertedModel
    from tinyedge.places import PlaceSpec

RANDOM_SAMPLES = 8
"""Without any that were named."""

_NOTHING_COUNTED = (
    "{} counts nothing. QEMU counts instructions (--on emulator --emulator qemu), a board cycles."
)


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
    output: Output,
    model: ConvertedModel,
    place: PlaceSpec,
    samples: Int8 | None,
    count: int | None,
    record_file: Path | None,
    *,
    profile: bool,
    trace: bool,
) -> None:
    """Runs samples, and says what each layer costs and which is the first that differs.

    Args:
        output: where to say it.
        model: the converted model.
        place: where to run.
        samples: int8 (n, *input shape); random ones by default.
        count: how many random ones.
        record_file: where to keep the record, or None.
        profile: whether to say what layers cost.
        trace: whether to compare their outputs.

    Raises:
        ThresholdError: with ``trace``, a layer differs.
        TinyEdgeError: what opening the place or running there raises.
    """
    from rich.text import Text

    from tinyedge.cli.tables import profile_table, trace_table
    from tinyedge.evaluation import observation
    from tinyedge.evaluation.witnesses import random_inputs
    from tinyedge.firmware.observation import observed_layers
    from tinyedge.places import open_watched, place_line
    from tinyedge.reports.record import model_record, save_run

    layers = observed_layers(model)
    given = "random" if samples is None else "given"
    if samples is None:
        samples = random_inputs(model.graph, count or RANDOM_SAMPLES, seed=0)
    text: list[Any] = []
    failure = None
    measured = samples if profile else None
    with open_watched(model, place, measured, output.progress, output.step) as opened:
        observer = opened.observer
        record = {
            **opened.about,
            "model": model_record(model),
            "samples": len(samples),
            "inputs": given,
        }
        with output.progress(f"watching layers on {place.on}", len(samples)) as advance:
            ticks, crcs = observation.watch(observer, samples, advance)
        if line := place_line(opened.about):
            text.append(Text(line))
        if profile:
            found = observation.profile_record(model, opened.counter, ticks, opened.whole)
            record["profile"] = found
            text.append(profile_table(found, len(samples)))
            text.append(
                _profile_line(found, place.on)
                if opened.counter
                else _NOTHING_COUNTED.format(opened.about.get("emulator") or f"The {place.on}")
            )
        if trace:
            with output.step("computing the reference"):
                differs = observation.differing_outputs(model.graph, layers, samples, crcs)
            first = _first_difference(output, model, samples, differs, observer)
            failure = ThresholdError(first.message) if first else None
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
            text.append(trace_table(record["trace"], place.on))
    if record_file:
        save_run(record_file, record, output.command)
        text.append(f"written to {record_file}")
    output.result(record, *text, failure=failure)


def _first_difference(
    output: Output, model: ConvertedModel, samples: Int8, differs: Any, observer: Observer
) -> Any:
    from tinyedge.evaluation.observation import first_difference
    from tinyedge.firmware.observation import observed_layers

    if not differs.any():
        return None
    layers = observed_layers(model)
    layer = layers[int(differs.any(axis=0).argmax())]
    with output.progress(f"fetching {layer.name}", layer.size) as advance:
        return first_difference(model.graph, layers, samples, differs, observer, advance)


def _profile_line(profile: dict[str, Any], place: str) -> str:
    """What measuring costs."""
    whole, overhead, unit = profile["whole"], profile["overhead"], profile["unit"]
    firmware = "The ordinary firmware" if place == "emulator" else "The same firmware, not watched,"
    time = f" ({1e3 * whole / profile['hz']:,.2f} ms)" if profile["hz"] else ""
    return (
        f"{firmware} takes {whole:,.0f} {unit}{time} an inference; measuring adds {overhead:,.0f} "
        f"({100 * overhead / whole:.2f} %)."
    )
