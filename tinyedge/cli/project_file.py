"""``tinyedge.toml`` in the current folder: the board, the port and the calibration of a project.

They stand for options that are not given. A value that does not go with the other options of a
command, a port with ``--on emulator`` say, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tinyedge.cli.output import Output

NAME = "tinyedge.toml"
KEYS = {"board_name": "board", "port": "port", "ports": "port", "calibration": "calibration"}
"""Which key stands for a command's parameter."""

_Given = Mapping[str, Any]
"""The parameters of a command that are known already: all that its user typed are, arguments
among them, and what is declared before."""


def _port_of_a_board(given: _Given) -> bool:
    return given.get("place") == "board" and not given.get("labgrid")


def _on_a_board_or_emulator(given: _Given) -> bool:
    return given.get("place") in {"board", "emulator"}


def _kernels_are_chosen(given: _Given) -> bool:
    return not isinstance(given.get("core"), str) and given.get("target") == "c"


def _for_one_board(given: _Given) -> bool:
    return given.get("format", "c") not in {"arduino", "c"}


def _has_no_ranges(given: _Given) -> bool:
    """A float or QKeras model, which calibration gives ranges; integers have theirs."""
    return Path(given["model"]).suffix not in {".tflite", ".npz"}


def _is_no_run(given: _Given) -> bool:
    """The model is a file: a training run has its own samples."""
    return Path(given["model"]).is_file()


def _is_converted(given: _Given) -> bool:
    return (Path(given["path"]) / "graph.npz").is_file()


def _written_through_a_port(given: _Given) -> bool:
    from tinyedge.boards import load_board
    from tinyedge.targets.flashing import takes_port

    if given.get("labgrid"):
        return False
    tool = given["tool_name"]
    return takes_port(load_board(given["board_name"]), tool if isinstance(tool, str) else None)


def _of_no_bench(given: _Given) -> bool:
    return not given.get("bench")


def _port_of_the_one_board(given: _Given) -> bool:
    return _of_no_bench(given) and _port_of_a_board(given)


def _in_no_lab(given: _Given) -> bool:
    return not given.get("labgrid")


def _always(_: _Given) -> bool:
    return True


_GOES_WITH: dict[tuple[str, str], Callable[[_Given], bool]] = {
    ("attack", "board"): _on_a_board_or_emulator,
    ("attack", "port"): _port_of_a_board,
    ("build", "board"): _always,
    ("check", "calibration"): _has_no_ranges,
    ("convert", "board"): _kernels_are_chosen,
    ("convert", "calibration"): _has_no_ranges,
    ("emulate", "board"): _always,
    ("export", "board"): _for_one_board,
    ("flash", "board"): _always,
    ("flash", "port"): _written_through_a_port,
    ("footprint", "board"): _is_converted,
    ("monitor", "board"): _always,
    ("monitor", "port"): _in_no_lab,
    ("quantize", "calibration"): _is_no_run,
    ("run", "board"): _on_a_board_or_emulator,
    ("run", "port"): _port_of_a_board,
    ("selftest", "board"): _of_no_bench,
    ("selftest", "port"): _port_of_the_one_board,
}
"""For a command and a key of the file: whether it goes with what was given."""


class ProjectOption(click.Option):
    """An option for which ``tinyedge.toml`` stands in."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        value, source = super().consume_value(ctx, opts)
        if source is not ParameterSource.DEFAULT or ctx.resilient_parsing:
            return value, source
        key = KEYS[str(self.name)]
        goes_with = _GOES_WITH.get((str(ctx.info_name), key))
        if goes_with is None or not Path(NAME).is_file() or not goes_with(ctx.params):
            return value, source
        found = _read(Path(NAME).absolute()).get(key)
        if found is None:
            return value, source
        values = [found] if isinstance(found, str) else found
        if not self.multiple:
            values = values[:1]
        ctx.ensure_object(Output).remark(f"{NAME}: {self.opts[-1]} {' '.join(values)}")
        return values if self.multiple else values[0], ParameterSource.DEFAULT_MAP


@lru_cache
def _read(path: Path) -> dict[str, Any]:
    """Reads the file.

    Raises:
        UsageError: an unknown key, or a value of another kind.
    """
    from typing import Annotated

    from pydantic import Field

    from tinyedge.errors import UsageError
    from tinyedge.schema import Section, read_toml

    class Project(Section):
        """The file."""

        board: str | None = None
        port: str | Annotated[list[str], Field(min_length=1)] | None = None
        calibration: str | None = None

    return read_toml(path, Project, UsageError).model_dump()
