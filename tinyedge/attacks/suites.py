"""From a model and labelled data to suites, and what they show."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.pieces import Piece
from tinyedge.attacks.settings import ATTACKS, INTEGER_ATTACKS, AttackSettings
from tinyedge.errors import DataError, UsageError
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.suites import Suite
from tinyedge.graph.tensors import Quantization
from tinyedge.samples.scaling import ModelInput

if TYPE_CHECKING:
    from tinyedge.attacks.craft import Answering, Crafter
    from tinyedge.attacks.finished import FinishedSuites
    from tinyedge.attacks.oracle import Oracle


class Assignment(NamedTuple):
    """A part of an attack, to be crafted somewhere else.

    Attributes:
        attack: its name.
        settings: of the attack, at one epsilon.
        at: which of the samples.
    """

    attack: str
    settings: AttackSettings
    at: slice


Elsewhere = Callable[[Sequence[Assignment]], Iterator[Piece]]
"""Has parts crafted somewhere else; gives them in their order."""

Crafting = Callable[[Suite], Elsewhere]
"""From the samples under attack, as the model takes them, to what crafts on them."""

ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""From a label and a total to a context that gives a function to advance it."""


@dataclasses.dataclass(frozen=True)
class Means:
    """The means that attacks have to work with.

    Attributes:
        gradients: whether those of the model under attack can be computed.
        integers: whether it is a converted model, whose samples lie on int8 steps.
        surrogate: the float model that ``transfer-`` attacks are crafted on.
        start: adversarial versions of the first of the clean samples, which ``refine`` starts from.
    """

    gradients: bool = True
    integers: bool = False
    surrogate: Path | None = None
    start: Suite | None = None

    def lack(self, attack: str) -> UsageError | None:
        """Names a means that an attack needs and that is missing."""
        kind = ATTACKS[attack].kind
        if kind == "white-box" and not self.gradients:
            return UsageError(
                f"'{attack}' needs gradients, and a board or an emulator gives answers only",
                hint="--on numpy or twin computes the same integers, and their gradients; what is "
                "found there runs on the device with 'tinyedge run --data'",
            )
        if kind == "white-box" and self.integers and attack not in INTEGER_ATTACKS:
            return UsageError(
                f"'{attack}' takes steps of any size, and a converted model's input has int8 steps",
                hint=f"{', '.join(INTEGER_ATTACKS)}; or attack the float model",
            )
        if kind == "transfer" and not self.surrogate:
            return UsageError(
                f"'{attack}' needs a model to transfer from", hint="name it with --surrogate"
            )
        if attack == "refine" and not self.start:
            return UsageError(
                "'refine' needs adversarial samples to start from", hint="name them with --start"
            )
        return None

    def check(self, attacks: Sequence[str]) -> None:
        """Raises UsageError for an attack that is unknown, or needs what there is not."""
        for attack in attacks:
            if attack not in ATTACKS:
                close = difflib.get_close_matches(attack, ATTACKS, n=1)
                meant = f"did you mean '{close[0]}'? " if close else ""
                raise UsageError(
                    f"unknown attack '{attack}'", hint=f"{meant}known: all, {', '.join(ATTACKS)}"
                )
            if lack := self.lack(attack):
                raise lack


GRADIENTS = Means()
"""The means of attacks by gradients: a float model, and nothing else."""


def attack_names(given: str, means: Means) -> list[str]:
    """The attacks that a list of names separated by commas stands for.

    ``all`` stands for every attack whose means there are.

    Raises:
        UsageError: a name is unknown, none is given, or one needs what there is not.
    """
    names = [name.strip() for name in given.split(",") if name.strip()]
    if names == ["all"]:
        return [name for name in ATTACKS if not means.lack(name)]
    if not names:
        raise UsageError("no attack is named", hint=f"known: all, {', '.join(ATTACKS)}")
    means.check(names)
    return list(dict.fromkeys(names))


