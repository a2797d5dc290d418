"""Writes the table of what can be imported into ``docs/importing.md``."""

from __future__ import annotations

from pathlib import Path

from tinyedge.importers.table import markdown

PATH = Path(__file__).parents[1] / "docs" / "importing.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"


def written(page: str) -> str:
    """The page with the table of this version."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown()}\n{END}{after}"


if __name__ == "__main__":
    PATH.write_text(written(PATH.read_text(encoding="utf-8")), encoding="utf-8")
    print(PATH)
