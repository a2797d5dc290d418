"""Reports of builds: what they tell of layers, their forms and limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.reports.builds import BOARDS, default_build
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.naming import in_markdown

pytestmark = pytest.mark.needs_tool


def test_a_build_tells_what_its_layers_are(
    models: dict[str, ConvertedModel], capsys: pytest.CaptureFixture[str]
) -> None:
    model = models["resnet8"]
    record = run_json(capsys, "footprint", model.folder, "-b", BOARDS[0])
    again = run_json(capsys, "footprint", Path(record["elf"]).parent)
    assert again == record
    manifest = [layer for layer in model.manifest["layers"] if layer["kernel"]]
    for layer, exported in zip(record["layers"], manifest, strict=True):
        assert layer["operator"] == exported["name"]
        for key in ("kind", "kernel", "bits", "packing", "macs"):
            assert layer[key] == exported[key]
    arena = record["arena"]
    assert arena["bytes"] == model.arena_bytes
    assert max(each["offset"] + each["size"] for each in arena["buffers"]) == arena["bytes"]
    assert arena["operators"] == [operator.name for operator in model.graph.operators]
    alone = run_json(capsys, "footprint", record["elf"])
    assert alone["model"] is alone["arena"] is alone["layers"][0]["bits"] is None


def write_profile(model: ConvertedModel, path: Path) -> dict[str, float]:
    """A profile with a cost of its own for each layer; what was written by the layer."""
    costs = {layer["name"]: 10.0 + at for at, layer in enumerate(model.manifest["layers"])}
    layers = [
        {"name": layer["name"], "kernel": layer["kernel"], "macs": layer["macs"]}
        | {"count": costs[layer["name"]]}
        for layer in model.manifest["layers"]
    ]
    profile = {"unit": "cycles", "total": sum(costs.values()), "layers": layers}
    about = {key: model.manifest[key] for key in ("name", "hash", "parameters", "macs")}
    about |= {key: model.manifest[key] for key in ("weight_bytes", "source", "notes")}
    path.write_text(json.dumps({"model": about, "profile": profile | {"overhead": None}}))
    return costs


def test_costs_of_layers(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware, path = default_build(models["random"]), tmp_path / "profile.json"
    costs = write_profile(models["random"], path)
    build = firmware.elf.parent
    record = run_json(capsys, "footprint", build, "--profile", path)
    assert record["unit"] == "cycles"
    assert [each["count"] for each in record["layers"]] == [
        costs[each["operator"]] for each in record["layers"]
    ]
    assert "cycles" in run_cli(capsys, "footprint", build, "--profile", path)[1]
    error = failure(capsys, 2, "footprint", firmware.elf, "--profile", path)
    assert "that tells its model" in error["message"]
    other = default_build(models["resnet8"]).elf.parent
    error = failure(capsys, 3, "footprint", other, "--profile", path)
    assert "the profile is of model" in error["message"]


def test_report_of_a_build_in_every_form(
    models: dict[str, ConvertedModel],
    denser: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = (default_build(model).elf.parent for model in (denser, models["resnet8"]))
    written = tmp_path / "new.json"
    footprint = run_json(capsys, "footprint", new, "--compare", old, "-o", written)
    reports = [
        run_json(capsys, "report", "--compare", old, new, "-o", tmp_path / "report"),
        run_json(capsys, "report", written),
        run_json(capsys, "report", new, "--compare", old, "--html", tmp_path / "other.html"),
    ]
    for report in reports:
        assert report["runs"] == []
        assert report["build"]["record"]["compare"] == footprint["compare"]
        assert report["build"]["record"]["symbols"] == footprint["symbols"]
        assert [check["ok"] for check in report["build"]["checks"]] == [True, True]
    page, markdown = (tmp_path / "report" / f"report.{form}" for form in ("html", "md"))
    assert page.read_bytes() == (tmp_path / "other.html").read_bytes()
    run_json(capsys, "footprint", written, "-o", tmp_path / "again.html")
    assert page.read_bytes() == (tmp_path / "again.html").read_bytes()
    grown = next(each for each in footprint["compare"]["symbols"] if each["flash"]["change"])
    for text, shown in ((page.read_text(), str), (markdown.read_text(), in_markdown)):
        assert grown["name"] in text
        assert f"{grown['flash']['change']:+,}" in text
        assert shown(footprint["layers"][0]["packing"]) in text
    for symbol in footprint["symbols"]:
        assert f">{symbol['name']}<" in page.read_text()
    assert "The arena over time" in page.read_text()


def test_limits_of_a_report_work_in_both_directions(
    models: dict[str, ConvertedModel],
    denser: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    large, little = (default_build(model).elf.parent for model in (models["resnet8"], denser))
    junit = tmp_path / "r.xml"

    def failed(*arguments: object) -> list[str]:
        code, out, _ = run_cli(capsys, "report", *arguments, "--junit", junit, "--json")
        checks = json.loads(out)["build"]["checks"]
        names = [check["name"] for check in checks if not check["ok"]]
        assert code == (8 if names else 0)
        assert junit.read_text().count("<failure") == len(names)
        return names

    limit = ("--max-regression", "0")
    assert "max-regression of flash" in failed(large, "--compare", little, *limit)
    assert "max-regression of flash" not in failed(little, "--compare", large, *limit)
    assert failed(large, "--max-flash", "1K") == ["max-flash of flash"]
    assert failed(large, "--max-flash", "1M") == []
    assert failed(little, "--compare", little, *limit) == []
    # A record keeps its limits until it is compared anew.
    record = tmp_path / "record.json"
    code, _, _ = run_cli(capsys, "footprint", large, "--compare", little, *limit, "-o", record)
    assert code == 8
    assert "max-regression of flash" in failed(record)
    assert failed(record, "--compare", large) == []


def test_options_that_do_not_go_with_a_report(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = default_build(models["random"]).elf.parent
    run = tmp_path / "run.json"
    run.write_text('{"suites": []}')
    for code, message, *arguments in (
        (2, "a build is reported alone", build, build),
        (2, "a build is reported alone", run, build),
        (2, "--min-accuracy and --footprint go with runs", build, "--min-accuracy", "x=1"),
        (2, "--max-flash goes with a build", run, "--max-flash", "1K"),
        (2, "--compare goes with a build", run, "--compare", run),
        (2, "--max-regression goes with --compare", build, "--max-regression", "1"),
        (2, "--board says", models["random"].folder),
        (3, "not a footprint", build, "--compare", run),
        (3, "no such file", tmp_path / "missing"),
    ):
        assert message in failure(capsys, code, "report", *arguments)["message"]
