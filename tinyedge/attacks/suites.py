"""From a model file and labelled data to suites, and what they show."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.errors import DataError, UsageError
from tinyedge.evaluation.suites import Suite
from tinyedge.graph.tensors import Quantization, as_batch

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""From a label and a total to a context that gives a function to advance it."""


def attack_names(given: str, *, surrogate: bool) -> list[str]:
    """The attacks that a list of names separated by commas stands for.

    ``all`` stands for every attack; those that transfer are among them if there is a surrogate.

    Raises:
        UsageError: a name is unknown, or none is given.
    """
    names = [name.strip() for name in given.split(",") if name.strip()]
    if names == ["all"]:
        return [name for name, attack in ATTACKS.items() if surrogate or attack.kind != "transfer"]
    unknown = [name for name in names if name not in ATTACKS]
    if unknown or not names:
        raise UsageError(
            f"unknown attack '{unknown[0]}'" if unknown else "no attack is named",
            hint=f"known: all, {', '.join(ATTACKS)}",
        )
    return list(dict.fromkeys(names))


def craft_suites(
    model_path: Path,
    clean: Suite,
    attacks: Sequence[str],
    settings: AttackSettings,
    attacked_samples: int,
    progress: ProgressBar,
    surrogate_path: Path | None = None,
) -> list[Suite]:
    """The clean suite with the float model's logits, and one suite an attack.

    Args:
        model_path: a QKeras model.
        clean: labelled samples.
        attacks: names out of ``ATTACKS``.
        settings: of the attacks.
        attacked_samples: the attacks take the first so many samples.
        progress: opens a progress bar.
        surrogate_path: the model that ``transfer-`` attacks are crafted on.

    Raises:
        ModelError: a model cannot be read.
        DataError: the samples are not of its input's shape.
        UsageError: an attack is unknown.
        MissingDependencyError: ART or TensorFlow is not installed.
    """
    unknown = [attack for attack in attacks if attack not in ATTACKS]
    if unknown:
        raise UsageError(f"unknown attack '{unknown[0]}'", hint=f"known: {', '.join(ATTACKS)}")
    from tinyedge.attacks.classifier import FloatModel
    from tinyedge.attacks.craft import Crafter

    model = FloatModel(model_path)
    surrogate = FloatModel(surrogate_path) if surrogate_path else None
    if surrogate and (surrogate.shape, surrogate.classes) != (model.shape, model.classes):
        raise UsageError(
            f"{surrogate_path}: takes {surrogate.shape} to {surrogate.classes} classes, the model "
            f"under attack {model.shape} to {model.classes}"
        )
    clean = _fitting(clean, model.shape, model.classes, settings)
    quantization = Quantization.from_range(*settings.clip)

    def suite(name: str, source: Suite, described: dict[str, Any]) -> Suite:
        return dataclasses.replace(
            source,
            name=name,
            float_logits=model.logits(source.inputs),
            settings=described,
            input_quantization=quantization,
        )

    suites = [suite(clean.name, clean, clean.settings)]
    attacked = clean.first(attacked_samples)
    crafter = Crafter(model, settings, surrogate)
    for attack in attacks:
        start = time.monotonic()
        with progress(f"crafting {attack}", len(attacked.labels)) as advance:
            crafted = crafter.craft(attack, attacked.inputs, attacked.labels, advance)
        described = settings.describe(attack, int(np.prod(model.shape)))
        described["crafting_seconds"] = round(time.monotonic() - start, 3)
        if (queries := crafter.queries(attack)) is not None:
            described["queries"] = queries
        if surrogate_path and ATTACKS[attack].kind == "transfer":
            described["surrogate"] = surrogate_path.name
        suites.append(suite(attack, dataclasses.replace(attacked, inputs=crafted), described))
    return suites


def _fitting(clean: Suite, shape: tuple[int, ...], classes: int, settings: AttackSettings) -> Suite:
    """The samples in the model's input shape.

    Raises:
        DataError: they do not fit the model, or leave the range that samples are clipped to.
    """
    clean = dataclasses.replace(clean, inputs=as_batch(clean.inputs, shape, "samples"))
    if len(clean.labels) and not 0 <= clean.labels.min() <= clean.labels.max() < classes:
        raise DataError(f"labels outside 0 to {classes - 1}, the model's classes")
    low, high = settings.clip
    if clean.inputs.size and not low <= clean.inputs.min() <= clean.inputs.max() <= high:
        raise DataError(
            f"samples from {clean.inputs.min():g} to {clean.inputs.max():g} leave the range "
            f"{low:g} to {high:g} that adversarial samples are clipped to",
            hint="--clip LOW HIGH",
        )
    return clean
