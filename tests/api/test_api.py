"""The commands as functions: the same results as the commands'."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import run_json
from tests.importers import keras_models as km
from tinyedge import demo, errors
from tinyedge.api import Crafted
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph import reference
from tinyedge.keras.environment import tf_keras
from tinyedge.keras.load import load_keras_model
from tinyedge.reports.footprint import network_alone
from tinyedge.reports.notebook import footprint_tables

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def model(demo_model: ConvertedModel) -> tinyedge.Model:
    return tinyedge.load(demo_model.folder)


@pytest.fixture(scope="module")
def firmware(model: tinyedge.Model) -> tinyedge.Firmware:
    return model.build("netduinoplus2")


@pytest.fixture(scope="module")
def suite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clean = demo.clean_suite()
    path = tmp_path_factory.mktemp("suites") / "samples.npz"
    np.savez(path, x=clean.inputs[:12], y=clean.labels[:12])
    return path


def test_import_is_light() -> None:
    script = (
        "import sys, tinyedge; assert 'convert' in dir(tinyedge); "
        "heavy = {'numpy', 'rich', 'tensorflow', 'pydantic', 'click'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_name_is_found_and_no_other() -> None:
    for name in tinyedge.__all__:
        assert getattr(tinyedge, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'konvert'"):
        _ = tinyedge.konvert


def test_a_model_at_hand_is_converted_as_its_file_is(tmp_path: Path) -> None:
    keras = load_keras_model(demo.MODEL)
    calibration = np.load(demo.CALIBRATION)["x"]
    at_hand = tinyedge.convert(keras, calibration)
    of_file = tinyedge.convert(demo.MODEL, demo.CALIBRATION, folder=tmp_path / "m")
    assert at_hand.converted.graph.hash == of_file.converted.graph.hash
    assert (of_file.folder / "model.c").is_file()
    assert repr(tinyedge.load(tmp_path / "m")) == repr(of_file)
    again = tinyedge.convert(keras, calibration)
    sources = [(each.folder / "model.c").read_text() for each in (at_hand, again)]
    assert sources[0] == sources[1]


def test_temporary_folders_live_as_long_as_what_lies_in_them(demo_model: ConvertedModel) -> None:
    firmware = tinyedge.convert(demo_model.folder).build("netduinoplus2")
    elf = firmware.elf
    assert elf.is_file()
    del firmware
    assert not elf.exists()


def test_a_run_is_that_of_the_command(
    firmware: tinyedge.Firmware, suite_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    result = firmware.run(suite_file, on="emulator", progress=seen.append)
    arguments = ("run", firmware.model.folder, "--on", "emulator", "--data", suite_file)
    command = run_json(capsys, *arguments)
    assert sum(seen) == 12
    assert set(result.record) == set(command) - {"version", "status"}
    of_api = json.loads(json.dumps(result.record))
    for record in (of_api, command):
        counted = record["suites"][0].pop("instructions")
        assert counted["mean"] == pytest.approx(1_996_700, rel=0.2)  # to a tick of QEMU's counter
        ram = record["memory"]["ram"]
        peak = ram.pop("stack_peak")  # by where interrupts came: a frame more or less
        assert 0 < peak < 2048
        assert ram.pop("total") == ram["arena"] + ram["static"] + peak
    for key in ("on", "board", "emulator", "compiler", "model", "memory", "arena", "suites"):
        assert of_api[key] == command[key], key
    graph = firmware.model.converted.graph
    clean = demo.clean_suite()
    inputs = graph.input_tensor.quantization.quantize(clean.inputs[:12])
    assert np.array_equal(result.logits, reference.run(graph, inputs))
    assert result.logits.dtype == np.int8
    accuracy = (result.logits.argmax(axis=1) == clean.labels[:12]).mean()
    assert result.accuracy == accuracy
    low, high = result.interval or (1.0, 0.0)
    assert low < accuracy <= high
    assert result.mismatches == 0
    assert result.require_equal() is result


def test_a_saved_run_becomes_a_report(
    model: tinyedge.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = demo.clean_suite()
    result = model.run((clean.inputs[:4], clean.labels[:4]), on="twin")
    result.save(tmp_path / "run.json")
    report = run_json(capsys, "report", tmp_path / "run.json")
    of_api = json.loads(json.dumps(result.record))
    assert report["runs"][0]["record"]["suites"] == of_api["suites"]
    with pytest.raises(errors.UsageError, match="labelled"):
        model.run(clean.inputs[:4], on="twin").save(tmp_path / "other.json")


@pytest.mark.parametrize("on", ["numpy", "twin", "tflite-micro", "emulator"])
def test_arrays_run_anywhere(model: tinyedge.Model, on: Any) -> None:
    clean = demo.clean_suite()
    labelled = model.run((clean.inputs[:4], clean.labels[:4]), on=on)
    images = np.rint(clean.inputs[:4] * 255).astype(np.uint8)
    with pytest.warns(UserWarning, match="stand for 0 to 1"):
        plain = model.run(images, on=on)
    assert np.array_equal(labelled.logits, plain.logits)
    assert plain.accuracy is None
    assert plain.record["mismatched_logits"] == 0
    assert labelled.record["on"] == plain.record["on"] == on


def test_attacks_give_suites_that_run(model: tinyedge.Model, tmp_path: Path) -> None:
    clean = demo.clean_suite()
    suites = tinyedge.attack(
        demo.MODEL, (clean.inputs[:20], clean.labels[:20]), "fgsm", epsilon=0.2
    )
    result = model.run(suites)
    assert list(result.suites) == ["samples", "fgsm"]
    before, after = (result[name].accuracy for name in ("samples", "fgsm"))
    assert before is not None
    assert after is not None
    assert after < before - 0.3
    with pytest.raises(errors.UsageError, match="which suite"):
        _ = result.accuracy
    assert "fgsm" in repr(result)
    assert tmp_path.exists()


def test_attacks_at_several_epsilons_are_told_apart(model: tinyedge.Model) -> None:
    clean = demo.clean_suite()
    samples = (clean.inputs[:10], clean.labels[:10])
    suites = tinyedge.attack(demo.MODEL, samples, "fgsm", epsilon=(0.2, 0.05))
    changes = [float(np.abs(suite.inputs - samples[0]).max()) for suite in suites]
    assert changes == pytest.approx([0, 0.05, 0.2], abs=1e-6)
    assert list(model.run(suites).suites) == ["samples", "fgsm@0.05", "fgsm@0.2"]


def test_footprint_and_sizes_are_those_of_the_commands(
    firmware: tinyedge.Firmware, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = firmware.model.folder
    built = run_json(capsys, "build", folder, "-b", "netduinoplus2")
    assert firmware.memory == built["memory"]
    assert firmware.flash == built["memory"]["flash"]["total"]
    footprint = run_json(capsys, "footprint", folder, "-b", "netduinoplus2")
    assert firmware.footprint.record == {key: footprint[key] for key in firmware.footprint.record}
    assert {layer["name"] for layer in firmware.footprint.layers} >= {"conv", "classifier"}


class _Checked(HTMLParser):
    """Counts cells, and finds tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def test_notebooks_show_bars_and_tables(firmware: tinyedge.Firmware, suite_file: Path) -> None:
    shown = _Checked(firmware._repr_html_())
    assert f"{firmware.flash:,} of 1,048,576 bytes" in shown.text
    assert f"| Flash | {firmware.flash:,} | " in firmware._repr_markdown_()
    assert "te_conv2d_lut_s8" in _Checked(firmware.model._repr_html_()).text
    assert "| conv | Conv2D | 14x14x32 | 903,168 |" in firmware.model._repr_markdown_()
    result = firmware.model.run(suite_file)
    assert "clean" in _Checked(result._repr_html_() or "").text
    assert "| clean | 12 | - |" in result._repr_markdown_()
    assert "conv" in firmware.footprint._repr_markdown_()
    assert len(repr(firmware.footprint)) < 100
    page = _Checked(firmware.footprint._repr_html_())
    record = firmware.footprint.record
    for table in footprint_tables(record):
        assert table.title in page.text
    assert f"{network_alone(record['groups'])['flash']:,} bytes of flash" in page.text