def craft_suites(
    model_path: Path,
    clean: Suite,
    attacks: Sequence[str],
    settings: AttackSettings,
    attacked_samples: int,
    progress: ProgressBar,
    means: Means = GRADIENTS,
    finished: FinishedSuites | None = None,
    elsewhere: Crafting | None = None,
) -> list[Suite]:
    """The clean suite with the float model's logits, and the suites of the attacks.

    Args:
        model_path: a QKeras model.
        clean: labelled samples.
        attacks: names out of ``ATTACKS``.
        settings: of the attacks.
        attacked_samples: the first so many samples, of the clean suite too, so that all figures
            are of the same.
        progress: opens a progress bar.
        means: what there is besides the model.
        finished: the suites that an interrupted attack has left; it gets the others as they come.
        elsewhere: crafts, if that is not to be done here.

    Raises:
        ModelError: a model cannot be read.
        DataError: the samples are not of its input's shape.
        UsageError: an attack is unknown, or needs what there is not.
        MissingDependencyError: ART or TensorFlow is not installed.
    """
    means.check(attacks)
    from tinyedge.attacks.classifier import FloatModel
    from tinyedge.attacks.float_craft import FloatCrafter

    model = FloatModel(model_path)
    surrogate = _surrogate(means, model, settings)
    clean = _fitting(clean.first(attacked_samples), model, settings)
    crafter = FloatCrafter(model, settings, surrogate, _transferred(means, clean))
    there = elsewhere(clean) if elsewhere else None
    crafted = _crafted(crafter, clean, attacks, means, progress, finished, there)
    quantization = Quantization.from_range(*settings.clip)
    return [
        dataclasses.replace(
            suite, float_logits=model.outputs(suite.inputs), input_quantization=quantization
        )
        for suite in (clean, *crafted)
    ]


def craft_oracle_suites(
    oracle: Oracle,
    clean: Suite,
    attacks: Sequence[str],
    settings: AttackSettings,
    progress: ProgressBar,
    means: Means,
    float_model: Path | None = None,
    elsewhere: Crafting | None = None,
) -> list[Suite]:
    """The clean suite, and the suites of attacks on a converted model.

    Args:
        oracle: what is attacked.
        clean: labelled samples; all are attacked.
        attacks: names out of ``ATTACKS``.
        settings: of the attacks.
        progress: opens a progress bar.
        means: what there is besides the oracle.
        float_model: a QKeras model whose logits the suites get.
        elsewhere: crafts, if that is not to be done here.

    Raises:
        ModelError: a float model cannot be read.
        DataError: the samples are not of the input's shape.
        UsageError: an attack is unknown, or needs what there is not; or an epsilon is below one
            int8 step, which white-box attacks move by.
        LinkError: the oracle is a device and does not answer.
    """
    means.check(attacks)
    from tinyedge.attacks.oracle_craft import OracleCrafter

    surrogate = _surrogate(means, oracle, settings)
    other = None
    if float_model:
        from tinyedge.attacks.classifier import FloatModel  # loads TensorFlow

        other = FloatModel(float_model)
        _check_alike(other, oracle, float_model)
    clean = _fitting(clean, oracle, settings)
    crafter = OracleCrafter(oracle, settings, surrogate, _transferred(means, clean))
    crafter.check(attacks)
    there = elsewhere(clean) if elsewhere else None
    crafted = _crafted(crafter, clean, attacks, means, progress, elsewhere=there)
    return [
        dataclasses.replace(
            suite,
            float_logits=other.outputs(suite.inputs) if other else None,
            input_quantization=oracle.quantization,
        )
        for suite in (clean, *crafted)
    ]


