"""The documentation, done as it says: every command runs, and prints what is shown."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.conftest import require
from tests.docs import pages, parsing
from tests.docs.pages import PAGES, ROOT, Block
from tests.docs.session import Session
from tinyedge.cli.main import COMMANDS

pytestmark = pytest.mark.keras

_LANGUAGES = {"", "c", "cmake", "console", "json", "pycon", "python", "sh", "text", "toml", "yaml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.usefixtures("workplace")
def test_page(
    page: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    if page in pages.EXAMPLES:
        copied = shutil.copytree(page.parent, Path("examples") / page.parent.name)
        monkeypatch.chdir(copied)
    session = Session()
    try:
        for block in pages.blocks(page):
            assert block.language in _LANGUAGES, f"{block.place}: what is '{block.language}'?"
            session.follow(block)
    finally:
        for block_not_run in session.not_run:
            record_property("only parsed", block_not_run)


@pytest.mark.usefixtures("workplace")
def test_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(ROOT / "examples" / "notebook", Path("examples") / "notebook")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for cell in json.loads(Path("digits.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102 - of our own documentation
    assert names["report"]


@pytest.mark.needs_tool
@pytest.mark.usefixtures("workplace")
def test_the_program_with_two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    require(["cmake"] if shutil.which("cmake") else [], "cmake")
    folder = shutil.copytree(ROOT / "examples" / "two_models", Path("examples") / "two_models")
    monkeypatch.chdir(folder)
    session = Session()
    for each in pages.blocks(ROOT / "examples" / "two_models" / "README.md"):
        session.follow(dataclasses.replace(each, needs=None))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_in_the_text_exists(page: Path) -> None:
    options = parsing.all_options()
    for place, code in pages.inline_code(page):
        words = parsing.split(code)
        try:
            if words[0] == "tinyedge":
                parsing.check_options(words[1:])
            elif words[0] in COMMANDS and len(words) > 1:
                parsing.check_options(words)
            elif words[0].startswith("--"):
                assert words[0].partition("=")[0] in options, "no command has this option"
            elif "tools/" in code and words[0].endswith("python"):
                parsing.check_tool(words[1:])
        except (AssertionError, click.ClickException, OSError) as error:
            raise AssertionError(f"{place}: `{code}`: {error}") from error


def block(language: str, content: str, needs: str | None = None) -> Block:
    return Block(ROOT / "docs" / "page.md", 1, language, content, needs)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (block("console", "$ tinyedge --version\ntinyedge, version 9.9"), "version 9.9"),
        (block("console", "$ tinyedge frobnicate"), "frobnicate"),
        (block("sh", "tinyedge boards show none"), "unknown board"),
        (block("sh", "exit 3"), "exit 3"),
        (block("sh", "tinyedge train run.toml -o r --epochs 3", "a day"), "--epochs"),
        (block("sh", "make lunch", "a kitchen"), "lunch"),
        (block("python", "assert 1 == 2"), ""),
        (block("pycon", ">>> 1 + 1\n3"), "Expected"),
    ],
    ids=lambda value: value.content if isinstance(value, Block) else "",
)
@pytest.mark.usefixtures("workplace")
def test_a_page_that_is_wrong_fails(shown: Block, message: str) -> None:
    with pytest.raises(
        (AssertionError, click.ClickException, subprocess.CalledProcessError)
    ) as failure:
        Session().follow(shown)
    said = getattr(failure.value, "stderr", b"") or b""
    assert message in f"{failure.value} {said.decode()}"


@pytest.mark.usefixtures("workplace")
def test_what_varies_is_left_out_and_a_failure_is_shown() -> None:
    Session().follow(
        block(
            "console",
            "$ tinyedge --version\ntinyedge, version …\n"
            "$ tinyedge boards \\\n>   show none\nerror: unknown board 'none'\nhint: …\n"
            "$ echo $?\n3\n",
        )
    )


def _cells(page: str, row: str) -> list[str]:
    """The cells behind the first one, of the first row that begins with ``row``."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    line = next(each for each in lines if each.startswith(f"| {row}"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


@pytest.mark.parametrize("network", ["ResNet8", "DS-CNN"])
def test_readme_s_figures_are_those_of_the_page_that_is_measured(network: str) -> None:
    ternary, _, eight, cmsis, *_ = _cells("docs/performance.md", network.lower().replace("-", "_"))
    assert _cells("README.md", network) == [ternary, eight, cmsis]
