"""The boards that tinyedge knows: ``tinyedge boards list``, ``show``, ``fit``, ``validate``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from tinyedge.boards import Board, board_names, load_board
from tinyedge.commands.arguments import AnyPath, one_of
from tinyedge.commands.notes import noted
from tinyedge.errors import BoardError, DoesNotFitError, TinyEdgeError, ToolchainError
from tinyedge.exporters.c.kernels import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, load_converted, write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.progress import NOBODY, Listener


@noted()
def list_boards() -> dict[str, Any]:
    """Lists all boards.

    Returns:
        ``boards``: of each ``name``, ``title``, ``mcu``, ``core``, and the bytes of ``flash`` and
        ``ram``.
    """
    boards = [load_board(name) for name in board_names()]
    return {
        "boards": [
            {
                "name": board.name,
                "title": board.title,
                "mcu": board.mcu,
                "core": board.core,
                "flash": board.flash.size,
                "ram": board.ram.size,
            }
            for board in boards
        ]
    }


@noted()
def show_board(name: str | PathLike[str]) -> dict[str, Any]:
    """Gives everything about a board.

    Args:
        name: of the board, or the path of a ``.toml`` file.

    Returns:
        ``board``: every key of its description (``docs/boards.md``).

    Raises:
        BoardError: the board is unknown, or its description wrong.
    """
    return {"board": load_board(fspath(name)).model_dump(by_alias=True)}


@noted()
def validate_boards(files: str | PathLike[str] | Sequence[str | PathLike[str]]) -> dict[str, Any]:
    """Checks board descriptions.

    Args:
        files: a name or the path of a ``.toml`` file, or several.

    Returns:
        ``valid``: the names of the boards.

    Raises:
        BoardError: says what is wrong with each that is not in order.
    """
    boards, faults = [], []
    for file in [files] if isinstance(files, str | PathLike) else files:
        try:
            boards.append(load_board(fspath(file)))
        except BoardError as fault:
            faults.append(fault)
    if faults:
        raise BoardError("\n".join(map(str, faults)), hint=faults[0].hint)
    return {"valid": [board.name for board in boards]}


@noted()
def fit_boards(
    folder: AnyPath,
    *,
    board: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    compiler: CompilerName | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Tells which boards hold a converted model: builds its firmware for each of them.

    Kernels are chosen by each board's own core, as ``convert --core`` would.

    Args:
        folder: what ``convert`` wrote.
        board: a name or the path of a ``.toml`` file, or several; all boards by default.
        compiler: ``gcc`` where installed by default, else ``zig``.
        listener: told how far it is.

    Returns:
        ``compiler`` as given, and ``boards``: of each ``name``, ``core``, whether it ``fits`` (None
        where it could not be built); the bytes of ``flash`` and ``ram`` that the firmware takes
        (without its stack) and that the board has, or None where it was not linked; and
        ``reason``, a sentence where it does not fit or could not be built.

    Raises:
        BoardError: a board is unknown.
        ModelError: the folder is none that ``convert`` wrote, or damaged.
        UsageError: the compiler is unknown.
    """
    one_of("compiler", compiler, COMPILERS)
    model = load_converted(Path(folder))
    names = [board] if isinstance(board, str | PathLike) else list(board)
    asked = [load_board(fspath(name)) for name in names or board_names()]
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="tinyedge-fit-") as scratch,
        listener.progress("building for each board", len(asked)) as advance,
    ):
        models: dict[str, ConvertedModel] = {}
        for each in asked:
            if each.core not in models:
                options = CodeOptions(each.core, model.manifest["optimize"])
                target = Path(scratch) / each.core
                models[each.core] = write_converted(model.graph, target, "", (), options)
            rows.append(_fit(models[each.core], each, compiler))
            advance(1)
    return {"compiler": compiler, "boards": rows}


def no_board_fits(folder: AnyPath, record: dict[str, Any]) -> TinyEdgeError | None:
    """Says why no board of ``fit_boards`` holds the model.

    Args:
        folder: the converted model.
        record: what ``fit_boards`` gave.
    """
    rows = record["boards"]
    if any(row["fits"] for row in rows):
        return None
    names = f"{len(rows)} boards" if len(rows) > 1 else rows[0]["name"]
    if all(row["fits"] is None for row in rows):
        return ToolchainError(f"{folder} could not be built for {names}")
    return DoesNotFitError(
        f"{folder} fits none of {names}" if len(rows) > 1 else f"{folder} does not fit {names}"
    )


def _fit(model: ConvertedModel, board: Board, compiler: CompilerName | None) -> dict[str, Any]:
    """The row of one board."""
    flash: dict[str, Any] = {"used": None, "size": board.flash.size}
    ram: dict[str, Any] = {"used": None, "size": board.ram.size}
    fits: bool | None = True
    reason = None
    try:
        footprint = build_firmware(model, board, compiler).footprint
        flash["used"] = footprint.flash
        ram["used"] = footprint.arena + footprint.static
    except DoesNotFitError as error:
        fits, reason = False, str(error)
    except ToolchainError as error:
        fits, reason = None, str(error)
    row = {"name": board.name, "core": board.core, "fits": fits, "flash": flash, "ram": ram}
    return row | {"reason": reason}