def _crafted(
    crafter: Crafter,
    attacked: Suite,
    attacks: Sequence[str],
    means: Means,
    progress: ProgressBar,
    finished: FinishedSuites | None = None,
    elsewhere: Elsewhere | None = None,
) -> Iterator[Suite]:
    """The suites of the attacks, one an epsilon where they spend it, without logits."""
    variants = [
        (attack, name, crafter.with_settings(settings))
        for attack in attacks
        for name, settings in crafter.settings.by_suite(attack).items()
    ]
    count = len(attacked.labels)
    pieces = elsewhere(_assignments(variants, count)) if elsewhere else None
    for attack, name, variant in variants:
        if finished and name in finished.suites:
            inputs, described = finished.suites[name]
            yield dataclasses.replace(
                attacked,
                name=name,
                inputs=inputs.reshape(attacked.inputs.shape),
                settings=described,
            )
            continue
        if pieces:
            piece = Piece.joined([next(pieces) for _ in variant.parts(attack, count)])
        else:
            with progress(f"crafting {name}", count) as advance:
                piece = variant.craft(attack, attacked.inputs, attacked.labels, advance)
        inputs = piece.inputs
        described = variant.settings.describe(attack, int(np.prod(variant.model.shape)))
        described |= variant.details(attack, piece)
        if means.surrogate and ATTACKS[attack].kind == "transfer":
            described["surrogate"] = means.surrogate.name
        if means.start and attack == "refine":
            described["start"] = means.start.name
            starts = variant.starts(attacked.inputs)
            for key, samples in (("fooled_at_start", starts), ("fooled", inputs)):
                found = verdicts(variant.model.logits(samples))
                described[key] = int((found != attacked.labels).sum())
        if finished:
            finished.add(name, inputs, described)
        yield dataclasses.replace(attacked, name=name, inputs=inputs, settings=described)


def _assignments(variants: Sequence[tuple[str, str, Crafter]], count: int) -> list[Assignment]:
    """The parts of attacks on so many samples.

    Args:
        variants: an attack, its suite's name, and a crafter with its settings each.
        count: of the samples.
    """
    return [
        Assignment(attack, variant.settings, at)
        for attack, _, variant in variants
        for at in variant.parts(attack, count)
    ]


def _surrogate(means: Means, model: Answering, settings: AttackSettings) -> Crafter | None:
    """Attacks on the surrogate, if there is one; raises UsageError where it does not fit."""
    if not means.surrogate:
        return None
    from tinyedge.attacks.classifier import FloatModel
    from tinyedge.attacks.float_craft import FloatCrafter

    surrogate = FloatModel(means.surrogate)
    _check_alike(surrogate, model, means.surrogate)
    return FloatCrafter(surrogate, settings)


def _check_alike(other: Answering, model: Answering, path: Path) -> None:
    if (other.shape, other.classes) != (model.shape, model.classes):
        raise UsageError(
            f"{path}: takes {other.shape} to {other.classes} classes, the model "
            f"under attack {model.shape} to {model.classes}"
        )


def _transferred(means: Means, attacked: Suite) -> NDArray[np.float32] | None:
    """The samples that refining starts near, float32 (n, *shape).

    Raises:
        DataError: the samples to start from are not versions of those under attack.
    """
    if not means.start:
        return None
    start = means.start.first(len(attacked.labels))
    if start.inputs.shape != attacked.inputs.shape or (start.labels != attacked.labels).any():
        raise DataError(
            f"suite '{start.name}' to start from holds no versions of the samples under attack",
            hint="attack the clean samples of the same file, and no more than the suite holds",
        )
    return start.inputs


def _fitting(clean: Suite, model: Answering, settings: AttackSettings) -> Suite:
    """The samples in the model's input shape.

    Raises:
        DataError: they do not fit the model, or leave the range that samples are clipped to.
    """
    low, high = settings.clip
    clean = clean.fitted(ModelInput(model.shape, classes=model.classes, pixels=(low, high)))
    if clean.inputs.size and not low <= clean.inputs.min() <= clean.inputs.max() <= high:
        raise DataError(
            f"samples from {clean.inputs.min():g} to {clean.inputs.max():g} leave the range "
            f"{low:g} to {high:g} that adversarial samples are clipped to",
            hint="--clip LOW HIGH",
        )
    return clean
