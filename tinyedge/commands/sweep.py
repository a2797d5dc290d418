"""Networks, boards, options and suites in one table, which goes on where it was interrupted."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tinyedge.boards import load_board
from tinyedge.cluster.versions import versions
from tinyedge.commands.arguments import AnyPath, check_outputs, optional_path
from tinyedge.commands.clusters import cluster_address
from tinyedge.commands.conversion import code_options, convert_file
from tinyedge.commands.notes import noted
from tinyedge.commands.run import run
from tinyedge.errors import (
    ConfigError,
    DataError,
    DoesNotFitError,
    ModelError,
    ThresholdError,
    TinyEdgeError,
    ToolchainError,
)
from tinyedge.files import json_text, read_json, write_atomically
from tinyedge.importers.result import file_hash
from tinyedge.names import EmulatorName, Objective
from tinyedge.progress import NOBODY, Listener
from tinyedge.records.run import Run, load_run
from tinyedge.reports.html import render_html
from tinyedge.reports.report import load_report
from tinyedge.reports.tables import csv_text
from tinyedge.schema import Fault, Section, read_toml, refuse

CSV_FILE = "sweep.csv"
COLUMNS = (
    "network",
    "board",
    "optimize",
    "suite",
    "samples",
    "float",
    "host",
    "device",
    "mismatched_logits",
    "instructions",
    "seconds",
    "flash",
    "ram",
    "failure",
)
"""Columns of the table: names, counts, accuracies in [0, 1], means, bytes, and the failure."""
_ROW_FAULTS = (DoesNotFitError, ModelError, ToolchainError)
"""The errors that make a row of their own, and do not end the sweep."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,40}$")]


class NetworkConfig(Section):
    """A network of a sweep.

    Attributes:
        model: what ``tinyedge convert`` takes.
        calibration: real inputs, for activations without a quantizer.
    """

    model: str
    calibration: str | None = None


class SweepConfig(Section):
    """The file of a sweep; paths are relative to its folder.

    Attributes:
        networks: by the name that the table has.
        boards: names, or ``.toml`` files.
        optimize: what kernels are chosen for.
        suites: files of suites or of labelled samples, as ``tinyedge run --data`` takes them.
        on: where they run.
        emulator: by name.
        samples: the first so many of each suite.
    """

    networks: Annotated[dict[Name, NetworkConfig], Field(min_length=1)]
    boards: Annotated[list[str], Field(min_length=1)]
    suites: Annotated[list[str], Field(min_length=1)]
    optimize: Annotated[list[Objective], Field(min_length=1)] = Field(default=["speed"])
    on: Literal["numpy", "twin", "emulator"] = "emulator"
    emulator: EmulatorName | None = None
    samples: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> SweepConfig:
        refuse(
            Fault(key, value, "each once")
            for key, value in (
                ("boards", self.boards),
                ("suites", self.suites),
                ("suites", [Path(each).stem for each in self.suites]),
                ("optimize", self.optimize),
            )
            if len(set(value)) < len(value)
        )
        return self


@dataclass(frozen=True)
class _Cell:
    """A run of the sweep."""

    network: str
    board: str
    optimize: Objective
    data: Path

    @property
    def variant(self) -> str:
        """The variant that is converted for the row."""
        return f"{self.network}-{Path(self.board).stem}-{self.optimize}"

    @property
    def name(self) -> str:
        """The name of its record."""
        return f"{self.variant}-{self.data.stem}"


