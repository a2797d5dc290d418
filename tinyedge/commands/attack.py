"""Crafting adversarial samples on a model, float or converted, and judging it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinyedge.attacks import AttackSettings
from tinyedge.attacks.finished import FinishedSuites, identity, start_identity
from tinyedge.attacks.judgement import judge
from tinyedge.attacks.suites import Crafting, Elsewhere, Means, attack_names, craft_suites
from tinyedge.commands.arguments import check_outputs
from tinyedge.commands.attack_data import clean_samples, model_file, start_suite
from tinyedge.commands.attack_oracle import OracleOptions, attack_converted
from tinyedge.commands.clusters import opened_cluster
from tinyedge.errors import DataError, UsageError
from tinyedge.evaluation.suites import Suite, holds_pixels, save_suites
from tinyedge.exporters.converted import MANIFEST_FILE, load_converted
from tinyedge.graph.graph import GRAPH_FILE
from tinyedge.importers import is_onnx_model, is_tflite_model
from tinyedge.importers.result import file_hash
from tinyedge.names import GRADIENT_PLACES, DatasetName
from tinyedge.progress import Listener
from tinyedge.samples.scaling import ModelInput, wide_epsilon

if TYPE_CHECKING:
    from tinyedge.cluster.engine import Engine

_LARGEST = float(np.finfo(np.float32).max)


class Subject(NamedTuple):
    """The model under attack, and where it comes from.

    Attributes:
        model: a QKeras model, the folder of a training's run, or that of a converted model.
        data: labelled samples, or a file of such.
        dataset: or the test set of a data set.
        data_folder: where its files lie.
        number: of samples that are attacked.
        surrogate: model or run that transfer attacks are crafted on.
        start: ``FILE[:NAME]`` of a suite that refining starts from.
    """

    model: Path
    data: Path | Suite | None
    dataset: DatasetName | None
    data_folder: Path | None
    number: int | None
    surrogate: Path | None
    start: str | None


def craft(
    subject: Subject,
    attacks: str | None,
    epsilons: Sequence[float] | None,
    clip: tuple[float, float] | None,
    temperature: float | None,
    options: OracleOptions,
    suite_file: Path | None,
    listener: Listener,
    others: dict[str, Any],
) -> tuple[list[Suite], dict[str, Any] | None]:
    """Crafts suites, and saves and judges them if there is a file for them.

    Args:
        subject: what is attacked.
        attacks: their names, separated by commas.
        epsilons: largest changes of any input value.
        clip: range that samples stay in.
        temperature: that attacks divide the logits by.
        options: where a converted model runs, and the journal.
        suite_file: to write; None to neither save nor judge.
        listener: told how far it is.
        others: settings of ``AttackSettings``.

    Returns:
        The suites, the clean one first; and what ``attack --json`` prints, None without a file.
    """
    model, data = subject.model, subject.data
    if data is not None and subject.dataset:
        raise UsageError("--data and --dataset exclude each other")
    converted = load_converted(model) if (model / MANIFEST_FILE).is_file() else None
    if is_tflite_model(model) or is_onnx_model(model) or model.name == GRAPH_FILE:
        raise UsageError(
            f"{model}: attacked as a converted model",
            hint="tinyedge convert MODEL -o DIR, then tinyedge attack DIR --on twin",
        )
    options.check(converted)
    started, starting = start_suite(subject.start) if subject.start else (None, None)
    if data is None and not subject.dataset:
        data = started
    other = model_file(subject.surrogate)[0] if subject.surrogate else None
    means = Means(
        gradients=converted is None or options.place in GRADIENT_PLACES,
        integers=converted is not None,
        surrogate=other,
        start=starting,
    )
    names = attack_names(attacks or ("square" if converted else "fgsm,pgd"), means)
    target, run = model_file(model)
    takes = ModelInput.of(converted.graph, clip, sequences=False) if converted else ModelInput()
    pixels = bool(subject.dataset) or (isinstance(data, Path) and holds_pixels(data))
    low, high = clip or _range(takes, run if data is None else None, pixels=pixels)
    if not -_LARGEST < low < high < _LARGEST:
        raise UsageError("--clip: LOW has to be below HIGH, and both numbers of a float32")
    trained_with = run["config"]["model"]["temperature"] if run else 1.0
    settings = AttackSettings.at(
        epsilons or [8 / 255 * (high - low)],
        clip=(low, high),
        temperature=temperature or trained_with,
        **others,
    )

    def channels() -> int:
        from tinyedge.attacks.classifier import FloatModel

        shape = converted.graph.input_tensor.shape if converted else FloatModel(target).shape
        return shape[-1]

    for epsilon in epsilons or ():
        if warning := wide_epsilon(epsilon, (low, high)):
            listener.remark(warning)
    if not converted:
        takes = ModelInput(pixels=(low, high))
    clean = clean_samples(
        listener, run, data, subject.dataset, subject.data_folder, takes, channels
    )
    count = min(subject.number or len((starting or clean).labels), len(clean.labels))
    if data is None and (subject.dataset or run):
        clean = clean.drawn(count, settings.seed)
    clean = clean.first(count)
    named = bool(data is not None or subject.dataset or run)
    check_outputs(
        {"--output": suite_file, "the journal": options.journal_beside(suite_file)},
        [
            ("MODEL", model),
            ("--data", data if isinstance(data, Path) else None),
            ("--start", started),
            ("--surrogate", subject.surrogate),
            ("--float-model", options.float_model),
        ],
    )
    if converted:
        with _hint_at_data(named):
            return attack_converted(
                listener, converted, options, clean, names, settings, means, suite_file
            )
    with (
        _finished(listener, options, suite_file, target, clean, settings, means) as finished,
        _on_cluster(listener, options, target, settings, means) as (elsewhere, engine),
    ):
        with _hint_at_data(named):
            suites = craft_suites(
                target, clean, names, settings, count, listener.progress, means, finished, elsewhere
            )
        record = None
        if suite_file:
            found = _judged_and_saved(listener, target, suites, settings, suite_file)
            record = {"file": str(suite_file), **found}
            record |= {"cluster": engine.record()} if engine else {}
        if finished:
            finished.remove()
    return suites, record


@contextlib.contextmanager
def _on_cluster(
    listener: Listener,
    options: OracleOptions,
    target: Path,
    settings: AttackSettings,
    means: Means,
) -> Iterator[tuple[Crafting | None, Engine | None]]:
    """Gives the named cluster, if any, and its crafter of a float model's samples."""
    if options.address is None:
        yield None, None
        return
    with opened_cluster(options.address, options.chunks, listener) as engine:
        from tinyedge.cluster.crafting import ClusterCrafting

        def crafting(attacked: Suite) -> Elsewhere:
            return ClusterCrafting(engine, target, attacked, settings, means)

        yield crafting, engine


