"""Options under their older names are refused, and the new name is said."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.cli.commands import failure
from tinyedge.cli.main import cli
from tinyedge.cli.renamed import RENAMED, new_name

OLD_NAMES = [
    (command, old, new) for command, names in RENAMED.items() for old, new in names.items()
]
ARGUMENTS = {"run": ("out", "--on", "numpy"), "export": ("out", "--format", "arduino", "-o", "o")}


def options(command: str) -> set[str]:
    found = cli.get_command(click.Context(cli), command)
    assert found
    return {name for parameter in found.params for name in parameter.opts}


@pytest.mark.parametrize(("command", "old", "new"), OLD_NAMES)
@pytest.mark.parametrize("form", ["{} x.npz", "{}=x.npz"])
def test_an_old_name_is_refused_with_the_new_one(
    command: str, old: str, new: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (*ARGUMENTS.get(command, ("model",)), *form.format(old).split())
    error = failure(capsys, 2, command, *given)
    assert error["code"] == "usage"
    assert error["message"] == f"{old} is called {new} now"
    assert f"'tinyedge {command} --help'" in error["hint"]


@pytest.mark.parametrize(("command", "old", "new"), OLD_NAMES)
def test_only_the_new_name_is_an_option(command: str, old: str, new: str) -> None:
    assert new in options(command)
    assert old not in options(command)


def test_names_that_never_were_options_are_not_renamed(capsys: pytest.CaptureFixture[str]) -> None:
    assert new_name("convert", "--suite") is None
    message = failure(capsys, 2, "convert", "m", "-o", "o", "--suite", "s")["message"]
    assert "now" not in message
    assert "--suite" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "out", "--on", "numpy"),
        ("run", "out", "--on", "numpy", "--data", "x.npz"),
        ("check", "model.h5"),
        ("attack", "model.h5", "-o", "s.npz"),
    ],
)
def test_data_that_is_a_folder_is_refused_with_the_option_for_folders(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = failure(capsys, 2, *arguments, "--data", tmp_path)
    assert f"{tmp_path} is a folder" in error["message"]
    assert "--data-folder" in error["hint"]


def test_a_folder_is_no_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ("export", "out", "--format", "arduino", "-o", "o")
    error = failure(capsys, 2, *export, "--data", tmp_path)
    assert f"{tmp_path} is a folder" in error["message"]
    assert "--data-folder" not in error["hint"], "export has no such option"


def test_samples_are_called_the_same_everywhere() -> None:
    """Wherever a command takes a data set, its files' folder is ``--data-folder``."""
    names = cli.list_commands(click.Context(cli))
    for command in names:
        given = options(command)
        assert not given & {"--suite", "--suites", "--inputs", "--outputs", "--sample"}
        if "--dataset" in given:
            assert {"--data", "--data-folder"} <= given
