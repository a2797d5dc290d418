"""Exported projects, built in a folder of their own with nothing of tinyedge around."""

from __future__ import annotations

import configparser
import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure, run_json
from tests.conftest import require
from tests.draws import some_of
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import board_names, load_board
from tinyedge.errors import FileError
from tinyedge.evaluation.session import emulated_firmware
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.export import FORMATS, export_firmware
from tinyedge.firmware.export.folder import with_manifest, write_folder
from tinyedge.firmware.project import Firmware, build_firmware
from tinyedge.graph import reference
from tinyedge.names import EmulatorName, ProjectFormat
from tinyedge.targets import available_emulators
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.needs_tool

GRAPH = RandomGraph(278)
BUILD = ("cmake", "ninja")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return write_converted(GRAPH.graph, tmp_path_factory.mktemp("model") / "model", "test")


def require_cmake() -> None:
    for program in BUILD:
        require([program for program in BUILD if shutil.which(program)], program)
    require(available_compilers(), "gcc")


def run(*command: object, cwd: Path, path: str = "") -> None:
    """Runs a program that sees nothing of this environment but where programs lie."""
    environment = {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "HOME": str(cwd)}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def assert_bit_exact(model: ConvertedModel, firmware: Firmware, elf: Path) -> None:
    """Runs an ELF file in an emulator, in the place of a firmware that was built here."""
    emulator: EmulatorName = "qemu" if firmware.board.emulator.qemu else "unicorn"
    require(available_emulators(firmware.board), emulator)
    samples = GRAPH.inputs(6)
    exported = dataclasses.replace(firmware, elf=elf)
    with emulated_firmware(model, exported, emulator) as emulated:
        logits = emulated.device.run(samples).logits
        assert emulated.device.hello.firmware_hash == firmware.hash
    assert np.array_equal(logits, reference.run(GRAPH.graph, samples))


@pytest.mark.parametrize(
    "name",
    some_of(["netduinoplus2", "nucleo-f446re", "microbit", "mps3-an547", "arduino-nano-rp2040"]),
)
def test_cmake_builds_the_same_image(name: str, model: ConvertedModel, tmp_path: Path) -> None:
    require_cmake()
    board = load_board(name)
    export = export_firmware(model, board, "cmake", tmp_path / "export", "tinyedge export")
    clean = tmp_path / "another folder"
    shutil.copytree(export.folder, clean)
    shutil.rmtree(export.folder)
    run("cmake", "--preset", "firmware", cwd=clean)
    run("cmake", "--build", "--preset", "firmware", cwd=clean)
    firmware = build_firmware(model, board, "gcc", tmp_path / "build")
    assert export.hash == firmware.hash
    assert (clean / "build/firmware.bin").read_bytes() == firmware.image.read_bytes()
    commands = json.loads((clean / "build/compile_commands.json").read_text())
    assert len(commands) == len(list((clean / "src").glob("*.c")))
    if board.emulator.qemu or board.emulator.unicorn:
        assert_bit_exact(model, firmware, clean / "build/firmware.elf")


@pytest.mark.parametrize(
    ("name", "program", "called"),
    [
        ("netduinoplus2", "dfu-util", "-d 0483:df11 -a 0 -s 0x08000000:leave -D firmware.bin"),
        (
            "nucleo-f446re",
            "openocd",
            "-f board/st_nucleo_f4.cfg -c program {firmware.bin} 0x08000000 verify reset exit",
        ),
    ],
)
def test_cmake_flashes(
    name: str, program: str, called: str, model: ConvertedModel, tmp_path: Path
) -> None:
    require_cmake()
    export = export_firmware(model, load_board(name), "cmake", tmp_path / "e", "tinyedge export")
    tools = tmp_path / "bin"
    tools.mkdir()
    tool = tools / program
    tool.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\ncp firmware.bin {tmp_path}/image\n')
    tool.chmod(0o755)
    run("cmake", "--preset", "firmware", cwd=export.folder)
    run("cmake", "--build", "--preset", "flash", cwd=export.folder, path=str(tools))
    assert (tmp_path / "called").read_text().strip() == called
    image = (export.folder / "build/firmware.bin").read_bytes()
    assert (tmp_path / "image").read_bytes() == image


