"""Firmware templates, the C runtime and board files, wherever tinyedge is installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tinyedge.naming import in_code, in_comment, in_markdown

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder ``firmware_templates`` or ``boards``: in the wheel, or in the source tree."""
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"the installation of tinyedge lacks its folder '{name}'")


@cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("firmware_templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=_is_html,  # noqa: S701 - of HTML; all other templates are C or Markdown
    )
    environment.filters |= {"code": in_code, "comment": in_comment, "markdown": in_markdown}
    environment.filters["label"] = _label
    return environment


def _label(key: str) -> str:
    """A key of a graph's source in words: ``sha256`` is SHA-256, ``quantized_from`` two words."""
    return "SHA-256" if key == "sha256" else key.replace("_", " ").capitalize()


def _is_html(name: str | None) -> bool:
    """Whether what is put into a template has to be escaped."""
    return name is not None and name.endswith(".html.j2")


def render_template(name: str, context: dict[str, Any]) -> str:
    """Renders ``firmware_templates/<name>``; a variable that is not in ``context`` is an error."""
    text: str = _environment().get_template(name).render(context)
    return text