@noted()
def sweep(
    file: AnyPath,
    *,
    output: AnyPath,
    html: AnyPath | None = None,
    cluster: str | None = None,
    chunks: AnyPath | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Runs networks on boards with options and suites, every one with every other.

    Args:
        file: a ``sweep.toml``, whose keys ``docs/cluster.md`` names.
        output: folder for what is converted, the records of the runs and ``sweep.csv``. What it
            holds of the same models, suites and versions is not done again.
        html: file for a page with all runs side by side.
        cluster: ``local:N`` or ``tcp://HOST:PORT``, whose workers compute; this process by default.
        chunks: folder of finished chunks of a cluster's work.
        listener: told how far it is.

    Returns:
        ``sweep``, ``rows[]`` with the keys of ``COLUMNS``, ``computed`` and ``kept`` (how many
        runs), and ``written[]``.

    Raises:
        ThresholdError: host and device differ anywhere; ``record`` is the result.
        ConfigError: the file is missing or wrong.
        TinyEdgeError: see ``convert`` and ``run``; a network that cannot be converted for a board,
            or does not fit it, is a row that says so.
    """
    path, folder = Path(file), Path(output)
    config = read_toml(path, SweepConfig, ConfigError)
    cluster_address(cluster, optional_path(chunks), {})
    table, page = folder / CSV_FILE, optional_path(html)
    check_outputs({"--output's table": table, "--html": page}, [("the sweep", path)])
    cells = list(_cells(path, config))
    rows: list[dict[str, Any]] = []
    records: list[Path] = []
    computed = kept = 0
    with listener.progress("sweeping", len(cells)) as advance:
        for cell in cells:
            try:
                record, anew = _record(path, config, cell, folder, cluster, chunks)
            except _ROW_FAULTS as error:
                rows.append(_row(cell, failure=str(error)))
            else:
                computed, kept = computed + anew, kept + (not anew)
                rows += _rows(cell, load_run(record))
                records.append(record)
            advance(1)
    write_atomically(table, csv_text(COLUMNS, rows))
    written = [table]
    if page and records:
        write_atomically(page, render_html(load_report(records)))
        written.append(page)
    shown = {
        "sweep": str(path),
        "rows": rows,
        "computed": computed,
        "kept": kept,
        "written": [str(each) for each in written],
    }
    if differing := sum(row["mismatched_logits"] or 0 for row in rows):
        raise ThresholdError(f"host and device differ in {differing:,} logits").of(shown)
    return shown


def _cells(path: Path, config: SweepConfig) -> Iterator[_Cell]:
    for network in config.networks:
        for board in config.boards:
            for optimize in config.optimize:
                for data in config.suites:
                    yield _Cell(network, board, optimize, path.parent / data)


def _record(
    path: Path,
    config: SweepConfig,
    cell: _Cell,
    folder: Path,
    cluster: str | None,
    chunks: AnyPath | None,
) -> tuple[Path, bool]:
    """The record of a run, and whether it had to be made."""
    network = config.networks[cell.network]
    model = path.parent / network.model
    calibration = path.parent / network.calibration if network.calibration else None
    board = str(path.parent / cell.board) if cell.board.endswith(".toml") else cell.board
    made_of = _made_of(config, cell, board, [model, calibration, cell.data])
    record, key = folder / "runs" / f"{cell.name}.json", folder / "runs" / f"{cell.name}.key"
    if record.is_file() and _key(key) == made_of:
        return record, False
    converted = folder / "models" / cell.variant
    command = f"tinyedge sweep {path.name}"
    options = code_options(None, board, cell.optimize)
    convert_file(
        model,
        calibration,
        None,
        options,
        converted,
        NOBODY,
        keep_constant_channels=False,
        command=command,
    )
    record.parent.mkdir(parents=True, exist_ok=True)
    key.unlink(missing_ok=True)
    with contextlib.suppress(ThresholdError):  # the record says so, and the sweep in the end
        run(
            converted,
            on=config.on,
            board=board,
            emulator=config.emulator if config.on == "emulator" else None,
            data=cell.data,
            samples=config.samples,
            output=record,
            cluster=cluster,
            chunks=chunks,
            command=["tinyedge", "sweep", path.name],
        )
    write_atomically(key, json_text(made_of))
    return record, True


def _made_of(
    config: SweepConfig, cell: _Cell, board: str, files: list[Path | None]
) -> dict[str, Any]:
    """All that a record depends on."""
    for each in files:
        if each and not each.is_file():
            raise DataError(f"{each}: no such file", hint="paths are relative to the sweep's file")
    described = load_board(board).model_dump_json()
    return {
        "files": [each and file_hash(each) for each in files],
        "board": hashlib.sha256(described.encode()).hexdigest(),
        "optimize": cell.optimize,
        "on": config.on,
        "emulator": config.emulator,
        "samples": config.samples,
        "versions": versions(),
    }


def _key(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError, TinyEdgeError):
        return None


def _rows(cell: _Cell, record: Run) -> Iterator[dict[str, Any]]:
    """A row a suite."""
    memory = record.memory
    for suite in record.suites:
        yield _row(
            cell,
            suite=suite.name,
            samples=suite.samples,
            float=suite.accuracy.float,
            host=suite.accuracy.host,
            device=suite.accuracy.device,
            mismatched_logits=suite.mismatched_logits,
            instructions=suite.instructions and suite.instructions.mean,
            seconds=suite.seconds and suite.seconds.mean,
            flash=memory and memory.flash.total,
            ram=memory and memory.ram.total,
        )


def _row(cell: _Cell, **found: Any) -> dict[str, Any]:
    named = {"network": cell.network, "board": cell.board, "optimize": cell.optimize}
    return dict.fromkeys(COLUMNS) | named | {"suite": cell.data.stem} | found