def test_a_tool_that_writes_through_a_port_gets_it_from_cmake(
    model: ConvertedModel, tmp_path: Path
) -> None:
    require_cmake()
    path = tmp_path / "nucleo-f446re.toml"
    text = (data_folder("boards") / "nucleo-f446re.toml").read_text()
    path.write_text(
        text[: text.index("[flash_tool")]
        + "[flash_tool.bossac]\noffset = 8192\ntouch_1200 = true\n"
    )
    export = export_firmware(model, load_board(str(path)), "cmake", tmp_path / "e", "x")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "bossac").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    (tools / "bossac").chmod(0o755)
    run("cmake", "--preset", "firmware", "-D", "PORT=ttyACM3", cwd=export.folder)
    run("cmake", "--build", "--preset", "flash", cwd=export.folder, path=str(tools))
    told = (tmp_path / "called").read_text().strip()
    assert told == "-a -p ttyACM3 -U -e -w -v -o 0x2000 -R firmware.bin"


def test_settings_for_vs_code(model: ConvertedModel, tmp_path: Path) -> None:
    export = export_firmware(model, load_board("stm32f4-discovery"), "cmake", tmp_path / "e", "x")
    settings = {path.stem: json.loads(path.read_text()) for path in export.folder.glob(".*/*.json")}
    launches = settings["launch"]["configurations"]
    assert [launch["servertype"] for launch in launches] == ["openocd", "pyocd", "qemu"]
    assert launches[0]["configFiles"] == ["board/stm32f4discovery.cfg"]
    tasks = {task["label"] for task in settings["tasks"]["tasks"]}
    assert {launch["preLaunchTask"] for launch in launches} <= tasks


class PlatformIo:
    """The build of a project without a framework by PlatformIO's platform ststm32.

    From its builder/frameworks/_bare.py and PlatformIO's builder/tools/piobuild.py.
    """

    def __init__(self, project: Path) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(project / "platformio.ini")
        (section,) = parser.sections()
        self.name = section.removeprefix("env:")
        self.options = dict(parser[section])
        self._project = project

    def commands(self, cpu: str, folder: Path) -> list[list[str]]:
        gcc = "arm-none-eabi-gcc"
        target = ["-mthumb", f"-mcpu={cpu}"]
        bare = ["-Os", "-ffunction-sections", "-fdata-sections", "-Wall"]
        flags = [*bare, *target, *self.options["build_flags"].split()]
        removed = self.options["build_unflags"].split()
        kept = [flag for flag in flags if flag not in removed]
        define = ["-DPLATFORMIO=60200", "-DF_CPU=168000000L", "-Isrc"]
        sources = sorted(self._project.glob("src/*.c"))
        objects = [folder / f"{source.stem}.o" for source in sources]
        compiled = [
            [gcc, "-o", str(out), "-c", *kept, *define, str(source)]
            for source, out in zip(sources, objects, strict=True)
        ]
        link = ["-T", self.options["board_build.ldscript"], "-Wl,--gc-sections,--relax", *target]
        group = ["-Wl,--start-group", "-lgcc", "-Wl,--end-group"]  # newlib's too, if it is there
        linked = [gcc, "-o", str(folder / "firmware.elf"), *link, *self._script_flags()]
        return [*compiled, [*linked, *map(str, objects), *group]]

    def _script_flags(self) -> list[str]:
        """The flags that the extra script appends to the linker's."""
        appended: list[str] = []

        class Env:
            def Append(self, **flags: list[str]) -> None:  # noqa: N802
                appended.extend(flags.pop("LINKFLAGS"))
                assert not flags

        names: dict[str, Any] = {"env": Env(), "Import": lambda name: name}
        script = (self._project / self.options["extra_scripts"]).read_text()
        exec(compile(script, "link_flags.py", "exec"), names)  # noqa: S102 - as PlatformIO does
        return appended