def test_results_are_rows_of_a_data_frame(
    model: tinyedge.Model, suite_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = model.run(suite_file)
    assert len(repr(result["clean"])) < 100
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(errors.MissingDependencyError, match="needs pandas") as raised:
        result.to_dataframe()
    assert raised.value.hint.endswith("pip install pandas")
    frame = types.SimpleNamespace(DataFrame=lambda rows: rows)
    monkeypatch.setitem(sys.modules, "pandas", frame)
    (row,) = result.to_dataframe()
    assert row["accuracy_device"] == result.accuracy
    assert (row["low"], row["high"]) == result.interval
    assert (row["suite"], row["samples"], row["differing_logits"]) == ("clean", 12, 0)
    (row,) = model.run(np.load(suite_file)["x"]).to_dataframe()
    assert row == {"suite": "samples", "samples": 12, "differing_logits": 0}


def test_suites_are_shown_in_a_line_each() -> None:
    suites = Crafted([demo.clean_suite()])
    assert len(repr(suites)) < 100
    assert "28x28x1" in _Checked(suites._repr_html_()).text
    assert "| clean |" in suites._repr_markdown_()


UNKNOWN_CORE: dict[str, Any] = {"core": "cortex-m99"}
UNKNOWN_AIM: dict[str, Any] = {"optimize": "fun"}
NO_NUMBER: dict[str, Any] = {"epsilon": "some"}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda _: tinyedge.convert("none.h5"), errors.ModelError, "no such file"),
        (lambda _: tinyedge.convert(object()), errors.ModelError, "builtins.object"),
        (lambda m: tinyedge.convert(m.folder, np.zeros((1, 2))), errors.UsageError, "calibration"),
        (lambda _: tinyedge.load("none"), errors.ModelError, "no such folder"),
        (lambda m: m.build("nucleo"), errors.BoardError, "nucleo"),
        (lambda m: m.run("none.npz"), errors.DataError, "no such file"),
        (lambda m: m.run(np.zeros((2, 5, 5, 1), np.int8)), errors.DataError, "28, 28, 1"),
        (
            lambda m: m.run((np.zeros((2, 28, 28, 1)), np.ones(1, int))),
            errors.DataError,
            "1 labels",
        ),
        (lambda m: m.run(np.zeros((1, 28, 28, 1)), on="mars"), errors.UsageError, "numpy, twin"),
        (lambda m: m.run([]), errors.UsageError, "suites"),
        (lambda m: tinyedge.convert(m.folder, **UNKNOWN_CORE), errors.UsageError, "cortex-m33"),
        (lambda m: tinyedge.convert(m.folder, **UNKNOWN_AIM), errors.UsageError, "speed, size"),
        (
            lambda m: tinyedge.convert(m.folder, core="avr", board="microbit"),
            errors.UsageError,
            "exclude",
        ),
        (lambda m: m.build(compiler="clang"), errors.UsageError, "compiler='clang': one of gcc"),
        (lambda m: m.build(3), errors.UsageError, "board=3"),
        (
            lambda m: m.run(np.zeros((1, 28, 28, 1)), on="emulator", compiler="clang"),
            errors.UsageError,
            "gcc, zig",
        ),
        (
            lambda m: m.run(np.zeros((1, 28, 28, 1)), on="emulator", emulator="renode"),
            errors.UsageError,
            "qemu, unicorn",
        ),
        (
            lambda m: m.run(np.zeros((1, 28, 28, 1)), compiler="gcc"),
            errors.UsageError,
            "compiler: goes with on='emulator'",
        ),
        (
            lambda m: m.run(np.zeros((1, 28, 28, 1)), on="board", port="p", timeout_s="long"),
            errors.UsageError,
            "timeout_s='long'",
        ),
        (
            lambda m: m.run((np.zeros((1, 28, 28, 1)), np.zeros(1, int)))["pgd"],
            errors.UsageError,
            "no suite 'pgd': one of ",
        ),
        (
            lambda _: tinyedge.attack(
                demo.MODEL, (np.zeros((2, 28, 28, 1)), np.arange(2)), **NO_NUMBER
            ),
            errors.UsageError,
            "epsilon='some'",
        ),
        (
            lambda _: tinyedge.attack(
                demo.MODEL, (np.zeros((2, 28, 28, 1)), np.arange(2)), iteration=3
            ),
            errors.UsageError,
            "iteration: .* iterations, ",
        ),
        (lambda m: m.run(np.zeros((1, 28, 28, 1)), on="board"), errors.DeviceError, "port"),
        (
            lambda _: tinyedge.attack(demo.MODEL, np.zeros((2, 28, 28, 1))),
            errors.UsageError,
            "suites",
        ),
        (
            lambda _: tinyedge.attack(
                demo.MODEL, (np.zeros((2, 28, 28, 1)), np.arange(2)), epsilon=[0.1, 0.0]
            ),
            errors.UsageError,
            "epsilon is 0",
        ),
        (lambda m: tinyedge.attack(m, (np.zeros(2), np.arange(2))), errors.ModelError, "converted"),
    ],
)
def test_errors_are_those_of_the_commands(
    call: Any, error: type[errors.TinyEdgeError], message: str, model: tinyedge.Model
) -> None:
    with pytest.raises(error, match=message) as failure:
        call(model)
    assert failure.value.hint
    assert len(failure.value.__notes__) == 1  # what a notebook shows below the message
    assert failure.value.__notes__[0].startswith("hint: ")


def test_notes_are_in_a_notebook_s_words(model: tinyedge.Model) -> None:
    with pytest.raises(errors.DeviceError) as failure:
        model.run(np.zeros((1, 28, 28, 1)), on="board")
    assert "-p PORT" in failure.value.hint
    assert failure.value.__notes__[0].startswith("hint: port=PORT; ")


def test_an_unsupported_layer_is_named() -> None:
    keras = km.sequential((4, 4, 1), tf_keras.layers.Lambda(lambda x: x + 1))
    with pytest.raises(errors.ModelError, match="Lambda"):
        tinyedge.convert(keras)
