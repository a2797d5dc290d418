"""A reader who does what a page says, in a folder of their own."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT, Block, Command
from tests.docs.parsing import check_command
from tinyedge.cli.main import main

_TIMEOUT_S = 120
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Session:
    """Runs blocks one after the other, in the working directory.

    Attributes:
        exit_code: of the last command.
        not_run: of each block that was only parsed: where it stands, and what it needs.
    """

    exit_code: int = 0
    not_run: list[str] = field(default_factory=list)
    _names: dict[str, Any] = field(default_factory=dict)

    def follow(self, block: Block) -> None:
        """Does what a block says, and compares what it shows."""
        if block.file:
            Path(block.file).write_text(block.content, encoding="utf-8")
            return
        if block.needs and not block.ports:
            self.not_run.append(f"{block.place} needs {block.needs}")
            self._parse(block)
            return
        match block.language:
            case "sh" | "console":
                with _emulated(block) as ports:
                    for command in block.commands():
                        self._run(command, ports)
            case "python":
                exec(_compiled(block), self._names)  # noqa: S102 - of our own documentation
            case "pycon":
                self._converse(block)

    def _parse(self, block: Block) -> None:
        if block.language in ("sh", "console"):
            for command in block.commands():
                check_command(command)
        elif block.language == "python":
            _compiled(block)

    def _run(self, command: Command, ports: dict[str, Path]) -> None:
        if command.text == "echo $?":
            out, err = f"{self.exit_code}\n", ""
        else:
            self.exit_code, out, err = _execute(command, ports)
        for port, link in ports.items():
            out, err = out.replace(str(link), port), err.replace(str(link), port)
        failed = self.exit_code != 0 and command.text != "echo $?"
        if failed:
            errors = [line for line in err.splitlines() if line.startswith(("error: ", "hint: "))]
            out = "\n".join((out, *errors))
        if command.block.language == "sh":
            assert not failed, f"{command.place}\n{err}"
            return
        assert not failed or "error: " in command.shown, f"{command.place}\n{err}"
        _compare(command.place, command.shown, out)

    def _converse(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(
            block.content.replace("…", "..."), {}, block.place, str(block.page), block.line
        )
        test.globs = self._names
        found = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=_FLAGS)
        runner.run(test, out=found.write, clear_globs=False)
        assert runner.summarize(verbose=False).failed == 0, found.getvalue()


def _compiled(block: Block) -> Any:
    return compile("\n" * block.line + block.content, str(block.page), "exec")


def _compare(place: str, shown: str, printed: str) -> None:
    """Fails unless the output is what is shown, but for spaces and where ``…`` stands."""
    want, got = (text.replace("…", "...").strip() + "\n" for text in (shown, printed))
    if not doctest.OutputChecker().check_output(want, got, _FLAGS):
        raise AssertionError(f"{place}\nshows\n{shown}\nand prints\n{printed}")


def _execute(command: Command, ports: dict[str, Path]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    text = command.text
    for port, link in ports.items():
        text = text.replace(port, str(link))
    replaced = Command(command.block, command.line, text, command.shown)
    if not (replaced.simple and replaced.words[0] == "tinyedge"):
        return _shell(text)
    arguments = replaced.words[1:]
    if ports and arguments[0] == "flash":
        arguments.append("--dry-run")  # nobody emulates a boot ROM
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return code, out.getvalue(), err.getvalue()


def _shell(text: str) -> tuple[int, str, str]:
    program = f'tinyedge() {{ "{sys.executable}" -m tinyedge "$@"; }}\n'
    program += f'python() {{ "{sys.executable}" "$@"; }}\n{text}'
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(
        ["bash", "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


@contextlib.contextmanager
def _emulated(block: Block) -> Iterator[dict[str, Path]]:
    """Emulated boards that hold the model of a block, for the ports that it needs."""
    with contextlib.ExitStack() as boards:
        yield {port: boards.enter_context(_board(block, Path(port).name)) for port in block.ports}


@contextlib.contextmanager
def _board(block: Block, name: str) -> Iterator[Path]:
    streamed = (c.words for c in block.commands() if c.words[1] in ("run", "attack"))
    folder = next((words[2] for words in streamed), "out")
    link = Path(name).absolute()
    command = [sys.executable, "-m", "tinyedge", "emulate", folder, "--link", str(link)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        said = process.stdout.readline()
        try:
            assert str(link) in said, process.communicate(timeout=_TIMEOUT_S)[1]
            yield link
        finally:
            process.terminate()
            try:
                process.communicate(timeout=_TIMEOUT_S)
            finally:
                process.kill()
