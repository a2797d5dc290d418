"""The code of the documentation: its blocks, and the code in its text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *EXAMPLES]

_REMARK = re.compile(r"<!--\s*(needs|file):\s*(.+?)\s*-->")
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        page: its file.
        line: of its fence, from 1 on.
        language: what stands behind the fence.
        content: the text.
        needs: of ``<!-- needs: ... -->`` before it: what there is not in a test. Its commands are
            parsed, but not run, unless it is a board at a serial port, which is emulated.
        file: of ``<!-- file: ... -->`` before it: the name that the reader is to save it by.
    """

    page: Path
    line: int
    language: str
    content: str
    needs: str | None = None
    file: str | None = None

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def ports(self) -> list[str]:
        """Serial ports of the boards that it needs."""
        return re.findall(r"/dev/[\w/]+", self.needs or "")

    def commands(self) -> Iterator[Command]:
        """The commands of an ``sh`` or a ``console`` block, with the output that is shown."""
        console = self.language == "console"
        command, shown, start, open_ = "", list[str](), self.line, False
        for number, line in enumerate(self.content.splitlines(), self.line + 1):
            begins = line.startswith("$ ") if console else bool(line.strip())
            if open_:
                command += line.strip().removeprefix("> ")
            elif begins:
                if command:
                    yield Command(self, start, command, "\n".join(shown))
                command, shown, start = line.removeprefix("$ "), [], number
            elif console:
                shown.append(line)
            open_ = (begins or open_) and command.endswith("\\")
            command = command.removesuffix("\\")
        if command:
            yield Command(self, start, command, "\n".join(shown))


@dataclass(frozen=True)
class Command:
    """A command of a block.

    Attributes:
        block: that it stands in.
        line: of the page.
        text: as the shell takes it.
        shown: the output that the page shows.
    """

    block: Block
    line: int
    text: str
    shown: str

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.block.page.relative_to(ROOT)}:{self.line}: {self.text}"

    @property
    def words(self) -> list[str]:
        """The words of a simple command, without a comment."""
        return shlex.split(self.text, comments=True)

    @property
    def simple(self) -> bool:
        """Whether no shell is needed to run it."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=True)
        return not any(set(word) <= set("();<>|&") for word in lexer) and "$" not in self.text


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, remarks = [], dict[str, str]()
    for token in _MARKDOWN.parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            remarks |= dict(_REMARK.findall(token.content))
        elif token.type == "fence":
            assert token.map
            language = token.info.strip()
            found.append(Block(page, token.map[0] + 1, language, token.content, **remarks))
        if token.type != "html_block":
            remarks = {}
    return found


def inline_code(page: Path) -> list[tuple[str, str]]:
    """Code in the text of a page: where it stands, and what it says."""
    return [
        (f"{page.relative_to(ROOT)}:{token.map[0] + 1}", child.content)
        for token in _MARKDOWN.parse(page.read_text(encoding="utf-8"))
        if token.type == "inline" and token.map
        for child in token.children or []
        if child.type == "code_inline"
    ]
