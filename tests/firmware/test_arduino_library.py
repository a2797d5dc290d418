"""The Arduino library, compiled from a clean folder as Arduino does, and run in simavr."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import socket
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import failure, run_json
from tests.conftest import require
from tests.firmware.arduino_builder import build_sketch
from tests.graph.random_graphs import RandomGraph
from tests.graph.streaming import streaming_graph
from tests.graph.test_results import with_outputs
from tests.targets.test_arduino import DIGITS
from tinyedge.boards import load_board
from tinyedge.boards.families.avr import AvrBoard
from tinyedge.datasets import load_test_set
from tinyedge.evaluation.devices import Device
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.export.arduino import export_arduino
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.link.client import Client
from tinyedge.targets import available_emulators, open_emulator
from tinyedge.toolchains.compilers import available_compilers

pytestmark = pytest.mark.needs_tool


def with_constants() -> Graph:
    """The larger of the input and of four constants."""
    grid = Quantization(0.5, 3)
    return Graph(
        "kept",
        {name: Tensor(name, (4,), grid) for name in ("x", "floor", "y")},
        (ops.Maximum(name="y", inputs=("x", "floor"), output="y"),),
        "x",
        "y",
        constants={"floor": np.array([-9, 0, 7, 100], np.int8)},
    )


BOARDS = ("arduino-uno", "arduino-mega2560")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    folder = tmp_path_factory.mktemp("digits") / "model"
    return write_converted(Graph.load(DIGITS), folder, "test", options=CodeOptions("avr", "size"))


@pytest.fixture(scope="module")
def samples(model: ConvertedModel) -> np.ndarray:
    digits = load_test_set("digits", None, channels="grey")
    return model.graph.input_tensor.quantization.quantize(digits.x[:100])


@pytest.fixture(scope="module")
def library(
    model: ConvertedModel, samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("sketchbook") / "digits"
    export_arduino(model, folder, "digits", samples[7])
    return folder


def avr_board(name: str) -> AvrBoard:
    board = load_board(name)
    assert isinstance(board, AvrBoard)
    require(available_compilers("avr"), "gcc")
    require(available_emulators(board), "simavr")
    return board


def said(port: str, lines: int) -> list[str]:
    """The first lines that a sketch prints."""
    text = b""
    with socket.create_connection(("127.0.0.1", int(port.rpartition(":")[2])), 60) as line:
        while text.count(b"\n") < lines:
            received = line.recv(4096)
            assert received, text
            text += received
    return text.decode().split("\r\n")[:lines]


@pytest.mark.parametrize("name", BOARDS)
def test_the_example_classifies_its_sample(
    name: str, library: Path, model: ConvertedModel, samples: np.ndarray, tmp_path: Path
) -> None:
    board = avr_board(name)
    elf = build_sketch(library / "examples" / "Classify", library, board, tmp_path / "out")
    with open_emulator(board, elf) as target:
        lines = said(target.port, 4)
    logits = reference.run(model.graph, samples[7:8])[0]
    assert lines[0] == "logits " + " ".join(map(str, logits))
    assert lines[1] == f"class {logits.argmax()}"
    assert lines[2] == "logits that differ from the host's: 0"
    assert re.fullmatch(r"microseconds [1-9]\d+", lines[3])


@pytest.mark.parametrize("name", BOARDS)
def test_the_harness_is_bit_exact(
    name: str, library: Path, model: ConvertedModel, samples: np.ndarray, tmp_path: Path
) -> None:
    board = avr_board(name)
    elf = build_sketch(library / "examples" / "Harness", library, board, tmp_path / "out")
    with open_emulator(board, elf) as target, Client(target.port, board.uart.baud) as client:
        device = Device(client, target, model)
        run = device.run(samples[:30])
        assert device.hello.board == "arduino"
        assert device.hello.buffer == 0
    assert np.array_equal(run.logits, reference.run(model.graph, samples[:30]))


def test_the_library_is_as_arduino_specifies(library: Path) -> None:
    text = (library / "library.properties").read_text()
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(f"[library]\n{text}")
    properties = parser["library"]
    required = ("name", "version", "author", "maintainer", "sentence", "paragraph", "category")
    assert all(properties[key] for key in required)
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["architectures"] == "*"
    assert (library / "src" / properties["includes"]).is_file()
    header = (library / "src" / "digits.h").read_text()
    header += (library / "src" / "te_api.h").read_text()
    for line in (library / "keywords.txt").read_text().splitlines():
        assert re.fullmatch(r"\w+\t(KEYWORD1|KEYWORD2|LITERAL1)", line)
        assert line.split("\t")[0] in header
    for example in ("Classify", "Harness"):
        assert (library / "examples" / example / f"{example}.ino").is_file()


def test_the_archive_holds_one_folder_and_is_always_the_same(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archives = []
    for name in ("a", "b"):
        command = ("export", model.folder, "--format", "arduino", "-o", tmp_path / name, "--zip")
        record = run_json(capsys, *command, "--name", "digits")
        assert record["name"] == "digits"
        archives.append(Path(record["zip"]).read_bytes())
        with zipfile.ZipFile(record["zip"]) as archive:
            files = {f"digits/{path}": tmp_path / name / path for path in record["files"]}
            assert set(archive.namelist()) == set(files)
            assert all(archive.read(path) == file.read_bytes() for path, file in files.items())
    assert archives[0] == archives[1]


def test_a_library_for_larger_cores_says_so_to_an_avr(
    model: ConvertedModel, tmp_path: Path
) -> None:
    require(available_compilers("avr"), "gcc")
    larger = write_converted(model.graph, tmp_path / "m4", "test")
    export_arduino(larger, tmp_path / "library", "digits")
    properties = (tmp_path / "library" / "library.properties").read_text()
    assert "architectures=*" not in properties
    header = tmp_path / "library" / "src" / "digits.h"
    compiled = subprocess.run(
        ["avr-g++", "-fsyntax-only", "-x", "c++", str(header)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "convert the model with --core avr" in compiled.stderr


def documented(command: str) -> list[str]:
    """Arguments of a command as docs/arduino.md gives it."""
    text = (Path(__file__).parents[2] / "docs" / "arduino.md").read_text()
    lines = text.split("```sh\n")[1].split("```")[0].splitlines()
    return next(line[1:] for line in map(shlex.split, lines) if line[:2] == ["tinyedge", command])


@pytest.mark.parametrize("name", BOARDS)
def test_the_documented_library_compiles(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = avr_board(name)
    convert, export = documented("convert"), documented("export")
    convert[1] = str(DIGITS)
    monkeypatch.chdir(tmp_path)
    run_json(capsys, *convert)
    library = Path(run_json(capsys, *export)["folder"])
    assert (library / "src" / "tinyedge_digits.h").is_file()
    build_sketch(library / "examples" / "Classify", library, board, tmp_path / "out")


@pytest.mark.parametrize("name", [None, "harness", "harness_model", "NULL", "int8_t"])
def test_a_library_of_any_allowed_name_compiles(
    name: str | None, model: ConvertedModel, tmp_path: Path
) -> None:
    """Without a name it is called after the model, which 'train' and the documents call model."""
    require(available_compilers("avr"), "gcc")
    assert model.graph.name == "model"
    library = export_arduino(model, tmp_path / "library", name)
    assert library.name == (name or "tinyedge_model")
    sketch = f'#include "{library.name}.h"\n#include "{library.name}.h"\n'
    (tmp_path / "sketch.cpp").write_text(
        f"{sketch}int8_t first(const {library.name}_instance *model)\n"
        f"{{ return {library.name}_output(model)[0]; }}\n"
    )
    subprocess.run(
        [
            "avr-g++",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-mmcu=atmega328p",
            "-fsyntax-only",
            f"-I{tmp_path / 'library' / 'src'}",
            str(tmp_path / "sketch.cpp"),
        ],
        check=True,
    )
    compile_library(tmp_path / "library")


def compile_library(library: Path) -> None:
    """Compiles the C files of a library and of its Harness for an Uno."""
    folders = (library / "src", library / "examples" / "Harness")
    command = ["avr-gcc", "-mmcu=atmega328p", "-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror"]
    command.append("-Waddr-space-convert")  # a pointer to RAM is none to flash
    for path in sorted(path for folder in folders for path in folder.glob("*.c")):
        includes = [f"-I{folder}" for folder in folders]
        subprocess.run([*command, *includes, "-fsyntax-only", str(path)], check=True)


@pytest.mark.parametrize("name", ["frames", "tinyedge_model"])
def test_a_library_of_a_stream_compiles(name: str, tmp_path: Path) -> None:
    require(available_compilers("avr"), "gcc")
    options = CodeOptions("avr", "size")
    model = write_converted(streaming_graph(), tmp_path / "m", "test", options=options)
    export_arduino(model, tmp_path / "library", name)
    sketch = (tmp_path / "library" / "examples" / "Classify" / "Classify.ino").read_text()
    assert f"{name}_init(&model, &arena, sizeof arena, &state, sizeof state);" in sketch
    compile_library(tmp_path / "library")


_VERIFY = """#include <Arduino.h>
#include "kept.h"
void setup() { Serial.begin(115200); Serial.println(kept_verify()); }
void loop() { }
"""


@pytest.mark.parametrize("graph", [with_constants(), streaming_graph()], ids=["constant", "state"])
def test_constants_outside_of_flash_are_verified(graph: Graph, tmp_path: Path) -> None:
    """Operands and first states, which kernels read from RAM, on a core with flash apart."""
    board = avr_board("arduino-uno")
    options = CodeOptions("avr", "size")
    model = write_converted(graph, tmp_path / "m", "test", options=options)
    library = tmp_path / "library"
    export_arduino(model, library, "kept")
    compile_library(library)
    sketch = library / "examples" / "Verify" / "Verify.ino"
    sketch.parent.mkdir()
    sketch.write_text(_VERIFY)
    code = library / "src" / "kept.c"
    text = code.read_text()
    array = re.search(r"^static const int8_t \w+\[\d+\] = {\s*(-?\d+)", text, re.MULTILINE)
    assert array
    other = "3" if array[1] != "3" else "4"
    damaged = text[: array.start(1)] + other + text[array.end(1) :]
    for number, (content, status) in enumerate(((text, "0"), (damaged, "7"))):
        code.write_text(content)
        elf = build_sketch(sketch.parent, library, board, tmp_path / f"out{number}")
        with open_emulator(board, elf) as target:
            assert said(target.port, 1) == [status]


def test_the_keywords_are_those_of_all_outputs(tmp_path: Path) -> None:
    graph = with_outputs(RandomGraph(5).graph, 3)
    export_arduino(write_converted(graph, tmp_path / "m", "test"), tmp_path / "library", "many")
    header = (tmp_path / "library" / "src" / "many.h").read_text()
    header += (tmp_path / "library" / "src" / "te_api.h").read_text()
    words = {
        line.split("\t")[0]
        for line in (tmp_path / "library" / "keywords.txt").read_text().splitlines()
    }
    assert all(re.search(rf"\b{word}\b", header) for word in words)
    assert len([word for word in words if "_dequantize_output_" in word]) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model", "name of a file"),
        ("MODEL", "name of a file"),
        ("te_runtime", "name of a file"),
        ("te_server", "name of a file"),
        ("link_memory", "name of a file"),
        ("firmware_id", "name of a file"),
        ("te_mine", "names a part"),
        ("tinyedge_model_input", "names a part"),
        ("Tinyedge_arena_usage", "names a part"),
        ("stdint", "is a header"),
        ("Arduino", "is a header"),
        ("sem", "is a function"),
        ("pthread_cond", "is a function"),
        ("", "is no name"),
        ("_mine", "is no name"),
        ("1st", "is no name"),
        ("a-b", "is no name"),
        ("../up", "is no name"),
        ("n\ny", "is no name"),
        ("größe", "is no name"),
        ("n" * 64, "is no name"),
    ],
)
def test_a_name_that_means_something_else_is_refused(
    name: str, said: str, model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("export", model.folder, "--format", "arduino", "-o", tmp_path / "e", "--name", name)
    fault = failure(capsys, 2, *command)
    assert said in fault["message"]
    assert "--name" in fault["hint"]
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_the_users_is_not_replaced(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("export", model.folder, "--format", "arduino", "-o", tmp_path / "e", "--zip")
    (tmp_path / "e.zip").write_bytes(b"mine")
    fault = failure(capsys, 2, *command)
    assert "e.zip" in fault["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["e.zip"]
    (tmp_path / "e.zip").unlink()
    run_json(capsys, *command)
    run_json(capsys, *command)
    with zipfile.ZipFile(tmp_path / "e.zip", "a") as archive:
        archive.writestr("tinyedge_model/mine.txt", "mine")
    changed = (tmp_path / "e.zip").read_bytes()
    failure(capsys, 2, *command)
    assert (tmp_path / "e.zip").read_bytes() == changed


def test_two_libraries_go_into_one_program(model: ConvertedModel, tmp_path: Path) -> None:
    """Each as an archive, which ``dot_a_linkage`` makes Arduino link."""
    require([name for name in ("cc", "ar") if shutil.which(name)], "cc")
    graphs = {"digits": model.graph, "other": RandomGraph(3).graph}
    sketch, folders = [], []
    for name, graph in graphs.items():
        converted = write_converted(graph, tmp_path / f"{name}-m", "test")
        export_arduino(converted, tmp_path / name, name)
        source = tmp_path / name / "src"
        assert "dot_a_linkage=true" in (tmp_path / name / "library.properties").read_text()
        objects = tmp_path / f"{name}-objects"
        objects.mkdir()
        units = sorted(source.glob("*.c"))
        subprocess.run(["cc", "-c", *map(str, units)], check=True, cwd=objects)
        members = sorted(map(str, objects.iterdir()))
        subprocess.run(["ar", "rcs", str(tmp_path / f"{name}.a"), *members], check=True)
        folders.append(f"-I{source}")
        sketch.append(f"static {name}_arena {name}_memory; static {name}_instance {name};")
    calls = " || ".join(
        f"{name}_init(&{name}, &{name}_memory, sizeof {name}_memory, NULL, 0) || "
        f"{name}_invoke(&{name}, NULL, NULL) || {name}_verify()"
        for name in graphs
    )
    headers = "".join(f'#include "{name}.h"\n' for name in graphs)
    program = tmp_path / "main.c"
    program.write_text(f"{headers}{' '.join(sketch)}\nint main(void) {{ return {calls}; }}\n")
    archives = [str(tmp_path / f"{name}.a") for name in graphs]
    linked = ["cc", *folders, str(program), *archives, "-o", str(tmp_path / "program")]
    subprocess.run(linked, check=True)
    subprocess.run([str(tmp_path / "program")], check=True)
