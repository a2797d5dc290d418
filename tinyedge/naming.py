"""Names that files, devices and users bring: what they may hold, and how they are written.

A name may come from a stranger. Where one comes in, ``check_name`` refuses what nobody can see, or
``clean_name`` replaces it; where one is written, what has a meaning there is escaped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from tinyedge.errors import TinyEdgeError

LONGEST_NAME = 4096
"""Characters. TensorFlow's converter joins names to more than a thousand."""

_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode's categories: control and format characters, halves of pairs, ends of lines."""

_OF_A_STEP = 1e-6
"""How far from whole a number of 255ths may lie, as it was computed."""

_MARKDOWN = "\\`*_[]|~"


def check_name(name: Any, what: str, error: type[TinyEdgeError]) -> str:
    """Gives the name, or refuses it.

    Args:
        name: as it came in.
        what: names the file and the key in it.
        error: to raise.

    Raises:
        TinyEdgeError: of the class ``error``: the name is no text, too long, or holds a character
            that is not seen, such as a newline, ESC or one that turns the direction of text.
    """
    if not isinstance(name, str):
        raise error(f"{what} is {name!r:.80}, allowed: a text")
    if len(name) > LONGEST_NAME:
        raise error(f"{what} has {len(name)} characters, allowed: up to {LONGEST_NAME}")
    for character in name:
        if _is_unseen(character):
            raise error(
                f"{what} is {visible(name)[:80]!r}, which holds U+{ord(character):04X}; allowed: "
                "characters that are seen, and spaces"
            )
    return name


def clean_name(name: str) -> str:
    """The name that a tensor gets whose own is refused: ``_`` stands for what is not seen."""
    if name.isprintable():
        return name[:LONGEST_NAME]
    return "".join("_" if _is_unseen(each) else each for each in name)[:LONGEST_NAME]


def member_names(names: Iterable[str]) -> list[str]:
    """Names for the arrays of a ``.npz`` file: each once, and none that leads out of a folder.

    Args:
        names: as tensors have them; most stay what they are.
    """
    given: list[str] = []
    for name in names:
        parts = clean_name(name).replace("\\", "_").split("/")
        cleaned = "/".join("_" if part in ("", ".", "..") else part for part in parts)
        if cleaned.endswith(".npy"):  # numpy would take it for the file of another array
            cleaned = f"{cleaned.removesuffix('.npy')}_npy"
        unique, count = cleaned, 1
        while unique in given:
            unique = f"{cleaned}_{(count := count + 1)}"
        given.append(unique)
    return given


def visible(text: str, keep: str = "") -> str:
    r"""A text in which an escape such as ``\x1b`` stands for what is not seen.

    Args:
        text: any.
        keep: characters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode() if _is_unseen(each) and each not in keep else each
        for each in text
    )


def one_line(text: str) -> str:
    """A text as one visible line, with single spaces."""
    return visible(" ".join(text.split()))


def in_comment(text: str) -> str:
    """A text that neither ends nor begins a C comment, nor ends its line."""
    return one_line(text).replace("*/", "* /").replace("/*", "/ *")


def in_markdown(value: Any) -> str:
    """A text that cannot end the cell of a Markdown table, nor begin markup."""
    text = one_line(str(value))
    for character in _MARKDOWN:
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def in_code(value: Any) -> str:
    """A text as it may stand between backticks, also in the cell of a Markdown table."""
    return one_line(str(value)).replace("`", "'").replace("|", "\\|")


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN


def epsilon_number(text: str) -> float:
    """Reads ``0.1`` or ``8/255``; raises ValueError or ZeroDivisionError where it is neither."""
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / (float(denominator) if slash else 1)


def epsilon_text(epsilon: float) -> str:
    """As people write it: ``8/255`` for a whole number of 255ths, else three digits as ``0.1``."""
    digits = f"{epsilon:.3g}"
    steps = round(epsilon * 255)
    if float(digits) == epsilon or not steps or abs(epsilon * 255 - steps) > _OF_A_STEP:
        return digits
    return f"{steps}/255"


def same_epsilon(first: float, second: float) -> bool:
    """Whether two are equal to the three digits that people write."""
    return f"{first:.3g}" == f"{second:.3g}"