@pytest.mark.parametrize(
    ("name", "known_as", "upload"),
    [
        ("netduinoplus2", "genericSTM32F405RG", "dfu"),
        ("nucleo-f767zi", "nucleo_f767zi", "stlink"),
        ("portenta-h7", "portenta_h7_m7", "dfu"),
    ],
)
def test_platformio_has_all_that_it_needs(
    name: str, known_as: str, upload: str, model: ConvertedModel, tmp_path: Path
) -> None:
    require(available_compilers(), "gcc")
    board = load_board(name)
    export = export_firmware(model, board, "platformio", tmp_path / "export", "tinyedge export")
    project = PlatformIo(export.folder)
    assert project.name == board.name
    assert project.options["board"] == known_as
    assert project.options["upload_protocol"] == upload
    assert "framework" not in project.options
    out = tmp_path / "out"
    out.mkdir()
    for command in project.commands(board.core, out):
        assert command.count("-O2") <= 1
        assert "-Os" not in command
        run(*command, cwd=export.folder)
    firmware = build_firmware(model, board, "gcc", tmp_path / "build")
    assert_bit_exact(model, firmware, out / "firmware.elf")


def test_platformio_knows_only_boards_that_name_its_own(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("export", model.folder, "-b", "microbit", "--format", "platformio")
    fault = failure(capsys, 3, *arguments, "-o", tmp_path / "e")
    assert "nucleo-f446re" in fault["hint"]
    assert not (tmp_path / "e").exists()
    named = [name for name in board_names() if load_board(name).platformio]
    assert {"netduinoplus2", "nucleo-l476rg"} <= set(named)


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_says_what_it_wrote(
    form: str,
    model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("export", model.folder, "-b", "netduinoplus2", "--format", form, "-o", "e")
    record = run_json(capsys, *arguments)
    written = [path for path in Path("e").rglob("*") if path.is_file()]
    assert record["files"] == sorted(str(path.relative_to("e")) for path in written)
    first = {path: path.read_bytes() for path in written}
    Path("e/notes.txt").write_text("mine")
    Path("e/build").mkdir()
    assert run_json(capsys, *arguments) == record
    assert {path: path.read_bytes() for path in written} == first
    assert Path("e/notes.txt").read_text() == "mine"
    assert Path("e/build").is_dir()


def test_a_folder_of_something_else_stays_as_it_is(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine")
    arguments = ("export", model.folder, "-b", "netduinoplus2", "--format", "cmake")
    fault = failure(capsys, 2, *arguments, "-o", tmp_path)
    assert "something else" in fault["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    failure(capsys, 2, *arguments, "-o", tmp_path / "README.md")


HOSTILE = (
    "a\nexecute_process(COMMAND touch canary)\n#",
    "a\n[env:b]\nextra_scripts = canary.py\n;",
    "<img src=x onerror=canary> [a](javascript:canary) */ `b` \x1b[2J",
)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", FORMATS)
def test_a_name_does_not_become_a_command(name: str, form: ProjectFormat, tmp_path: Path) -> None:
    """Names that were made in memory: those of files are refused when they are read."""
    board = load_board("netduinoplus2")
    folders = []
    for index, each in enumerate(("harmless", name)):
        graph = dataclasses.replace(GRAPH.graph, name=each, source={"file": each})
        model = write_converted(graph, tmp_path / f"m{index}", each)
        folders.append(export_firmware(model, board, form, tmp_path / f"e{index}", each).folder)
    for path in folders[0].rglob("*"):
        if not path.is_file() or path.name in ("tinyedge.json", "firmware_id.h"):
            continue
        harmless, hostile = (
            (folder / path.relative_to(folders[0])).read_text().splitlines() for folder in folders
        )
        assert len(harmless) == len(hostile)
        for line in set(hostile) - set(harmless):
            assert line.isprintable()
            # A comment, a heading, or the command between backticks.
            assert re.match(r"# |; |/\* | \* |Firmware .*`", line)
            assert path.suffix != ".md" or not line.startswith("#") or "<" not in line


FORMS = ("arduino", *FORMATS)


def export(form: str, model: ConvertedModel, folder: Path) -> tuple[object, ...]:
    """The command that exports a model."""
    board = () if form == "arduino" else ("-b", "netduinoplus2")
    return ("export", model.folder, *board, "--format", form, "-o", folder)


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_sources_of_the_users_are_not_touched(
    form: str, model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    (mine / "src").mkdir(parents=True)
    (mine / "src" / "precious.c").write_text("mine")
    fault = failure(capsys, 2, *export(form, model, mine))
    assert str(mine) in fault["message"]
    assert content(tmp_path) == {mine / "src" / "precious.c": b"mine"}


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_was_edited_is_not_touched(
    form: str, model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "e"
    run_json(capsys, *export(form, model, folder))
    edited = folder / "src" / "te_runtime.h"
    edited.write_text(edited.read_text() + "/* mine */\n")
    before = content(tmp_path)
    fault = failure(capsys, 2, *export(form, model, folder))
    assert str(edited) in fault["message"]
    assert "was changed" in fault["message"]
    assert content(tmp_path) == before


def test_another_format_takes_the_place_of_an_export(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "e"
    run_json(capsys, *export("cmake", model, folder))
    (folder / "src" / "mine.c").write_text("mine")
    files = run_json(capsys, *export("arduino", model, folder))["files"]
    there = {str(path.relative_to(folder)) for path in content(folder)}
    assert there == {*files, "src/mine.c"}


def test_a_file_of_the_users_is_not_replaced_by_a_new_one_of_the_export(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    write_folder(folder, with_manifest({"a": "1"}, {}))
    (folder / "b").write_text("mine")
    before = content(tmp_path)
    for name in ("b", "b/c"):
        with pytest.raises(FileError, match="is not of the export"):
            write_folder(folder, with_manifest({"a": "2", name: "2"}, {}))
    assert content(tmp_path) == before


def test_a_link_of_the_users_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("1")
    folder = tmp_path / "e"
    write_folder(folder, with_manifest({"src/a": "1"}, {}))
    shutil.rmtree(folder / "src")
    (folder / "src").symlink_to(tmp_path / "mine")
    with pytest.raises(FileError, match="is not of the export"):
        write_folder(folder, with_manifest({"src/a": "2"}, {}))
    assert (tmp_path / "mine" / "a").read_text() == "1"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"version": 1, "files": ["a"]}', "version is 1"),
        ('{"version": 2, "files": {"../mine": "0"}}', "outside"),
        ('{"version": 2, "files": {"/etc/passwd": "0"}}', "outside"),
    ],
)
def test_a_manifest_of_a_stranger_leads_nowhere(manifest: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    folder.mkdir()
    (tmp_path / "mine").write_text("mine")
    (folder / "tinyedge.json").write_text(manifest)
    before = content(tmp_path)
    with pytest.raises(FileError, match=said):
        write_folder(folder, with_manifest({"a": "1"}, {}))
    assert content(tmp_path) == before


def test_a_failure_leaves_nothing(
    model: ConvertedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: Callable[..., int] = Path.write_text

    def full(path: Path, text: str, encoding: str) -> int:
        if path.name == "tinyedge.json":
            raise OSError(28, "No space left on device", str(path))
        return written(path, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        export_firmware(model, load_board("netduinoplus2"), "cmake", tmp_path / "e", "x")
    assert list(tmp_path.iterdir()) == []
