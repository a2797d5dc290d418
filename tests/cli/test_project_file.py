"""``tinyedge.toml`` stands for options that are not given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import failure, run_cli
from tinyedge.cli import project_file

DIGITS = Path(__file__).parents[1] / "data" / "digits_ternary.npz"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tinyedge.toml"
    path.write_text('board = "microbit"\nport = "/dev/ttyX7"\ncalibration = "samples.npz"\n')
    project_file._read.cache_clear()
    return path


def core_of(folder: str) -> str:
    return str(json.loads((Path(folder) / "model.json").read_text())["core"])


@pytest.mark.usefixtures("project")
def test_its_board_chooses_kernels_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_cli(capsys, "convert", DIGITS, "-o", "out")
    assert code == 0
    assert "tinyedge.toml: --board microbit" in err
    assert "--calibration" not in err, "a saved graph has its ranges"
    assert core_of("out") == "cortex-m0"


@pytest.mark.usefixtures("project")
def test_what_is_typed_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    for given, core in ((("-b", "netduinoplus2"), "cortex-m4"), (("--core", "cortex-m7"),) * 2):
        code, _, err = run_cli(capsys, "convert", DIGITS, "-o", "out", *given)
        assert code == 0
        assert "tinyedge.toml" not in err
        assert core_of("out") == (core if isinstance(core, str) else core[1])


@pytest.mark.usefixtures("project")
def test_a_port_goes_with_a_board_only(capsys: pytest.CaptureFixture[str]) -> None:
    run_cli(capsys, "convert", DIGITS, "-o", "out")
    (Path("x.npy")).write_bytes(b"")
    for place, said in (("numpy", []), ("emulator", ["--board"]), ("board", ["--board", "--port"])):
        _, _, err = run_cli(capsys, "run", "out", "--on", place, "--data", "x.npy")
        named = [line.split()[1] for line in err.splitlines() if line.startswith("tinyedge.toml")]
        assert named == said
        assert "go with" not in err


def test_several_ports_are_shared_among(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project.write_text('port = ["/dev/ttyX7", "/dev/ttyX8"]\n')
    run_cli(capsys, "convert", DIGITS, "-o", "out")
    _, _, err = run_cli(capsys, "run", "out", "--on", "board", "--data", "x.npy")
    assert "tinyedge.toml: --port /dev/ttyX7 /dev/ttyX8" in err


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("command", sorted({name for name, _ in project_file._GOES_WITH}))
@pytest.mark.parametrize("arguments", [(), ("out",), ("out", "-o", "new")])
def test_what_lacks_is_told_as_without_it(
    command: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_cli(capsys, command, *arguments)
    assert code not in (0, 1), err


def test_one_port_is_named_where_one_is_taken(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write_text('port = ["/dev/ttyX7", "/dev/ttyX8"]\n')
    _, _, err = run_cli(capsys, "monitor", "--seconds", "1")
    assert "tinyedge.toml: --port /dev/ttyX7\n" in err


@pytest.mark.usefixtures("project")
def test_a_tool_that_takes_no_port_gets_none(capsys: pytest.CaptureFixture[str]) -> None:
    run_cli(capsys, "convert", DIGITS, "-o", "out")
    _, _, err = run_cli(capsys, "flash", "out", "--dry-run")
    assert "--port" not in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('boad = "microbit"', "boad: unknown key (did you mean 'board'?)"),
        ("board = 3", "board is 3, allowed: a text"),
        ("port = []", "port"),
        ("board = ", "cannot be read as TOML"),
        ("a = " + "[" * 5000, "cannot be read as TOML"),
        ('board = "\\u001b[31m"', "unknown board"),
    ],
)
def test_a_wrong_file_is_one_line(
    content: str, said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write_text(content)
    found = failure(capsys, 3 if said == "unknown board" else 2, "build", "out")
    assert said in found["message"]
    assert "\x1b" not in found["message"]
