from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tinyedge
from tests.cli.commands import run_cli, run_json
from tests.commands.records import as_printed
from tests.graph.random_graphs import RandomGraph
from tests.reports.builds import BOARDS, default_build
from tinyedge.errors import ThresholdError, UsageError
from tinyedge.exporters.converted import write_converted

pytestmark = pytest.mark.needs_tool


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build; that of its model is above it."""
    folder = tmp_path_factory.mktemp("footprint") / "model"
    return default_build(write_converted(RandomGraph(8).graph, folder, "test")).elf.parent


def test_the_function_gives_what_the_command_prints(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_json(capsys, "footprint", build, "-o", tmp_path / "command.json")
    assert as_printed(tinyedge.footprint(build, output=tmp_path / "function.json")) == record
    written = [(tmp_path / f"{which}.json").read_bytes() for which in ("command", "function")]
    assert written[0] == written[1]
    elf = build / "firmware.elf"
    limits = ("--compare", tmp_path / "command.json", "--max-flash", "1M", "--max-regression", "2%")
    record = run_json(capsys, "footprint", elf, "-b", BOARDS[0], *limits)
    given = tinyedge.footprint(
        elf,
        board=BOARDS[0],
        compare=tmp_path / "command.json",
        max_flash=2**20,
        max_regression="2%",
    )
    assert as_printed(given) == record
    assert [gate["gate"] for gate in given["gates"]] == ["max-flash", *["max-regression"] * 2]


def test_a_limit_is_raised_with_the_record(
    build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run_cli(capsys, "footprint", build, "--max-flash", "1K", "--json")
    assert code == 8
    printed = json.loads(out)
    assert "over --max-flash" in printed.pop("error")["message"]
    with pytest.raises(ThresholdError, match="over --max-flash") as raised:
        tinyedge.footprint(build, max_flash="1K", output=tmp_path / "written.md")
    assert raised.value.record
    assert as_printed(raised.value.record) | {"status": "error"} == printed
    assert "max-flash" in (tmp_path / "written.md").read_text()


def test_a_report_of_the_build(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run_json(capsys, "report", build, "--max-ram", "1M")
    assert as_printed(tinyedge.report(build, max_ram="1M")) == record
    with pytest.raises(ThresholdError, match="over --max-ram") as raised:
        tinyedge.report([build], max_ram=16)
    assert raised.value.record
    assert not raised.value.record["build"]["checks"][-1]["ok"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"compiler": "clang"}, "compiler='clang': one of gcc, zig"),
        ({"max_flash": "64X"}, "'64X' is no size"),
        ({"max_ram": -1}, "-1 is no size"),
        ({"max_regression": "x%", "compare": "y"}, "'x%' is no percentage"),
        ({"max_regression": 0}, "goes with --compare"),
        ({"output": "report.pdf"}, "has to end in"),
    ],
)
def test_arguments_are_checked_as_options_are(
    given: dict[str, Any], message: str, build: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        tinyedge.footprint(build, **given)
