"""Records of runs, and every form of report that is made from them."""

from __future__ import annotations

import base64
import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from junitparser import JUnitXml

from tests.cli.commands import failure, run_cli, run_json
from tests.cli.test_cli import light
from tests.reports.runs import (
    CLASSES,
    MASKING,
    attacked_suite,
    clean_suite,
    from_file,
    network,
    results_of,
    six_suites,
    write_run,
)
from tinyedge.errors import DataError, UsageError
from tinyedge.evaluation.metrics import verdicts
from tinyedge.evaluation.suites import Suite
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.graph import reference
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.models.benchmark import NetworkBuilder
from tinyedge.records.parts import dumped
from tinyedge.records.run import Run, load_run, run_schema
from tinyedge.reports.charts import arena_figure, attack_colours, robustness_figure
from tinyedge.reports.html import render_html
from tinyedge.reports.markdown import render_markdown
from tinyedge.reports.record import evaluation_record, printed
from tinyedge.reports.report import Curve, Point, load_report
from tinyedge.reports.tables import render_table

DATA = Path(__file__).parent / "data"
SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "run-1.json"
OLD = DATA / "report-0.1.0.json"
"""A ``report.json`` as the demonstration wrote it before records had a version."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return network(tmp_path_factory.mktemp("small") / "m")


@pytest.fixture(scope="module")
def suites(model: ConvertedModel, tmp_path_factory: pytest.TempPathFactory) -> list[Suite]:
    return six_suites(tmp_path_factory.mktemp("suites"), model, 60)


@pytest.fixture(scope="module")
def run_file(
    model: ConvertedModel, suites: list[Suite], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "run.json", model, suites)


@pytest.fixture(scope="module")
def record(run_file: Path) -> dict[str, Any]:
    return dict(json.loads(run_file.read_text()))


def decoded(array: dict[str, Any]) -> np.ndarray:
    """An array as the documentation says that any program can read it."""
    content = np.frombuffer(base64.b64decode(array["data"]), f"<{np.dtype(array['dtype']).str[1:]}")
    return content.reshape(array["shape"])


def test_record_holds_all_that_its_figures_come_from(
    record: dict[str, Any], suites: list[Suite]
) -> None:
    arrays = {each["suite"]: each for each in record["arrays"]}
    clean = suites[0]
    for suite, shown in zip(suites, record["suites"], strict=True):
        own = arrays[suite.name]
        labels = decoded(own["labels"])
        assert np.array_equal(labels, suite.labels)
        floats, host, device = (
            decoded(own[f"{place}_logits"]) for place in ("float", "host", "device")
        )
        assert suite.float_logits is not None
        assert np.array_equal(floats, suite.float_logits)
        assert np.array_equal(host, device)
        assert shown["accuracy"]["device"] == (device.argmax(axis=1) == labels).mean()
        assert shown["accuracy"]["float"] == (floats.argmax(axis=1) == labels).mean()
        low, high = shown["intervals"]["device"]
        assert low < shown["accuracy"]["device"] < high
        confusion = np.array(shown["confusion"]["device"])
        assert confusion.sum() == len(labels)
        assert confusion.trace() == (device.argmax(axis=1) == labels).sum()
        assert np.array_equal(confusion.sum(axis=1), np.bincount(labels, minlength=10))
        counts = decoded(own["instructions"])
        assert shown["instructions"]["p50"] in counts
        assert (counts <= shown["instructions"]["p95"]).mean() >= 0.95
        output = record["model"]["output"]
        real = output["scale"] * (device.astype(float) - output["zero_point"])
        error = shown["logit_error"]["device_float"]
        assert error["rmse"] == pytest.approx(np.sqrt(((real - floats) ** 2).mean()))
        assert shown["logit_error"]["device_host"]["rmse"] == 0
        assert shown["classes"] == list(CLASSES)
        if suite is clean:
            assert shown["change"] is None
            continue
        lengths = np.linalg.norm((suite.inputs - clean.inputs).reshape(len(labels), -1), axis=1)
        assert decoded(own["l2"]) == pytest.approx(lengths, rel=1e-5)
        assert shown["change"]["clean"] == "clean"
        assert shown["change"]["l2_mean"] == pytest.approx(lengths.mean(), rel=1e-5)
        if suite.settings["norm"] == "Linf":
            assert shown["change"]["linf_max"] == pytest.approx(suite.settings["epsilon"], rel=1e-4)


def test_an_l2_attack_counts_within_its_budget(model: ConvertedModel) -> None:
    clean = clean_suite(model, 50)
    attacked = attacked_suite(model, clean, "cw", epsilon=0.3)
    attacked.inputs[25:] = clean.inputs[25:]
    shares = []
    for budget in (1e-6, 1e6):
        suite = replace(attacked, settings=attacked.settings | {"epsilon": budget})
        before, after = evaluation_record(model, results_of(model, [clean, suite]), {}).suites
        assert after.within_epsilon
        shares.append(after.within_epsilon.share)
    # No change is short enough for the first budget: only what was wrong before counts as broken.
    assert shares[0] == before.accuracy.device
    assert shares[1] == after.accuracy.device < shares[0]


def test_the_worst_case_is_of_each_sample(model: ConvertedModel) -> None:
    """Two attacks, each on half of the samples, and a third that is longer than its budget."""
    clean = clean_suite(model, 50)
    first, second = (attacked_suite(model, clean, name, epsilon=0.25) for name in ("pgd", "fgsm"))
    first.inputs[25:], second.inputs[:25] = clean.inputs[25:], clean.inputs[:25]
    longer = attacked_suite(model, clean, "cw", epsilon=1e-6)
    results = results_of(model, [clean, first, second, longer])
    found = evaluation_record(model, results, {})
    rights = [verdicts(each.run.logits) == clean.labels for each in results]
    short, linf = sorted(found.worst_cases, key=lambda case: case.epsilon)
    assert (short.norm, short.accuracy) == ("L2", rights[0].mean())
    assert (linf.norm, linf.clean, linf.samples) == ("Linf", "clean", 50)
    assert linf.accuracy == (rights[0] & rights[1] & rights[2]).mean()
    assert linf.accuracy < min(rights[1].mean(), rights[2].mean())
    assert linf.suites == ["pgd", "fgsm"]
    foreign = replace(first, settings=first.settings | {"norm": "L0", "epsilon": -1.0})
    assert evaluation_record(model, results_of(model, [clean, foreign]), {}).worst_cases == []


def test_a_curve_of_one_output_begins_at_the_clean_accuracy(tmp_path: Path) -> None:
    """The device's zero is not the code 0: the first point counts with the output's zero point."""
    builder = NetworkBuilder("one", (4, 4, 1))
    graph = builder.graph(builder.fully_connected("input", 1, 8))
    output = graph.output_tensor
    off = Tensor(output.name, output.shape, Quantization(0.185, 60))
    graph = replace(graph, tensors={**graph.tensors, output.name: off})
    one = write_converted(graph, tmp_path / "m", "test")
    clean = replace(clean_suite(one, 40), classes=())
    inputs = graph.input_tensor.quantization.quantize(clean.inputs)
    labels = verdicts(reference.run(graph, inputs), off.quantization)
    clean = replace(clean, labels=np.where(np.arange(40) < 4, 1 - labels, labels))
    attacked = attacked_suite(one, clean, "cw", epsilon=0.3)
    loaded = from_file(tmp_path / "s.npz", [clean, attacked])
    report = load_report([write_run(tmp_path / "run.json", one, loaded)])
    device, _ = report.runs[0].curves
    accuracy = report.runs[0].run.suites[0].accuracy.device
    assert 0.5 < accuracy < 1
    assert (device.of, device.points[0].accuracy) == ("device", accuracy)


def test_pictures_show_the_same_sample_before_and_after(
    record: dict[str, Any], suites: list[Suite], model: ConvertedModel
) -> None:
    by_name = {suite.name: suite for suite in suites}
    quantize = model.graph.input_tensor.quantization.quantize
    assert Counter(picture["suite"] for picture in record["pictures"]) == dict.fromkeys(
        ("pgd2", "pgd4", "pgd8", "cw", "noise"), 4
    )
    for picture in record["pictures"]:
        at, suite = picture["index"], by_name[picture["suite"]]
        assert np.array_equal(decoded(picture["attacked"]), quantize(suite.inputs[at]))
        assert np.array_equal(decoded(picture["clean"]), quantize(suites[0].inputs[at]))
        assert picture["label"] == suite.labels[at]


def test_published_schema_is_up_to_date_and_holds(record: dict[str, Any]) -> None:
    published = json.loads(SCHEMA.read_text())
    assert published == run_schema(), "python tools/write_schema.py writes it anew"
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(record, published)
    jsonschema.validate(json.loads(OLD.read_text()), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record | {"version": 2}, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**record, "suites": []}, published)


def test_reading_a_record_back_changes_nothing(run_file: Path, record: dict[str, Any]) -> None:
    dumped = load_run(run_file).model_dump(mode="json", exclude_unset=True)
    for key, value in record.items():
        assert dumped[key] == value, key


@pytest.mark.parametrize("kind", ["old", "printed", "without agreement"])
def test_records_of_earlier_releases_and_printed_ones_still_make_reports(
    kind: str, record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = OLD
    if kind == "printed":
        path = tmp_path / "printed.json"
        shown = printed(Run.model_validate(record))
        path.write_text(json.dumps({"version": 1, "status": "ok"} | shown))
    if kind == "without agreement":
        path = tmp_path / "without.json"
        suites = [{**suite, "agreement": None} for suite in record["suites"]]
        path.write_text(json.dumps(record | {"suites": suites}))
    run_json(capsys, "report", path, "-o", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page
    assert ("data:image/png" in page) == (kind == "without agreement")
    if kind == "old":
        assert "made by an earlier release" in page
        assert "Confusion" not in page
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "| clean | " in markdown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(version=2), "version is 2, allowed: up to 1"),
        (lambda r: r.pop("suites"), "not the record of a run: it has no suites"),
        (lambda r: r.pop("model"), "model is missing"),
        (lambda r: r["suites"][0].update(samples="60"), "suites.0.samples is '60', allowed"),
        (lambda r: r["suites"][1].update(name="clean"), "names that occur twice"),
        (
            lambda r: r["suites"][0]["accuracy"].update(device=1.5),
            "suites.0.accuracy.device is 1.5",
        ),
        (lambda r: r["arrays"][0]["labels"].update(data="A"), "arrays.0.labels.data"),
        (lambda r: r["arrays"][0]["labels"].update(shape=[59]), "472 bytes, as its shape says"),
        (lambda r: r["arrays"][0].update(suite="other"), "arrays.0.suite is 'other'"),
        (lambda r: r["pictures"][0].update(suite="other"), "pictures.0.suite is 'other'"),
    ],
)
def test_what_is_no_record_is_refused(
    change: Callable[[dict[str, Any]], Any],
    message: str,
    record: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = json.loads(json.dumps(record))
    change(damaged)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(damaged))
    error = failure(capsys, 3, "report", path, "-o", tmp_path / "out")
    assert error["code"] == "data"
    assert str(path) in error["message"]
    assert message in error["message"]
    assert not (tmp_path / "out").exists()


def test_any_truncation_is_refused(run_file: Path, tmp_path: Path) -> None:
    content = run_file.read_bytes()
    path = tmp_path / "cut.json"
    for length in range(0, len(content) - 2, len(content) // 50):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="cannot be read as JSON"):
            load_run(path)


def test_a_report_needs_neither_model_nor_suites_nor_tensorflow(
    run_file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run.json"
    copy.write_bytes(run_file.read_bytes())
    result = light("report", copy, "--markdown", tmp_path / "r.md")
    assert result.returncode == 0, result.stderr
    assert "Bit-exact" in (tmp_path / "r.md").read_text()
    for form in ("--html", "--junit"):
        result = light("report", copy, "--markdown", tmp_path / "not.md", form, tmp_path / "r")
        assert result.returncode == 5
        assert "pip install" in result.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["r.md", "run.json"]
    result = light("report", copy, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.md"]
    for form in ("report.html", "report.xml"):
        assert re.search(rf"no {form}: .*pip install", result.stderr)


def test_run_keeps_its_record_and_demands_a_suite(
    model: ConvertedModel,
    suites: list[Suite],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from_file(tmp_path / "s.npz", suites[:2], MASKING)
    path = tmp_path / "run.json"
    command = ("run", model.folder, "--on", "twin", "--data", tmp_path / "s.npz", "-o", path)
    shown = run_json(capsys, *command)
    assert "arrays" not in shown
    kept = json.loads(path.read_text())
    assert kept["suites"] == shown["suites"]
    assert kept["command"] == ["tinyedge", *map(str, command), "--json"]
    assert kept["suites"][1]["file"]["name"] == "s.npz"
    assert kept["judgement"]["files"][0]["file"] == "s.npz"
    assert len(kept["arrays"]) == 2
    np.save(tmp_path / "x.npy", suites[0].inputs)
    raw = ("run", model.folder, "--on", "twin", "--data", tmp_path / "x.npy")
    error = failure(capsys, 2, *raw, "--logits", tmp_path / "y.npy", "-o", path)
    assert "--logits" in error["message"]


def test_html_is_one_well_formed_page_with_headings_in_order(run_file: Path) -> None:
    page = render_html(load_report([run_file]))
    structure = Structure()
    structure.feed(page)
    structure.close()
    assert structure.open == []
    assert [name for name, many in Counter(structure.ids).items() if many > 1] == []
    levels = structure.headings
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert structure.references <= set(structure.ids)
    assert not re.search(r"(?:src|href)=\"(?!data:image/png|#)", page)
    assert "undefined" not in page
    assert "NaN" not in page


class Structure(HTMLParser):
    """Which elements are open, and ids, headings and references to ids."""

    VOID = ("meta", "img", "col", "link", "br", "path", "line", "rect", "circle")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.references: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self._look(tag, dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def _look(self, tag: str, attributes: dict[str, str | None]) -> None:
        if name := attributes.get("id"):
            self.ids.append(name)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.references |= set((attributes.get("aria-labelledby") or "").split())
        target = attributes.get("href") or ""
        self.references |= {target[1:]} if target.startswith("#") else set()
        if tag == "img":
            assert attributes.get("alt")
        if tag == "th":
            assert attributes.get("scope") in ("col", "row")


def test_every_interval_stands_apart_from_its_share(run_file: Path) -> None:
    page = render_html(load_report([run_file]))
    assert re.search(r"the device has [\d.]+ % \([\d.]+ to [\d.]+\) right", page)
    sentences = re.sub(r"<(td|th)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert "%<small>" not in sentences


def test_reports_of_the_same_runs_are_the_same_bytes(run_file: Path) -> None:
    first, second = (load_report([run_file]) for _ in range(2))
    assert render_html(first) == render_html(second)
    assert render_markdown(first) == render_markdown(second)


def test_names_cannot_become_markup(model: ConvertedModel, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>|`x`"
    suites = [replace(clean_suite(model, 20), name=evil, classes=(evil,) * 10)]
    path = write_run(
        tmp_path / "r.json", model, suites, change=lambda r: r["versions"].update({evil: evil})
    )
    page = render_html(load_report([path]))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    markdown = render_markdown(load_report([path]))
    assert "<script>" not in markdown
    for line in markdown.splitlines():
        if line.startswith("| &lt;"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 9


def test_curves_join_suites_of_one_attack(run_file: Path, record: dict[str, Any]) -> None:
    (run,) = load_report([run_file]).runs
    by_name = {suite["name"]: suite for suite in record["suites"]}
    linf = [curve for curve in run.curves if curve.norm == "Linf" and not curve.swept]
    assert [(curve.attack, curve.of) for curve in linf] == [("pgd", "device"), ("pgd", "float")]
    points = linf[0].points
    assert [round(255 * point.epsilon) for point in points] == [0, 2, 4, 8]
    assert points[0].accuracy == by_name["clean"]["accuracy"]["device"]
    for point, steps in zip(points[1:], (2, 4, 8), strict=True):
        assert point.accuracy == by_name[f"pgd{steps}"]["accuracy"]["device"]
        assert point.interval == tuple(by_name[f"pgd{steps}"]["intervals"]["device"])
    (l2, _) = [curve for curve in run.curves if curve.norm == "L2"]
    assert l2.points[0].accuracy == by_name["clean"]["accuracy"]["device"]
    assert l2.points[-1].accuracy == pytest.approx(by_name["cw"]["accuracy"]["device"])
    shares = [point.accuracy for point in l2.points]
    assert shares == sorted(shares, reverse=True)
    (swept,) = [curve for curve in run.curves if curve.swept]
    assert [point.accuracy for point in swept.points] == [0.4, 0.0]


def of_two_files(folder: Path, model: ConvertedModel, *, labels_differ: bool) -> list[Suite]:
    """PGD at one epsilon a file, of other samples; names as those of two files are."""
    found = []
    labels = clean_suite(model, 30).labels
    for seed, steps in ((1, 2), (2, 8)):
        clean = clean_suite(model, 30, seed)
        clean = clean if labels_differ else replace(clean, labels=labels)
        pgd = attacked_suite(model, clean, "pgd", steps / 255)
        loaded = from_file(folder / f"{seed}.npz", [clean, pgd])
        found += [replace(suite, name=f"{seed}:{suite.name}") for suite in loaded]
    return found


@pytest.mark.parametrize("labels_differ", [True, False])
def test_suites_of_two_files_are_paired_within_their_file(
    labels_differ: bool,  # noqa: FBT001
    model: ConvertedModel,
    tmp_path: Path,
) -> None:
    suites = of_two_files(tmp_path, model, labels_differ=labels_differ)
    path = write_run(tmp_path / "run.json", model, suites)
    (run,) = load_report([path]).runs
    pairs = [(suite.name, suite.change.clean) for suite in run.run.suites if suite.change]
    assert pairs == [("1:pgd", "1:clean"), ("2:pgd", "2:clean")]
    assert run.curves == []  # other samples at each epsilon make no curve


def test_without_files_a_suite_belongs_to_the_nearest_samples(model: ConvertedModel) -> None:
    one, two = clean_suite(model, 30, 1), clean_suite(model, 30, 2)
    cleans = [replace(one, name="one"), replace(two, name="two", labels=one.labels)]
    attacked = [
        replace(attacked_suite(model, clean, "pgd"), name=f"{clean.name}-pgd") for clean in cleans
    ]
    record = evaluation_record(model, results_of(model, [*cleans, *attacked]), {})
    of = [suite.change and suite.change.clean for suite in record.suites]
    assert of == [None, None, "one", "two"]


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("typed", ["pgd@2/255", "pgd@0.00784", "a:pgd@2/255"])
def test_a_gate_takes_epsilon_as_it_was_typed(
    typed: str, *, older: bool, model: ConvertedModel, tmp_path: Path
) -> None:
    clean = clean_suite(model, 20)
    name = typed.replace("2/255", "0.00784") if older else typed.replace("0.00784", "2/255")
    attacked = replace(attacked_suite(model, clean, "pgd", 2 / 255), name=name)
    path = write_run(tmp_path / "run.json", model, [clean, attacked])
    (run,) = load_report([path], thresholds={typed: 0.0}).runs
    assert [check.suite for check in run.checks if check.name == "min-accuracy"] == [name]
    for unknown in ("pgd@4/255", "pgd@2/0", "x/y"):
        with pytest.raises(UsageError, match=f"no run has a suite '{unknown[:4]}"):
            load_report([path], thresholds={unknown: 0.0})


@pytest.mark.parametrize("operators", [3, 47])
def test_arena_names_its_columns_where_there_is_room(operators: int) -> None:
    names = [f"layer{at}" for at in range(operators)]
    buffer = {"name": "x", "size": 8, "offset": 4, "first": 0, "last": operators}
    arena = {"bytes": 12, "lower_bound": 8, "buffers": [buffer], "operators": names}
    figure = arena_figure(arena)
    shown = set(re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg))
    assert (
        set(names) <= shown if operators < 20 else {"0", "10"} <= shown and not shown & set(names)
    )
    assert "x: 8 bytes at 4, from layer0 to the end" in figure.description


def test_junit_has_a_case_for_each_check(run_file: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "r.xml"
    code, _, _ = run_cli(capsys, "report", run_file, "--junit", path, "--min-accuracy", "clean=50%")
    assert code == 0
    found = JUnitXml.fromfile(str(path))
    assert (found.tests, found.failures, found.errors) == (6 + 1 + 2, 0, 0)
    cases = {(case.classname, case.name) for suite in found for case in suite}
    assert ("run.clean", "min-accuracy") in cases
    assert ("run.memory", "flash fits") in cases


def test_a_missed_threshold_fails_and_the_report_is_written(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("report", run_file, "-o", tmp_path / "out", "--min-accuracy", "pgd8=0.999")
    code, out, err = run_cli(capsys, *arguments, "--json")
    assert code == 8
    shown = json.loads(out)
    assert shown["error"]["code"] == "threshold"
    assert "below the 99.9 % asked for" in err
    (failed,) = [check for check in shown["runs"][0]["checks"] if not check["ok"]]
    assert (failed["suite"], failed["name"]) == ("pgd8", "min-accuracy")
    assert JUnitXml.fromfile(str(tmp_path / "out" / "report.xml")).failures == 1
    for form in ("html", "md"):
        assert "below the 99.9 % asked for" in (tmp_path / "out" / f"report.{form}").read_text()


def test_differing_logits_fail_in_every_form(
    model: ConvertedModel, suites: list[Suite], tmp_path: Path, capsys: Any
) -> None:
    path = write_run(tmp_path / "r.json", model, suites[:2], wrong=3)
    code, out, err = run_cli(capsys, "report", path, "-o", tmp_path / "out")
    assert code == 8
    assert "differ in 3 logits of 3 of 60 samples" in err
    assert "FAILED: clean" in out
    assert "Host and device differ" in (tmp_path / "out" / "report.html").read_text()
    assert "**Host and device differ in 6 logits**" in (tmp_path / "out" / "report.md").read_text()
    assert JUnitXml.fromfile(str(tmp_path / "out" / "report.xml")).failures == 2


def test_a_memory_that_does_not_suffice_fails(
    model: ConvertedModel, suites: list[Suite], tmp_path: Path, capsys: Any
) -> None:
    def shrink(record: dict[str, Any]) -> None:
        memory = json.loads(json.dumps(record["memory"]))
        memory["ram"]["size"] = 16384
        record["memory"] = memory

    path = write_run(tmp_path / "r.json", model, suites[:1], change=shrink)
    code, _, err = run_cli(capsys, "report", path)
    assert code == 8
    assert "RAM takes 18,680 of 16,384 bytes" in err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("clean", "'clean', allowed: SUITE=VALUE"),
        ("clean=2", "'clean=2', allowed"),
        ("=0.5", "allowed"),
        ("clean=x%", "allowed"),
        ("other=0.5", "no run has a suite 'other'"),
    ],
)
def test_wrong_thresholds_are_refused(
    given: str, message: str, run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in failure(capsys, 2, "report", run_file, "--min-accuracy", given)["message"]


def test_runs_side_by_side(
    run_file: Path, model: ConvertedModel, suites: list[Suite], tmp_path: Path, capsys: Any
) -> None:
    other = write_run(tmp_path / "other.json", model, suites[:1])
    shown = run_json(capsys, "report", run_file, other, OLD, "-o", tmp_path / "out")
    assert [run["label"] for run in shown["runs"]] == ["run", "other", "report-0.1.0"]
    page = (tmp_path / "out" / "report.html").read_text()
    structure = Structure()
    structure.feed(page)
    assert [name for name, many in Counter(structure.ids).items() if many > 1] == []
    levels = structure.headings
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert structure.references <= set(structure.ids)
    markdown = (tmp_path / "out" / "report.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| Accuracy, pgd8"))
    assert row.count("|") == 5
    assert row.count("\N{EN DASH}") == 2
    (same,) = [line for line in markdown.splitlines() if line.startswith("The same in all runs")]
    assert "Place netduinoplus2 (qemu), " in same
    assert ", RAM 18,680 bytes" in same
    assert page.index("All 3 runs are bit-exact") < page.index("What differs, a column a run")
    labels = [row["label"] for row in shown["comparison"]["rows"]]
    assert "Accuracy, pgd8" in labels
    assert not {"Place", "RAM"} & {*labels}
    names = [suite.name for suite in JUnitXml.fromfile(str(tmp_path / "out" / "report.xml"))]
    assert len(names) == len(set(names)) == 6 + 1 + 1 + 1 + 3 + 1
    error = failure(capsys, 2, "report", run_file, run_file)
    assert "named twice" in error["message"]


def grown(steps: int, *, worse: float = 0.0) -> Callable[[dict[str, Any]], None]:
    """A change of a record: more flash, and a lower accuracy."""

    def change(record: dict[str, Any]) -> None:
        record["memory"] = json.loads(json.dumps(record["memory"]))
        for part in ("code", "total"):
            record["memory"]["flash"][part] += steps
        record["suites"][0]["accuracy"]["device"] -= worse

    return change


def test_a_history_tells_what_changed(
    model: ConvertedModel, suites: list[Suite], tmp_path: Path, capsys: Any
) -> None:
    steps = {"first": grown(0), "second": grown(0, worse=0.25), "third": grown(1000)}
    files = [
        write_run(tmp_path / f"{name}.json", model, suites[:2], change=change)
        for name, change in steps.items()
    ]
    out = tmp_path / "out"
    shown = run_json(capsys, "report", *files, "--history", "-o", out)
    said = [sentence["text"] for sentence in shown["comparison"]["verdict"]]
    assert said == [
        "third is bit-exact, and every other check holds too",
        "Since second, third changed: Accuracy, clean +25.00 points; Flash +1,000, +3.1 %",
        "The largest fall was in second: Accuracy, clean -25.00 points",
    ]
    (flash,) = [row for row in shown["comparison"]["rows"] if row["label"] == "Flash"]
    assert [cell["small"] for cell in flash["cells"]] == ["", "", "+1,000, +3.1 %"]
    page = (out / "report.html").read_text()
    assert "Bytes over the runs" in page
    assert "Accuracy over the runs" in page
    assert "Confusion" not in page
    # Checks are about the last run.
    broken = write_run(tmp_path / "broken.json", model, suites[:2], wrong=3)
    assert run_cli(capsys, "report", broken, files[0], "--history")[0] == 0
    code, text, _ = run_cli(capsys, "report", files[0], broken, "--history")
    assert code == 8
    assert "The last run fails: broken, clean" in text
    for arguments, message in (
        ([files[0]], "two runs or more"),
        ([files[0], OLD], "of one network"),
    ):
        error = failure(capsys, 2, "report", *arguments, "--history")
        assert message in error["message"]


def test_runs_of_other_samples_are_not_ranked(
    model: ConvertedModel, tmp_path: Path, capsys: Any
) -> None:
    files = [
        write_run(tmp_path / f"{seed}.json", model, [clean_suite(model, 30, seed)])
        for seed in (1, 2)
    ]
    verdict = run_json(capsys, "report", *files)["comparison"]["verdict"]
    assert "hold other samples" in verdict[1]["text"]


def test_tables_for_other_programs(
    run_file: Path, record: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "t.csv"
    run_json(capsys, "report", run_file, OLD, "--table", path)
    rows = [*csv.DictReader(path.read_text().splitlines())]
    assert [row["suite"] for row in rows][:6] == [suite["name"] for suite in record["suites"]]
    for row, suite in zip(rows, record["suites"], strict=False):
        assert float(row["accuracy_device"]) == suite["accuracy"]["device"]
        assert float(row["low"]) == suite["intervals"]["device"][0]
        assert float(row["instructions"]) == suite["instructions"]["mean"]
        assert row["seconds"] == ""
    path = tmp_path / "t.tex"
    run_json(capsys, "report", run_file, "--table", path)
    lines = path.read_text().splitlines()
    assert lines[0] == r"\begin{tabular}{llrrrrrrrrr}"
    assert len({line.count(" & ") for line in lines if line.endswith(r"\\")}) == 1
    assert "hline" in lines[1]
    error = failure(capsys, 2, "report", run_file, "--table", tmp_path / "t.xlsx")
    assert "has to end in .csv or .tex" in error["message"]


def test_names_cannot_become_latex(model: ConvertedModel, tmp_path: Path) -> None:
    suites = [replace(clean_suite(model, 20), name=r"a_b & \input{c} 50% #$")]
    path = write_run(tmp_path / "r.json", model, suites)
    text = render_table(load_report([path]), ".tex")
    assert r"a\_b \& \textbackslash{}input\{c\} 50\% \#\$" in text


@pytest.mark.parametrize("name", ["=1+1", "+cmd|x", "-2", "@SUM(A1)"])
def test_names_are_no_formulas_of_a_spreadsheet(
    model: ConvertedModel, tmp_path: Path, name: str
) -> None:
    path = write_run(tmp_path / "r.json", model, [replace(clean_suite(model, 20), name=name)])
    (row,) = csv.DictReader(render_table(load_report([path]), ".csv").splitlines())
    assert row["suite"] == f"'{name}"


def test_seconds_keep_their_decimals(run_file: Path, tmp_path: Path) -> None:
    """An inference of a slow board takes more than a second."""
    record = json.loads(run_file.read_text())
    for suite in record["suites"]:
        suite["instructions"] = None
        suite["seconds"] = {"mean": 1.7342, "min": 1.7, "max": 1.8, "p50": 1.7, "p95": 1.8}
    (tmp_path / "slow.json").write_text(json.dumps(record))
    table = render_table(load_report([tmp_path / "slow.json"]), ".tex")
    assert table.count("& 1.734 ") == len(record["suites"])


def colours_of(page: str) -> dict[str, set[str]]:
    """The meanings of each colour of the legends of memories' bars."""
    found: dict[str, set[str]] = {}
    for colour, name in re.findall(r'<i style="background:(.*?)"></i>([^<]*?) [\d,]+<', page):
        found.setdefault(colour, set()).add(name)
    return found


