"""Footprints: that every byte is counted once, what grew, and the limits."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from tests.cli.commands import failure, run_cli, run_json
from tests.conftest import require
from tests.draws import some_of
from tests.reports.builds import BOARDS, GRAPHS, default_build
from tinyedge.boards import load_board
from tinyedge.errors import BoardError, ModelError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.memory_map import PADDING, UNNAMED, MemoryMap, read_memory_map
from tinyedge.firmware.project import build_firmware, build_project, harness_files
from tinyedge.graph.operators import Weighted
from tinyedge.names import COMPILERS, CompilerName
from tinyedge.records.footprint import load_footprint
from tinyedge.reports.footprint import (
    MEMORIES,
    NETWORK,
    PARTS,
    called_by,
    compare_records,
    footprint_markdown,
    footprint_record,
    network_alone,
)
from tinyedge.reports.html import render_html
from tinyedge.reports.report import build_report
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import available_compilers, cross_compiler

pytestmark = pytest.mark.needs_tool


def loaded(elf: Path) -> dict[str, int]:
    """Bytes of the segments, by the addresses of the boards' memories: RAM begins at 512 MiB."""
    with elf.open("rb") as file:
        segments = [s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_LOAD"]
        return {
            "flash": sum(s["p_filesz"] for s in segments),
            "ram": sum(s["p_memsz"] for s in segments if s["p_vaddr"] >= 0x20000000),
        }


def check_sums(record: dict[str, Any], elf: Path) -> None:
    totals = loaded(elf)
    for memory in MEMORIES:
        assert record[memory]["total"] == totals[memory]
        for rows in ("symbols", "sections", "groups"):
            assert sum(row[memory] for row in record[rows]) == totals[memory], (memory, rows)
        used = record[memory]["total"] + record[memory]["gaps"] + record[memory]["left"]
        assert used == record[memory]["size"]
    groups = {row["name"]: row["flash"] for row in record["groups"]}
    assert sum(layer["flash"] for layer in record["layers"]) == groups["layers"]
    assert sum(kernel["flash"] for kernel in record["kernels"]) == groups["kernels"]
    for layer in record["layers"]:
        assert sum(layer[part] for part in PARTS) == layer["flash"]


@pytest.mark.parametrize(("name", "board_name", "compiler"), some_of(GRAPHS, BOARDS, COMPILERS))
def test_every_byte_is_counted_once(
    name: str, board_name: str, compiler: CompilerName, models: dict[str, ConvertedModel]
) -> None:
    require(available_compilers(), compiler)
    model, board = models[name], load_board(board_name)
    firmware = build_firmware(model, board, compiler)
    memory = read_memory_map(firmware.elf)
    record = footprint_record(memory, board)
    check_sums(record, firmware.elf)
    flash, ram = firmware.footprint.flash, firmware.footprint.arena + firmware.footprint.static
    assert (record["flash"]["total"], record["ram"]["total"]) == (flash, ram)
    # The image holds the bytes that are counted, and the gaps between them.
    image = firmware.image.stat().st_size
    assert record["flash"]["total"] + record["flash"]["gaps"] == image
    assert memory.flash.end - board.flash.origin == image

    groups = {row["name"]: row for row in record["groups"]}
    assert groups["arena"]["ram"] == model.arena_bytes
    assert groups["padding"]["flash"] < 0.01 * flash
    assert "unnamed" not in groups  # this firmware has no literals
    assert sum(layer["weights"] for layer in record["layers"]) == model.weight_bytes
    files = {symbol["file"] for symbol in record["symbols"] if symbol["group"] == "kernels"}
    assert files <= set(model.runtime_sources)
    assert f"{model.manifest['layers'][0]['kernel']}.c" in files


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", GRAPHS)
def test_layers_hold_what_was_exported(
    name: str, compiler: CompilerName, models: dict[str, ConvertedModel]
) -> None:
    require(available_compilers(), compiler)
    model = models[name]
    firmware = build_firmware(model, load_board(BOARDS[0]), compiler)
    layers = footprint_record(read_memory_map(firmware.elf))["layers"]
    exported = [layer for layer in model.manifest["layers"] if layer["kernel"]]
    assert [layer["weights"] for layer in layers] == [row["weight_bytes"] for row in exported]
    biases = {
        operator.name: 4 * len(operator.bias)
        for operator in model.graph.operators
        if isinstance(operator, Weighted)
    }
    assert [layer["biases"] for layer in layers] == [biases.get(row["name"], 0) for row in exported]


def test_symbols_are_those_of_nm(models: dict[str, ConvertedModel]) -> None:
    require(available_compilers(), "gcc")
    elf = build_firmware(models["random"], load_board(BOARDS[1]), "gcc").elf
    listing = subprocess.run(
        ["arm-none-eabi-nm", "-S", str(elf)], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines()]
    theirs = Counter((row[3], int(row[1], 16)) for row in rows if len(row) == 4)
    ours: Counter[tuple[str, int]] = Counter()
    for piece in read_memory_map(elf).pieces:
        if piece.name not in (PADDING, UNNAMED):
            for name in (piece.name, *piece.aliases):
                ours[name, max(piece.flash, piece.ram)] += 1
    assert ours == theirs


# Everything that makes sums wrong: aliases, literals that a linker merges, a function in RAM with
# the veneer that reaches it, initial values, statics of the same name, alignment.
AWKWARD = """
#include <stdint.h>
void Reset_Handler(void);
int first(int value);
int second(int value);
int in_ram(int value);
__attribute__((noinline)) int first(int value) { static volatile int kept; return kept += value; }
int second(int value) __attribute__((alias("first")));
__attribute__((section(".data.in_ram"), noinline)) int in_ram(int value)
{
    static volatile int kept = 5;
    return value + kept;
}
static volatile char byte = 1;
static volatile int64_t zeroed[3];
static const char *volatile text;
void Reset_Handler(void)
{
    text = "a literal string of the firmware";
    text = "of the firmware";
    zeroed[1] = first(2) + second(byte) + in_ram(byte);
    for (;;) {
    }
}
"""


def awkward(folder: Path, board_name: str, compiler: CompilerName) -> tuple[Path, MemoryMap]:
    board = load_board(board_name)
    files = {"linker.ld": harness_files(board)["linker.ld"], "main.c": AWKWARD}
    elf = build_project(files, board, cross_compiler(board.core, compiler), folder).elf
    return elf, read_memory_map(elf)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("board_name", BOARDS)
def test_awkward_symbols(board_name: str, compiler: CompilerName, tmp_path: Path) -> None:
    require(available_compilers(), compiler)
    elf, memory = awkward(tmp_path / "build", board_name, compiler)
    totals = loaded(elf)
    for name in MEMORIES:
        assert sum(getattr(piece, name) for piece in memory.pieces) == totals[name]
    assert (memory.flash.total, memory.ram.total) == (totals["flash"], totals["ram"])
    pieces = {piece.name: piece for piece in memory.pieces}
    assert pieces["first"].aliases == ("second",)
    assert "second" not in pieces
    moved = pieces["in_ram"]
    assert moved.flash == moved.ram > 0  # its bytes are in flash, and it runs in RAM
    assert (pieces["byte"].flash, pieces["byte"].ram) == (1, 1)
    assert (pieces["zeroed"].flash, pieces["zeroed"].ram) == (0, 24)
    assert pieces[UNNAMED].section == ".rodata"
    assert pieces[UNNAMED].flash >= len("a literal string of the firmware") + 1
    assert any("veneer" in name or "Thunk" in name for name in pieces)
    kept = [piece for piece in memory.pieces if "kept" in piece.name]
    assert sorted((piece.flash, piece.ram) for piece in kept) == [(0, 4), (4, 4)]


def test_without_symbols_all_is_unnamed(tmp_path: Path) -> None:
    require(available_compilers(), "gcc")
    elf, memory = awkward(tmp_path / "build", BOARDS[0], "gcc")
    subprocess.run(["arm-none-eabi-strip", str(elf)], check=True)
    stripped = read_memory_map(elf)
    assert (stripped.flash, stripped.ram) == (memory.flash, memory.ram)
    assert {piece.name for piece in stripped.pieces} <= {UNNAMED, PADDING}
    record = footprint_record(stripped)
    assert record["layers"] == record["kernels"] == []


def test_another_board_s_addresses_are_refused(models: dict[str, ConvertedModel]) -> None:
    memory = read_memory_map(default_build(models["random"]).elf)
    with pytest.raises(BoardError, match="not for mps2-an385: it takes flash from 0x08000000"):
        footprint_record(memory, load_board("mps2-an385"))


def test_what_grew(models: dict[str, ConvertedModel], denser: ConvertedModel) -> None:
    before, after = (
        footprint_record(read_memory_map(default_build(model).elf))
        for model in (models["resnet8"], denser)
    )
    compare = compare_records(before, after)
    back = compare_records(after, before)
    for memory in MEMORIES:
        change = compare[memory]
        assert change["change"] == change["after"] - change["before"]
        assert back[memory]["change"] == -change["change"]
        for rows in ("symbols", "groups"):
            assert sum(row[memory]["change"] for row in compare[rows]) == change["change"]
    assert compare["flash"]["change"] < 0
    symbols = compare["symbols"]
    sizes = [sum(abs(row[memory]["change"]) for memory in MEMORIES) for row in symbols]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 0
    assert {row["status"] for row in symbols} == {"new", "gone", "changed"}
    gone = next(row for row in symbols if row["status"] == "gone")
    assert gone["flash"]["after"] == gone["ram"]["after"] == 0
    assert {row["name"] for row in compare["layers"]} <= {row["name"] for row in after["layers"]}
    same = compare_records(before, before)
    assert same["symbols"] == same["layers"] == same["groups"] == []
    assert same["flash"]["change"] == same["flash"]["percent"] == 0


def test_numbered_clones_are_the_same_symbol() -> None:
    def record(*names: str) -> dict[str, Any]:
        symbols = [
            {"name": name, "section": ".text", "file": "a.c", "flash": 8, "ram": 0}
            for name in names
        ]
        rows: dict[str, Any] = {"groups": [], "layers": [], "symbols": symbols}
        return rows | {"flash": {"total": 8 * len(names)}, "ram": {"total": 0}}

    before = record("usage.0", "finish.isra.0", "plain")
    assert compare_records(before, record("usage.1", "finish", "plain"))["symbols"] == []
    split = compare_records(before, record("usage.0", "finish", "plain", "plain.part.0"))
    assert [(row["name"], row["flash"]["change"]) for row in split["symbols"]] == [("plain", 8)]


# The command.


def test_command_builds_a_converted_model(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = models["random"]
    record = run_json(capsys, "footprint", model.folder, "-b", BOARDS[0])
    assert record["board"] == BOARDS[0]
    check_sums(record, Path(record["elf"]))
    kernels = {row["name"]: row["kernel"] for row in model.manifest["layers"] if row["kernel"]}
    assert [layer["kernel"] for layer in record["layers"]] == list(kernels.values())
    assert record["ram"]["stack_peak"] is record["compare"] is None
    # The build of it, and its program alone, say the same.
    build = Path(record["elf"]).parent
    again = run_json(capsys, "footprint", build)
    assert again["symbols"] == record["symbols"]
    assert again["compiler"] == record["compiler"]
    alone = run_json(capsys, "footprint", record["elf"])
    assert alone["symbols"] == record["symbols"]
    assert alone["flash"]["size"] is alone["board"] is None
    known = run_json(capsys, "footprint", record["elf"], "-b", BOARDS[0])
    assert known["flash"] == record["flash"]

    code, out, _ = run_cli(capsys, "footprint", build, "--top", "3", "-o", tmp_path / "r.md")
    assert code == 0
    for text in (out, (tmp_path / "r.md").read_text()):
        assert f"{record['flash']['total']:,}" in text
        assert f"{record['ram']['left']:,}" in text
        assert record["symbols"][0]["name"] in text
    assert "3 more" not in out
    assert f"{len(record['symbols']) - 3} more" in out


def test_a_part_of_kernels_is_no_dead_code() -> None:
    kernels: list[dict[str, Any]] = [
        {"name": "te_conv2d_dsp_s8", "layers": ["first", "second"]},
        {"name": "te_dsp_dot2_int8", "layers": []},
    ]
    layers = [{"name": "first", "packing": "int8_dsp"}, {"name": "second", "packing": "ternary"}]

    def named(name: str) -> list[str]:
        kernels[1]["name"] = name
        return called_by({"kernels": kernels, "layers": layers})

    assert named("te_dsp_dot2_int8") == ["first, second", "te_conv2d_dsp_s8"]
    # A layer's structure holds its reader's address; no kernel names it.
    assert named("te_unpack_ternary") == ["first, second", "second"]
    assert named("te_of_another_release") == ["first, second", "other kernels"]
    assert called_by({"kernels": kernels[1:], "layers": []}) == [""]  # of an .elf alone


def test_the_network_alone_has_its_line(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build, written = default_build(models["random"]).elf.parent, tmp_path / "r.md"
    record = run_json(capsys, "footprint", build, "-o", written)
    own = [symbol for symbol in record["symbols"] if symbol["group"] in NETWORK]
    alone = {memory: sum(symbol[memory] for symbol in own) for memory in ("flash", "ram")}
    assert network_alone(record["groups"]) == alone
    assert 0 < alone["flash"] < record["flash"]["total"]
    _, out, _ = run_cli(capsys, "footprint", build, "-q")
    page = render_html(build_report(record))
    for text in (out, written.read_text(), page):
        assert f"{alone['flash']:,} bytes of flash" in text


def test_quiet_is_totals_changes_and_limits(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "before.json"
    run_json(capsys, "footprint", models["random"].folder, "-b", BOARDS[0], "-o", written)
    limits = ("--compare", written, "--max-flash", "1M")
    _, whole, _ = run_cli(capsys, "footprint", written, *limits)
    code, quiet, _ = run_cli(capsys, "footprint", written, *limits, "-q")
    assert code == 0
    assert "Symbols" in whole
    lines = quiet.splitlines()
    assert len(lines) < 15
    assert lines[1].startswith("Flash ")
    assert any(line.startswith("Compared with") for line in lines)
    assert lines[-1].startswith("ok: ")


def test_markdown_is_one_table_a_heading(
    models: dict[str, ConvertedModel], denser: ConvertedModel
) -> None:
    records = [
        footprint_record(read_memory_map(default_build(model).elf), load_board(BOARDS[0]))
        for model in (models["resnet8"], denser)
    ]
    record = {**records[1], "compiler": "gcc", "gates": []}
    record["compare"] = compare_records(*records)
    lines = footprint_markdown(record).splitlines()
    tables = [i for i, line in enumerate(lines) if line.startswith("|---")]
    assert len(tables) >= 8
    for at in tables:
        cells = lines[at].count("|")
        end = next(i for i in range(at, len(lines)) if not lines[i].startswith("|"))
        assert lines[at - 2] == ""
        assert end > at + 1
        assert {line.count("|") for line in lines[at - 1 : end]} == {cells}
        assert lines[end] == ""


def test_comparison_with_builds_files_and_models(
    models: dict[str, ConvertedModel],
    denser: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new = default_build(models["resnet8"]), default_build(denser)
    written = tmp_path / "before.json"
    run_json(capsys, "footprint", old.elf.parent, "-o", written)
    compares = [
        run_json(capsys, "footprint", new.elf.parent, "--compare", other)["compare"]
        for other in (models["resnet8"].folder, old.elf.parent, old.elf, written)
    ]
    for compare in compares[1:]:
        assert compare["symbols"] == compares[0]["symbols"]
        assert compare["layers"] == compares[0]["layers"]
    assert compares[0]["flash"]["before"] == old.footprint.flash
    code, out, _ = run_cli(capsys, "footprint", new.elf, "--compare", written)
    assert code == 0
    assert "Changed symbols" in out


def test_limits(
    models: dict[str, ConvertedModel], denser: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    little, large = default_build(denser), default_build(models["resnet8"])
    flash, grown = large.footprint.flash, large.footprint.flash - little.footprint.flash
    ram = large.footprint.arena + large.footprint.static
    assert grown > 0

    def run(*limits: object) -> tuple[int, dict[str, Any]]:
        code, out, err = run_cli(capsys, "footprint", large.elf, *limits, "--json")
        record = json.loads(out)
        assert record["symbols"]  # the whole report in any case
        if code:
            assert record["error"]["code"] == "threshold"
            assert record["error"]["message"] in err
        return code, record

    against = ("--compare", little.elf)
    percent = 100 * grown / little.footprint.flash
    for limits, over in (
        (("--max-flash", flash), None),
        (("--max-flash", hex(flash - 1)), "flash takes .* bytes, 1 over --max-flash"),
        (("--max-ram", ram), None),
        (("--max-ram", ram - 24), "RAM takes .* bytes, 24 over --max-ram"),
        (("--max-flash", "1M", "--max-ram", "128KiB"), None),
        (("--max-flash", "1K", "--max-ram", "1KiB"), "flash .*; RAM .*"),
        ((*against, "--max-regression", grown), None),
        ((*against, "--max-regression", grown - 3), "flash grew by .* bytes, 3 over"),
        ((*against, "--max-regression", f"{percent + 0.1:.2f}%"), None),
        ((*against, "--max-regression", f"{percent - 0.1:.2f}%"), "flash grew by"),
        (("--compare", large.elf, "--max-regression", "0"), None),
        (("--compare", large.elf, "--max-regression", "0%"), None),
    ):
        code, record = run(*limits)
        assert code == (8 if over else 0), limits
        assert all((gate["over"] > 0) <= (over is not None) for gate in record["gates"])
        if over:
            with pytest.raises(AssertionError, match=over):
                raise AssertionError(record["error"]["message"])
    # A memory that shrank passes any limit, though the other one may not.
    _, out, _ = run_cli(
        capsys, "footprint", little.elf, "--compare", large.elf, "--max-regression", "0"
    )
    assert f"ok: flash shrank by {grown:,} bytes, {grown:,} under --max-regression (0)" in out


def test_stack_of_a_run(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware = default_build(models["random"])
    run = {
        "board": BOARDS[0],
        "memory": {"flash": {"total": firmware.footprint.flash}, "ram": {"stack_peak": 1234}},
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    arguments = ("footprint", firmware.elf.parent, "--measured", path)
    assert run_json(capsys, *arguments)["ram"]["stack_peak"] == 1234
    assert "1,234 of them in use at most" in run_cli(capsys, *arguments)[1]
    run["memory"]["flash"]["total"] += 4  # type: ignore[index]
    path.write_text(json.dumps(run))
    assert "of another firmware" in failure(capsys, 3, *arguments)["message"]
    for wrong in ("1234", 1.5, True, -1, None):
        run["memory"]["ram"]["stack_peak"] = wrong  # type: ignore[index]
        path.write_text(json.dumps(run))
        told = failure(capsys, 3, *arguments)["message"]
        assert told.startswith(f"{path}: memory.ram.stack_peak is {wrong!r}, allowed: ")
    for hostile in ("[" * 100_000, json.dumps(run | {"board": "\x1b[2J"})):
        path.write_text(hostile)
        told = failure(capsys, 3, *arguments)["message"]
        assert str(path) in told
        assert told.isprintable()
    path.write_text("{}")
    assert "board" in failure(capsys, 3, *arguments)["message"]


def test_bad_input(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware = default_build(models["random"])
    build = tmp_path / "build"
    shutil.copytree(firmware.elf.parent, build)
    (build / "firmware.elf").write_bytes(firmware.elf.read_bytes() + b"x")
    text, damaged = tmp_path / "text.elf", tmp_path / "damaged"
    text.write_text("no ELF\n")
    damaged.mkdir()
    (damaged / "firmware.json").write_text("[]")
    for code, message, *arguments in (
        (3, "no such file", tmp_path / "missing"),
        (3, "neither a converted model", tmp_path),
        (3, "not the program", build),
        (3, "firmware.json: damaged", damaged),
        (3, "text.elf: not a readable ELF", text),
        (3, "no such file", firmware.elf, "--compare", tmp_path / "missing"),
        (3, "missing.json: no such file", firmware.elf, "--compare", tmp_path / "missing.json"),
        (3, "unknown board", firmware.elf, "-b", "toaster"),
        (3, "not for mps2-an385", firmware.elf, "-b", "mps2-an385"),
        (2, "--board says", models["random"].folder),
        (2, "was built for", firmware.elf.parent, "-b", "mps2-an385"),
        (2, "--compiler goes", firmware.elf, "--compiler", "gcc"),
        (2, "--max-regression goes", firmware.elf, "--max-regression", "1%"),
        (2, ".html, .json, .md", firmware.elf, "-o", tmp_path / "report.pdf"),
        (2, "65536, 64K", firmware.elf, "--max-flash", "64X"),
        (2, "65536, 64K", firmware.elf, "--max-ram", "-1"),
        (2, "65536, 64K", firmware.elf, "--max-flash", "1.5K"),
        (2, "0.5%", firmware.elf, "--compare", firmware.elf, "--max-regression", "x%"),
        (2, "directory", firmware.elf, "-o", make(tmp_path / "folder.md")),
    ):
        assert message in failure(capsys, code, "footprint", *arguments)["message"]


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_damaged_baselines(
    models: dict[str, ConvertedModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware = default_build(models["random"])
    path = tmp_path / "before.json"
    run_json(capsys, "footprint", firmware.elf, "-o", path)
    good = json.loads(path.read_text())
    assert load_footprint(path) == good
    for changed, message in (
        ({"version": 2}, "version"),
        ({"symbols": None}, "symbols"),
        ({"symbols": good["symbols"][1:]}, "symbols add up to"),
        ({"flash": {"total": "12"}}, "flash.total"),
        ({"groups": [{"name": "x", "flash": -1, "ram": 0}]}, "groups.0.flash"),
    ):
        path.write_text(json.dumps(good | changed))
        arguments = ("footprint", firmware.elf, "--compare", path)
        assert message in failure(capsys, 3, *arguments)["message"]


def test_damaged_elf_is_told(models: dict[str, ConvertedModel], tmp_path: Path) -> None:
    """Any cut, and a byte changed anywhere in the headers: a footprint or a ModelError."""
    content = default_build(models["random"]).elf.read_bytes()
    path = tmp_path / "damaged.elf"
    headers = [*range(0, 52 + 4 * 32, 3), *range(len(content) - 14 * 40, len(content), 17)]
    for variant in (
        *(content[:length] for length in range(0, len(content), len(content) // 20)),
        *(content[:at] + b"\xff" + content[at + 1 :] for at in headers),
    ):
        path.write_bytes(variant)
        with contextlib.suppress(ModelError):
            memory = read_memory_map(path)
            assert sum(piece.flash for piece in memory.pieces) == memory.flash.total


def test_a_function_of_the_runtime_that_others_call_bears_its_file_s_name() -> None:
    """A symbol table tells no file of it: the footprint counts it to the kernels by its name."""
    defined = re.compile(r"^(?!static\b|TE_INLINE\b)\w[^;{}]*?\b(te_\w+)\([^;{}]*\)\s*\{", re.M)
    for path in sorted(data_folder("firmware_templates").glob("runtime/*.c")):
        code = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
        found = {each[1] for each in defined.finditer(code) if " static " not in each[0]}
        assert found == {path.stem}, path.name
