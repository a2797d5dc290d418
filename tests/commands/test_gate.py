from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tinyedge
from tests.cli.commands import failure, run_cli, run_json
from tests.commands.records import as_printed
from tests.reports import runs
from tinyedge.errors import ThresholdError

OLD = Path(runs.__file__).with_name("data") / "report-0.1.0.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_bytes(OLD.read_bytes())
    return tmp_path


def gate(folder: Path, text: str) -> Path:
    path = folder / "gate.toml"
    path.write_text(f'runs = ["run.json"]\n{text}', encoding="utf-8")
    return path


def with_worst_case(folder: Path, accuracy: float) -> None:
    content = json.loads(OLD.read_text())
    case = {"clean": "clean", "norm": "Linf", "epsilon": 8 / 255, "samples": 100}
    case |= {"accuracy": accuracy, "interval": [0.1, 0.9], "suites": []}
    content["worst_cases"] = [case]
    (folder / "run.json").write_text(json.dumps(content))


def test_the_function_gives_what_the_command_prints(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = gate(folder, '[min_accuracy]\nclean = "1%"\n')
    record = run_json(capsys, "gate", path, "-o", folder / "report")
    written = [Path(each).read_bytes() for each in record["written"]]
    given = tinyedge.gate(path, output=folder / "report")
    assert as_printed(given) == record
    assert [Path(each).read_bytes() for each in given["written"]] == written


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[min_accuracy]\nclean = 1.0", "is below the 100 % asked for"),
        ('[min_worst_case]\n"Linf@8/255" = "41%"', "worst attack of Linf@8/255 is below the 41 %"),
        ('[min_worst_case]\n"L2@1" = 0.1', "no attacks of L2@1 are in the record"),
        ("max_instructions = 10", "instructions, above the 10 allowed"),
        ("max_seconds = 1", "does not tell the seconds of an inference"),
    ],
)
def test_what_is_missed_fails_with_the_report_written(
    text: str, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_worst_case(folder, 0.4)
    path, cases = gate(folder, text), folder / "report.md"
    code, out, err = run_cli(capsys, "gate", path, "--markdown", cases)
    assert (code, told in err, "FAILED" in out) == (8, True, True)
    assert told in cases.read_text()
    with pytest.raises(ThresholdError) as raised:
        tinyedge.gate(path)
    assert raised.value.record


def test_limits_that_hold_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_worst_case(folder, 0.4)
    limits = '[min_worst_case]\n"Linf@8/255" = 0.4'
    record = run_json(capsys, "gate", gate(folder, f"max_instructions = 1e12\n{limits}"))
    names = {check["name"]: check["ok"] for check in record["runs"][0]["checks"]}
    assert names["min-worst-case of Linf@8/255"]
    assert names["max-instructions"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("runs = []", "runs"),
        ("max_flash = 10", "max_flash is '10', allowed: only beside footprint"),
        ("max_cycles = 10", "max_cycles is 10.0, allowed: only beside profile"),
        ("max_cycels = 10", "did you mean 'max_cycles'"),
        ('[min_accuracy]\nclean = "9O%"', "a percentage as '90%'"),
        ("[min_accuracy]\nclean = 2", "min_accuracy"),
        ("[min_worst_case]\npgd = 0.5", "a norm and its budget, as 'Linf@8/255'"),
        ('footprint = "x"\nmax_flash = "much"', "is no size"),
    ],
)
def test_faults_of_the_file_are_named(
    text: str, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = gate(folder, text)
    if text.startswith("runs"):
        path.write_text(text)
    error = failure(capsys, 3, "gate", path)
    assert error["code"] == "config"
    assert "gate.toml" in error["message"]
    assert told in error["message"]


def test_a_build_is_held_against_its_limits(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    from tinyedge.commands.builds import BuildOptions

    def read(self: BuildOptions, _listener: Any, path: Path) -> Any:
        given.update(vars(self), path=path)
        raise ThresholdError("read")

    monkeypatch.setattr(BuildOptions, "read", read)
    failure(capsys, 8, "gate", gate(folder, 'footprint = "b"\nmax_flash = "64K"\ncompare = "c"'))
    assert (given["path"], given["compare"]) == (folder / "b", folder / "c")
    assert given["max_flash"] == 65536