def test_a_colour_has_one_meaning(run_file: Path) -> None:
    page = render_html(load_report([run_file]))
    legends = colours_of(page)
    assert len(legends) == 6
    assert all(len(names) == 1 for names in legends.values())
    drawn = re.findall(r"<svg role=.*?</svg>", page, re.DOTALL)
    assert len(drawn) > 4
    memory = {re.sub(r"[^a-z0-9-]", "", each.removeprefix("var")) for each in legends}
    for svg in drawn:
        assert not memory & {*re.findall(r"var\((--[a-z0-9-]+)\)", svg)}
    # An attack has one colour in every figure.
    swept = next(svg for svg in drawn if "no suite of this run" in svg)
    over = next(svg for svg in drawn if "Accuracy over epsilon, L\u221e" in svg)
    attacks = [{*re.findall(r"--a\d", svg)} for svg in (swept, over)]
    assert attacks[0] == attacks[1]
    assert len(attacks[0]) == 1


def test_a_page_has_one_unit_of_memory(run_file: Path) -> None:
    report = load_report([run_file, OLD])
    for text in (render_html(report), render_markdown(report)):
        assert "31,844" in text
        assert not re.search(r"\d [KM]i?B\b", text)


def test_narrow_parts_are_enlarged(model: ConvertedModel, tmp_path: Path) -> None:
    page = render_html(
        load_report([write_run(tmp_path / "r.json", model, [clean_suite(model, 9)])])
    )
    assert "The 31,844 bytes in use, enlarged" in page
    bars = re.findall(r'<div class="bar" role="img".*?</div>', page, re.DOTALL)
    for bar in bars[:2]:
        shares = [float(share) for share in re.findall(r"width:([\d.]+)%", bar)]
        assert sum(shares) == pytest.approx(100, abs=0.1)


