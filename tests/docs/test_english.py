"""Patterns of English that have to be read twice stay out of what users read."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.docs.pages import ROOT
from tinyedge.cli.main import cli

PHRASES = (
    r"\bthere are none\b|\bis asked\b|\bthe least that would do\b|\bin its midst\b|"
    r"\bnone of ours\b|\bWhether to believe it\b|\bWhat takes it\b"
)
OPENINGS = r"(?:^|[.;:] +|\*\*|\| )(?:Of|Whoever) \w+"
TURNED = re.compile(f"{OPENINGS}|{PHRASES}", re.MULTILINE)
PAGES = [
    path
    for path in [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
    ]
    if not path.name.startswith("results")
]
"""The pages that are written by hand."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_say_it_straight(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert TURNED.findall(text) == []


def commands(group: click.Group, path: str = "tinyedge") -> list[tuple[str, click.Command]]:
    context = click.Context(group)
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        found.append((f"{path} {name}", command))
        if isinstance(command, click.Group):
            found += commands(command, f"{path} {name}")
    return found


@pytest.mark.parametrize(("name", "command"), commands(cli), ids=str)
def test_help_says_it_straight(name: str, command: click.Command) -> None:
    helps = [command.help or "", *(getattr(each, "help", None) or "" for each in command.params)]
    assert [text for text in helps if TURNED.search(text)] == [], name


@pytest.mark.parametrize("folder", ["tinyedge", "firmware_templates"])
def test_sources_say_it_straight(folder: str) -> None:
    turned = [
        f"{path.relative_to(ROOT)}: {found}"
        for path in sorted((ROOT / folder).rglob("*.*"))
        if path.suffix in (".py", ".c", ".h", ".j2")
        for found in re.findall(PHRASES, path.read_text(encoding="utf-8"))
    ]
    assert turned == []


PROSE = re.compile(r"\A\s*(?:Of|Whoever) \w+|" + PHRASES)
WHAT = re.compile(r"\A\s*(?:What|Whatever|Whichever|Who|Whose)\b")


def prose(source: str) -> Iterator[str]:
    """The docstrings, those of constants too, and the comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    before = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row = token.start[0]
            if row != before + 1:  # a comment's other lines may begin with any word
                yield token.string.lstrip("#: ")
            before = row


@pytest.mark.parametrize("folder", ["tinyedge", "tests", "tools"])
def test_docstrings_and_comments_say_it_straight(folder: str) -> None:
    turned = [
        f"{path.relative_to(ROOT)}: {text[:60]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__)
        for text in prose(path.read_text(encoding="utf-8"))
        if PROSE.search(text)
    ]
    assert turned == []


@pytest.mark.parametrize("folder", ["tinyedge", "tests", "tools"])
def test_docstrings_and_comments_open_with_their_subject(folder: str) -> None:
    turned = [
        f"{path.relative_to(ROOT)}: {text[:60]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__)
        for text in prose(path.read_text(encoding="utf-8"))
        if WHAT.search(text)
    ]
    assert turned == []


def test_the_hunt_finds_docstrings_of_constants_and_comments() -> None:
    source = '''"""A module."""
_X = 1
"""Of what is left."""
# Whoever reads this.

# Whatever is read.
_Z = 1
"""What is left."""
y = """Of no docstring's kind: it has a name."""
'''
    assert [bool(PROSE.search(text)) for text in prose(source)] == [False, True, False, True, False]
    assert [bool(WHAT.search(text)) for text in prose(source)] == [False, False, True, False, True]
