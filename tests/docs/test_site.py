"""The documentation as a site builds without a warning; links and search find what is there."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


class _Page(HTMLParser):
    """The links of a page, the files that it loads, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loads.append(given["href"])


def test_every_link_ends_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: _Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    assert len(pages) > 20
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "mailto"):
                assert link not in page.loads, f"{path.name} loads {link}"
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            if target.is_dir():
                target /= "index.html"
            assert target.is_file(), f"{path.name}: {link}"
            other = pages.get(target.resolve()) or pages.get(target)
            if parts.fragment and other:
                assert unquote(parts.fragment) in other.places, f"{path.name}: {link}"


@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("does not fit", "howto.html"),
        ("cannot be opened", "troubleshooting.html"),
        ("tinyedge.commands.run.run", "reference.html"),
        ("pytorch", "index.html"),
    ],
)
def test_the_search_finds_the_page(site: Path, word: str, page: str) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {
        entry["location"].partition("#")[0]
        for entry in index["docs"]
        if word in f"{entry['title']} {entry['text']} {entry['location']}".lower()
    }
    assert page in found or (page == "index.html" and "" in found), found


def test_the_search_ranks_answers_before_lists(site: Path) -> None:
    hook = runpy.run_path(str(ROOT / "tools" / "search_ranks.py"))
    index = json.loads((site / "search" / "search_index.json").read_text())
    ranks = {entry["location"]: entry.get("boost", 1) for entry in index["docs"]}
    assert ranks["howto.html"] > ranks["cli.html"] == 1 > ranks["reference.html"]
    assert all((ROOT / "docs" / page).is_file() for page in hook["RANKS"])


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert f" {path.name}\n" in listed, path.name