def test_no_praise_stands_above_an_attack_that_breaks_little(
    model: ConvertedModel, tmp_path: Path
) -> None:
    clean = clean_suite(model, 60)
    weak = replace(attacked_suite(model, clean, "boundary", 1e-6), inputs=clean.inputs)
    path = write_run(tmp_path / "r.json", model, [clean, weak])
    assert "little" in {each.rule for each in load_run(path).judgement.cautions}  # type: ignore[union-attr]
    for text in (render_html(load_report([path])), render_markdown(load_report([path]))):
        assert "boundary breaks little: 100 %" in text
        assert "That is no proof" not in text
        assert "speaks against" not in text


def test_modelled_cycles_are_shown_apart_from_counts(model: ConvertedModel, tmp_path: Path) -> None:
    def profiled(record: dict[str, Any]) -> None:
        layer = {"name": "dense", "kernel": "k", "macs": 100, "count": 200.0, "cycles": 345.0}
        record["profile"] = {"unit": "instructions", "total": 200.0, "layers": [layer]}
        record["profile"] |= {"cycles": 345.0, "cycle_model": "cortex-m4"}
        record["profile"] |= {"estimated_seconds": 0.002}

    path = write_run(tmp_path / "r.json", model, [clean_suite(model, 9)], change=profiled)
    page = render_html(load_report([path]))
    assert '<td data-label="cycles, modelled">345</td>' in page
    assert '<td data-label="cycles a MAC">3.45</td>' in page
    assert "nothing was measured. At the board's clock they would take 2.000 ms" in page
    assert "| 200 | 345 |" in render_markdown(load_report([path]))


