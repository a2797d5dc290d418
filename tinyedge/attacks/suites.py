"""From a model file and labelled data to suites."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tinyedge.attacks.settings import ATTACKS, AttackSettings
from tinyedge.errors import DataError, UsageError
from tinyedge.evaluation.suites import Suite
from tinyedge.graph.tensors import as_batch

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""From a label and a total to a context that gives a function to advance it."""


def craft_suites(
    model_path: Path,
    clean: Suite,
    attacks: Sequence[str],
    settings: AttackSettings,
    attacked_samples: int,
    progress: ProgressBar,
) -> list[Suite]:
    """The clean suite with the float model's logits, and one suite an attack.

    Args:
        model_path: a QKeras model.
        clean: labelled samples.
        attacks: names out of ``ATTACKS``.
        settings: of the attacks.
        attacked_samples: the attacks take the first so many samples.
        progress: opens a progress bar.

    Raises:
        ModelError: the model cannot be read.
        DataError: the samples are not of its input's shape.
        UsageError: an attack is unknown.
        MissingDependencyError: ART or TensorFlow is not installed.
    """
    unknown = [attack for attack in attacks if attack not in ATTACKS]
    if unknown:
        raise UsageError(f"unknown attack '{unknown[0]}'", hint=f"known: {', '.join(ATTACKS)}")
    from tinyedge.attacks.craft import Crafter
    from tinyedge.importers.qkeras import logits_function

    logits, shape, classes = logits_function(model_path)
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
    crafter = Crafter(logits, shape, classes, settings)
    suites = [
        Suite(clean.name, clean.inputs, clean.labels, crafter.logits(clean.inputs), clean.settings)
    ]
    inputs, labels = clean.inputs[:attacked_samples], clean.labels[:attacked_samples]
    for attack in attacks:
        with progress(f"crafting {attack}", len(inputs)) as advance:
            crafted = crafter.craft(attack, inputs, labels, advance)
        suites.append(
            Suite(attack, crafted, labels, crafter.logits(crafted), settings.describe(attack))
        )
    return suites
