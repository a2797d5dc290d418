"""Fixtures that several test modules share."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tinyedge import demo
from tinyedge.attacks import AttackSettings
from tinyedge.attacks.suites import craft_suites
from tinyedge.cli.output import Output
from tinyedge.evaluation.suites import Suite
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.importers import import_model
from tinyedge.samples.reading import read_calibration

# A shell that starts us in the background may ignore SIGINT, and so would programs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("tinyedge", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("tinyedge")

ON_CI = os.environ.get("CI", "").lower() in ("1", "true")


def require(available: Sequence[str], needed: str) -> None:
    """Skips the test where a tool is missing; on CI that is a failure."""
    if needed in available:
        return
    message = f"{needed} is not installed (make test, as root on Debian, installs it)"
    if ON_CI:
        pytest.fail(message)
    pytest.skip(message)


def require_packages(*names: str) -> None:
    """Skips a whole module where a package is missing; on CI that is a failure."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing and not ON_CI:
        pytest.skip(f"{missing[0]} is not installed", allow_module_level=True)


KERAS_FIXTURES = {"demo_model", "demo_suites", "demo_samples", "prepared", "workplace"}
"""Fixtures that load TensorFlow."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what loads TensorFlow through a fixture."""
    for item in items:
        if KERAS_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.keras)


@pytest.fixture(autouse=True)
def _tables_have_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readline, which pytest loads, tells all processes begun later that of some terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)


@pytest.fixture(autouse=True)
def _tensorflow_is_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where TensorFlow's tests are left out, as by 'make quick', no other test loads it."""
    loaded = "tensorflow" in sys.modules
    yield
    if "keras" in request.config.option.markexpr and not loaded:
        assert "tensorflow" not in sys.modules, "loads TensorFlow: mark it 'keras'"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Loads ART ahead where a test will.

    ART configures logging when it is imported, and absl then closes the stream that it logs to,
    unless that is the process's own. It has to be, and before pytest gives each test a stderr.
    """
    if any(item.get_closest_marker("keras") for item in session.items):
        logging = importlib.import_module("absl.logging")
        logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
        importlib.import_module("tinyedge.attacks.craft")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists what of the documentation was parsed, but could not be run."""
    reports = [
        *terminalreporter.stats.get("passed", []),
        *terminalreporter.stats.get("failed", []),
    ]
    for report in reports:
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "only parsed":
                terminalreporter.write_line(f"only parsed: {value}")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*command, str(Path(__file__).parents[1])], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    """The demonstration network, converted as 'tinyedge demo' does."""
    imported = import_model(demo.MODEL, read_calibration(demo.CALIBRATION))
    folder: Path = tmp_path_factory.mktemp("demo") / "model"
    return write_converted(imported.graph, folder, "tinyedge demo", imported.notes)


@pytest.fixture(scope="session")
def demo_suites() -> list[Suite]:
    """The suites of the demonstration: 200 clean, 200 FGSM and 200 PGD samples."""
    output = Output(verbosity=-1)
    clean = demo.clean_suite()
    attack = AttackSettings(epsilon=8 / 255)
    return craft_suites(demo.MODEL, clean, ("fgsm", "pgd"), attack, 200, output.progress)


@pytest.fixture(scope="session")
def demo_samples(demo_model: ConvertedModel, demo_suites: list[Suite]) -> np.ndarray:
    """Every sample of the demonstration as the device receives it, int8 (600, 28, 28, 1)."""
    quantization = demo_model.graph.input_tensor.quantization
    return np.concatenate([quantization.quantize(suite.inputs) for suite in demo_suites])
