"""The input of ``tinyedge attack``: models, and labelled samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinyedge.evaluation.suites import Suite
    from tinyedge.names import DatasetName
    from tinyedge.progress import Listener
    from tinyedge.samples.scaling import ModelInput


def model_file(model: Path) -> tuple[Path, dict[str, Any] | None]:
    """The model's file, and the record of the run that it comes from, if it is a run's folder."""
    from tinyedge.training.record import RECORD, read_record

    if not (model / RECORD).is_file():
        return model, None
    return model / "model.h5", read_record(model)


def start_suite(given: str) -> tuple[Path, Suite]:
    """The file and the suite that FILE[:NAME] names.

    Raises:
        UsageError: the file holds no such suite, or several that are not clean.
    """
    from tinyedge.errors import UsageError
    from tinyedge.evaluation.suites import load_suites

    file, _, name = (given, "", "") if Path(given).is_file() else given.rpartition(":")
    path = Path(file or given)
    suites = {suite.name: suite for suite in load_suites(path)[1:]}
    chosen = name or (next(iter(suites)) if len(suites) == 1 else "")
    if chosen not in suites:
        raise UsageError(
            f"{path}: holds no adversarial suite '{name}'" if name else f"{path}: which suite?",
            hint=f"--start {path}:NAME, of {', '.join(suites) or 'none'}",
        )
    return path, suites[chosen]


def clean_samples(
    listener: Listener,
    run: dict[str, Any] | None,
    data: Path | Suite | None,
    dataset: DatasetName | None,
    folder: Path | None,
    takes: ModelInput,
    channels: Callable[[], int],
) -> Suite:
    """The labelled samples that were asked for.

    Args:
        listener: hears of progress.
        run: the record of a run, if that is under attack.
        data: a file of samples, or a suite.
        dataset: or a data set.
        folder: where the data set, or the run's, lies.
        takes: how the model takes samples.
        channels: gives those of the model's input.
    """
    from tinyedge.evaluation.suites import load_suites, suite_of, suite_remarks

    if data:
        suite = (load_suites(data)[0] if isinstance(data, Path) else data).fitted(takes)
        listener.remark(*suite_remarks([suite], takes))
        return suite
    if not (dataset or run):
        from tinyedge.demo import clean_suite

        return clean_suite()
    from tinyedge.datasets import load_test_set

    if run and not dataset:
        from tinyedge.training.config import DataConfig
        from tinyedge.training.data import load_data

        config = DataConfig.model_validate(run["config"]["data"])
        with listener.step(f"loading {config.name}"):
            test = load_data(config, folder).test
    else:
        assert dataset
        grey = channels() == 1
        with listener.step(f"loading {dataset}"):
            test = load_test_set(dataset, folder, channels="grey" if grey else "rgb")
    suite = suite_of(test, "clean", takes)
    listener.remark(*suite_remarks([suite], takes))
    return suite
