"""A hook of MkDocs: the site's search shows answers to questions before lists of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page

RANKS = {
    "howto.md": 2.0,
    "troubleshooting.md": 2.0,
    "choose.md": 2.0,
    "importing.md": 2.0,
    "attacks.md": 1.5,
    "reference.md": 0.2,
    "results-appendix.md": 0.3,
}
"""Factors of a page's rank, 1 for all others."""


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Tells the theme's search the rank of a page; changes no text."""
    if page.file.src_path in RANKS:
        page.meta["search"] = {"boost": RANKS[page.file.src_path]}
    return markdown