def test_a_failed_check_says_what_to_do(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("report", run_file, "-o", tmp_path, "--min-accuracy", "clean=0.99")
    code, out, err = run_cli(capsys, *arguments)
    assert code == 8
    said = ": train it further, or ask for less"
    written = [tmp_path / f"report.{form}" for form in ("html", "md", "xml")]
    for text in (out, err, *(path.read_text() for path in written)):
        assert said in text


def test_a_profile_is_shown_and_has_to_be_of_the_same_model(
    run_file: Path, record: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    profile = {
        "model": record["model"],
        "profile": {
            "unit": "instructions",
            "total": 1000.0,
            "overhead": None,
            "layers": [
                {"name": "first_layer", "kernel": "te_conv", "macs": 500, "count": 900.0},
                {"name": "reshaped", "kernel": None, "macs": 0, "count": 0.0},
            ],
        },
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    page = tmp_path / "r.html"
    run_json(capsys, "report", run_file, "--html", page, "--profile", path)
    assert "first_layer" in page.read_text()
    assert "90.0 %" in page.read_text()
    profile["model"] = record["model"] | {"hash": "0" * 64}
    path.write_text(json.dumps(profile))
    error = failure(capsys, 3, "report", run_file, "--profile", path)
    assert "the profile is of model 000000000000" in error["message"]


def test_a_footprint_is_shown_and_has_to_be_of_the_same_firmware(
    run_file: Path, record: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    flash, ram = (record["memory"][memory]["total"] for memory in ("flash", "ram"))
    whole = {"name": "layers", "flash": flash, "ram": ram}
    parts = {"weights": 7000, "biases": 40, "multipliers": 80, "other": 12}
    footprint: dict[str, Any] = {
        "version": 1,
        "flash": {"total": flash},
        "ram": {"total": ram},
        "groups": [whole],
        "layers": [{"name": "the_layer", "kernel": None, "flash": 7132, **parts}],
        "symbols": [{**whole, "section": ".text", "file": None}],
    }
    path, page = tmp_path / "footprint.json", tmp_path / "r.html"
    path.write_text(json.dumps(footprint))
    run_json(capsys, "report", run_file, "--html", page, "--footprint", path)
    assert "the_layer" in page.read_text()
    assert "7,132" in page.read_text()
    for row in (footprint["groups"][0], footprint["symbols"][0]):
        row["flash"] += 4
    footprint["flash"]["total"] += 4
    path.write_text(json.dumps(footprint))
    error = failure(capsys, 3, "report", run_file, "--footprint", path)
    assert "of another firmware: 31,848 bytes of flash, the run's takes 31,844" in error["message"]
    error = failure(capsys, 2, "report", run_file, OLD, "--footprint", path)
    assert "go with one run" in error["message"]


def test_inputs_that_are_no_images_are_heat_maps(tmp_path: Path) -> None:
    model = network(tmp_path / "m", (49, 10, 1), Quantization(0.58, 83))
    suites = [clean_suite(model, 30)]
    suites.append(attacked_suite(model, suites[0], "square", epsilon=8.0))
    path = write_run(tmp_path / "r.json", model, suites)
    page = render_html(load_report([path]))
    assert page.count("data:image/png;base64,") == 3 * 4
    assert "images stacked" in page


def test_what_is_read_is_what_was_written(run_file: Path, record: dict[str, Any]) -> None:
    assert json.dumps(dumped(load_run(run_file)), sort_keys=True) == json.dumps(
        record, sort_keys=True
    )
    assert list(record) == [
        *("version", "command", "on", "board", "emulator", "compiler", "firmware", "memory"),
        *("link", "model", "suites", "judgement", "worst_cases", "versions", "arrays", "pictures"),
    ]
    costs = record["suites"][0]["instructions"]
    assert [type(costs[key]) for key in ("mean", "min", "p95")] == [float, int, int]


def test_a_name_that_no_record_holds_is_refused_before_it_is_written(
    model: ConvertedModel, suites: list[Suite]
) -> None:
    suite = replace(suites[0], name="cle\0an")
    with pytest.raises(DataError, match=r"name of a suite is .*, which holds U\+0000"):
        evaluation_record(model, results_of(model, [suite]), {"on": "numpy"})


def test_run_record_takes_keys_of_later_releases(record: dict[str, Any]) -> None:
    later = json.loads(json.dumps(record)) | {"invented": {"later": 1}}
    later["suites"][0]["invented"] = [1]
    assert Run.model_validate(later).model_dump()["invented"] == {"later": 1}


@pytest.mark.parametrize(
    ("attack", "crafted_on", "name"),
    [
        ("pgd", "float model", "pgd,"),
        ("pgd", "converted model", "pgd on the integers,"),
        ("square", "converted model", "square by queries,"),
        ("noise", "converted model", "noise on the converted model,"),
    ],
)
def test_a_curve_says_how_its_attack_reached_the_model(
    attack: str, crafted_on: str, name: str
) -> None:
    points = [Point(0.0, 0.9, None), Point(0.1, 0.5, None)]
    curves = [Curve(attack, crafted_on, "device", "Linf", "float input", points)]
    drawn = robustness_figure(curves, attack_colours(curves))
    assert drawn.description.startswith(name)
    assert "float model" not in drawn.title