@contextlib.contextmanager
def _hint_at_data(named: bool) -> Iterator[None]:  # noqa: FBT001
    """Hints at --data where samples do not fit that nobody has named."""
    try:
        yield
    except DataError as error:
        if named:
            raise
        raise DataError(str(error), hint="name labelled samples with --data") from error


@contextlib.contextmanager
def _finished(
    listener: Listener,
    options: OracleOptions,
    suite_file: Path | None,
    target: Path,
    attacked: Suite,
    settings: AttackSettings,
    means: Means,
) -> Iterator[FinishedSuites | None]:
    """The journal; if the body fails, the suites that it holds stay, and the user is told."""
    path = options.journal_beside(suite_file)
    if path is None:
        yield None
        return
    others = {
        "surrogate": file_hash(means.surrogate) if means.surrogate else None,
        "start": start_identity(means.start),
    }
    bound_to = identity(file_hash(target), attacked, settings, others)
    if options.resume and path.exists():
        journal = FinishedSuites.resume(path, bound_to, attacked.inputs.shape)
        listener.remark(f"{len(journal.suites):,} finished suites are in {path}")
    else:
        if options.resume:
            listener.remark(f"{path}: no journal to resume; the attack begins anew")
        journal = FinishedSuites.create(path, bound_to, discard=options.discard)
    with journal:
        try:
            yield journal
        except BaseException:
            if journal.suites:
                listener.remark(
                    f"{len(journal.suites):,} finished suites are in {path}; --resume goes on "
                    "with them"
                )
            else:
                journal.remove()
            raise


def _judged_and_saved(
    listener: Listener,
    target: Path,
    suites: list[Suite],
    settings: AttackSettings,
    suite_file: Path,
) -> dict[str, Any]:
    """Saves the suites, first as they are, then with what judging has found; gives that."""
    source = {"file": target.name, "sha256": file_hash(target)}
    save_suites(suite_file, suites, source)
    with listener.step("judging"):
        found = judge(target, suites, settings)
    save_suites(suite_file, suites, source, found["masking"])
    return found


def _range(takes: ModelInput, run: dict[str, Any] | None, *, pixels: bool) -> tuple[float, float]:
    """The range that samples stay in: of a converted model what its int8 input spans."""
    if run:
        low, high = run["input_range"]
        return low, high
    if takes.quantization is None:
        return 0.0, 1.0
    if pixels and not takes.bytes_are_input:
        return takes.pixel_range
    low, high = (float(value) for value in takes.quantization.dequantize([-128, 127]))
    if not takes.bytes_are_input:
        # To six digits outwards, as a scale in float32 is no more exact: all int8 values lie in it.
        low, high = min(low, float(f"{low:.6g}")), max(high, float(f"{high:.6g}"))
    return low, high
