"""MLPerf Tiny's command set: under sanitizers on this machine, and on an emulated board."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from numpy.typing import NDArray

from tests.cli.commands import failure, run_json
from tests.conftest import require
from tests.exporters.test_select import SHARED_MODELS
from tests.graph.random_graphs import RandomGraph
from tinyedge.boards import load_board
from tinyedge.errors import LinkError, ModelError, UsageError
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.mlperf import Mlperf, _thousandths
from tinyedge.firmware.project import build_firmware
from tinyedge.firmware.twin import twin_include_flags, twin_sources
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization
from tinyedge.importers import import_model
from tinyedge.link.client import Client
from tinyedge.names import MlperfInput
from tinyedge.targets import available_emulators, open_emulator
from tinyedge.templates import data_folder
from tinyedge.tflm.firmware import TflmLibrary, build_tflm_firmware
from tinyedge.toolchains.compilers import WARNINGS, host_compiler

pytestmark = pytest.mark.needs_tool

BOARD = load_board("netduinoplus2")
CHUNK = 31  # bytes in a command of the public runner
LOGITS, PROBABILITIES, SINGLE, CODER = 1, 19, 115, 3
"""Seeds of graphs with many logits, with a softmax and three channels, with a single output, with
an output of the input's shape."""

Ask = Callable[[str], list[str]]


def converted(seed: int, folder: Path) -> tuple[ConvertedModel, NDArray[np.int8]]:
    built = RandomGraph(seed)
    return write_converted(built.graph, folder, "test"), built.inputs(6)


def on_the_wire(model: ConvertedModel, sample: NDArray[np.int8], encoding: str) -> bytes:
    """A sample as the runner sends it."""
    if encoding == "float32":
        return real_input(model.graph, sample).astype("<f4").tobytes()
    flipped = sample.view(np.uint8) ^ np.uint8(128 if encoding == "uint8" else 0)
    return flipped.astype(np.uint8).tobytes()


def real_input(graph: Graph, sample: NDArray[np.int8]) -> NDArray[np.float32]:
    """Floats around an int8 sample, that quantization has to find again."""
    grid = graph.input_tensor.quantization
    steps = np.random.default_rng(0).uniform(-0.49, 0.49, sample.shape)
    real = (sample.astype(np.float64) + steps - grid.zero_point) * grid.scale
    return real.astype(np.float32)


def load_commands(content: bytes) -> list[str]:
    chunks = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
    return [f"db load {len(content)}%", *(f"db {chunk.hex()}%" for chunk in chunks)]


def expected_scores(graph: Graph, samples: NDArray[np.int8]) -> NDArray[np.float64]:
    """The runner is told the real outputs, logits as probabilities."""
    logits = reference.run(graph, samples).reshape(len(samples), -1)
    grid = graph.output_tensor.quantization
    if logits.shape[1] == 1 or type(graph.operators[-1]).__name__ == "Softmax":
        return np.array(grid.dequantize(logits), dtype=np.float64)
    real = grid.scale * (logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = np.exp(real) / np.exp(real).sum(axis=1, keepdims=True)
    return shares


def expected_error(graph: Graph, sample: NDArray[np.int8]) -> float:
    """The runner is told an autoencoder's mean of squared differences."""
    output = graph.output_tensor.quantization.dequantize(reference.run(graph, sample[None])[0])
    differences = output.ravel().astype(np.float64) - real_input(graph, sample).ravel()
    return float(np.mean(differences**2))


def scores_in(lines: list[str]) -> NDArray[np.float64]:
    (line,) = [line for line in lines if line.startswith("m-results-[")]
    fields = line.removeprefix("m-results-[").removesuffix("]").split(",")
    assert all(len(field.partition(".")[2]) == 3 for field in fields)
    return np.array(fields, dtype=np.float64)


@pytest.fixture(scope="module")
def sanitized(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[int, MlperfInput], tuple[Path, ConvertedModel, NDArray[np.int8]]]:
    """Compiles model and server of a seed under ASan and UBSan."""
    require([name for name in ("cc",) if shutil.which(name)], "cc")  # zig brings no sanitizers
    checks = "-fsanitize=address,undefined,float-cast-overflow"
    flags = ["-g", "-O1", checks, "-fno-sanitize-recover=all"]

    def build(seed: int, encoding: MlperfInput) -> tuple[Path, ConvertedModel, NDArray[np.int8]]:
        folder = tmp_path_factory.mktemp(f"mlperf-{seed}")
        model, samples = converted(seed, folder)
        for name, text in Mlperf("m", encoding).serve({}, model.graph).items():
            (folder / name).write_text(text)
        (folder / "firmware_id.h").write_text('#define TINYEDGE_BOARD_NAME "this machine"\n')
        main, server = Path(__file__).with_name("mlperf_main.c"), folder / "te_mlperf.c"
        includes = [f"-I{data_folder('firmware_templates') / 'harness'}"]
        command = [*host_compiler().command, *WARNINGS, *flags, *includes]
        sources = [main, server, *twin_sources(model)]
        command += [*twin_include_flags(model), *map(str, sources), "-o", str(folder / "program")]
        subprocess.run(command, check=True)
        return folder / "program", model, samples

    return build


def garbage(random: np.random.Generator, count: int, size: int) -> bytes:
    """Commands right, wrong and damaged, none of which asks for more than two inferences."""
    words = ["db", "load", "print", "name", "profile", "results", "help", "timestamp", "0g", "%"]
    whole = f"db load {size}/db load 2147483648/infer 2 1/infer 0/infer x/infer 1 -1".split("/")
    pieces: list[bytes] = []
    for _ in range(count):
        match random.integers(6):
            case 0:
                pieces.append(f"{random.choice(whole)}%".encode())
            case 1:
                pieces.append(b"db " + random.bytes(int(random.integers(40))).hex().encode() + b"%")
            case 2:
                pieces.append(random.bytes(int(random.integers(1, 200))))
            case 3:
                chosen = random.choice(words, random.integers(1, 12))
                pieces.append(" ".join(chosen).encode() + b"%")
            case 4:
                whole_load = load_commands(random.bytes(size))
                lost = int(random.integers(3 * len(whole_load)))  # most often none
                del whole_load[lost : lost + 1]
                pieces.append("".join([*whole_load, "infer 2 1%"]).encode())
            case _:
                pieces.append(f"db load {random.integers(-5, 2 * size)}%".encode())
    return b"".join(pieces) + b"%"


@pytest.mark.parametrize(
    ("seed", "encoding"),
    [
        (LOGITS, "int8"),
        (LOGITS, "float32"),
        (PROBABILITIES, "uint8"),
        (SINGLE, "int8"),
        (CODER, "float32"),
    ],
)
def test_no_bytes_whatsoever_harm_it(
    sanitized: Callable[[int, MlperfInput], tuple[Path, ConvertedModel, NDArray[np.int8]]],
    seed: int,
    encoding: MlperfInput,
) -> None:
    program, model, samples = sanitized(seed, encoding)
    contents = [on_the_wire(model, sample, encoding) for sample in samples]
    noise = garbage(np.random.default_rng(seed), 2000, len(contents[0]))
    sent = noise
    for content in contents:
        sent += "".join([*load_commands(content), "infer 2 0%"]).encode()
    result = subprocess.run([str(program)], input=sent, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()[:4000]
    answers = result.stdout.decode("ascii").split("m-ready\r\n")
    assert len(answers) == 1 + sent.count(b"%") + 1
    assert any("m-results" in answer for answer in answers[: noise.count(b"%")])
    after = answers[1 + noise.count(b"%") :]
    given = [scores_in(answer.split("\r\n")) for answer in after if "m-results" in answer]
    if seed == CODER:
        errors = [[expected_error(model.graph, sample)] for sample in samples]
        assert np.allclose(given, errors, rtol=1e-6, atol=0.00051)
    else:
        assert np.abs(given - expected_scores(model.graph, samples)).max() <= 0.00101


class Board:
    """An emulated board, and a conversation with it."""

    def __init__(self, port: str) -> None:
        self._serial = serial.serial_for_url(port, timeout=5.0)
        while b"m-init-done" not in self.line():
            pass
        assert self.line() == b"m-ready\r\n"

    def line(self) -> bytes:
        received: bytes = self._serial.readline()
        assert received.endswith(b"\r\n"), f"silence behind {received!r}"
        return received

    def ask(self, command: str) -> list[str]:
        """The lines of an answer, the last one (m-ready) left out."""
        self._serial.write(command.encode())
        lines = list(iter(self.line, b"m-ready\r\n"))
        return [line.decode().removesuffix("\r\n") for line in lines]

    def load(self, content: bytes) -> None:
        for command in load_commands(content):
            answer = self.ask(command)
        assert answer == ["m-load-done"]


@pytest.fixture(scope="module", params=[LOGITS, PROBABILITIES])
def emulated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Board, ConvertedModel, NDArray[np.int8]]]:
    found = available_emulators(BOARD)
    require(found, found[0] if found else "an emulator")
    model, samples = converted(request.param, tmp_path_factory.mktemp("mlperf"))
    firmware = build_firmware(model, BOARD, mlperf=Mlperf.of(model.graph, "ic01"))
    assert firmware.elf.parent.name.endswith("-mlperf")
    with open_emulator(BOARD, firmware.elf) as target:
        yield Board(target.port), model, samples


def test_board_says_who_it_is(emulated: tuple[Board, ConvertedModel, NDArray[np.int8]]) -> None:
    board = emulated[0]
    assert board.ask("name%") == ["m-name-dut-[netduinoplus2]"]
    assert board.ask("profile%") == [
        "m-profile-[ULPMark for tinyML Firmware V0.0.1]",
        "m-model-[ic01]",
    ]
    first, second = (int(board.ask("timestamp%")[0].removeprefix("m-lap-us-")) for _ in range(2))
    assert first < second
    assert len(board.ask("help%")) > 5


def test_commands_may_arrive_in_a_burst(
    emulated: tuple[Board, ConvertedModel, NDArray[np.int8]],
) -> None:
    board = emulated[0]
    for _ in range(20):
        assert board.ask("name%" * 51) == ["m-name-dut-[netduinoplus2]"]
        assert [board.ask("") for _ in range(50)] == [["m-name-dut-[netduinoplus2]"]] * 50


def test_board_gives_the_reference_s_scores(
    emulated: tuple[Board, ConvertedModel, NDArray[np.int8]],
) -> None:
    board, model, samples = emulated
    encoding = Mlperf.of(model.graph).input
    for sample, expected in zip(samples, expected_scores(model.graph, samples), strict=True):
        content = on_the_wire(model, sample, encoding)
        board.load(content)
        printed = [line.removeprefix("m-buffer-") for line in board.ask("db print%")]
        assert bytes.fromhex("".join(printed).replace("-", "")) == content
        lines = board.ask("infer 3 2%")
        assert lines[:3] == ["m-warmup-start-2", "m-warmup-done", "m-infer-start-3"]
        start, end = (int(line.removeprefix("m-lap-us-")) for line in lines[3:5])
        assert start < end
        assert lines[5] == "m-infer-done"
        assert np.abs(scores_in(lines) - expected).max() <= 0.00101
        assert board.ask("results%") == lines[6:]


def test_board_refuses_and_recovers(
    emulated: tuple[Board, ConvertedModel, NDArray[np.int8]],
) -> None:
    board, model, samples = emulated
    size = samples[0].size
    assert board.ask("db load 2%") == ["m-[Expecting 2 bytes]"]
    for command, error in (
        ("db 0%", "Insufficent number of hex digits"),
        ("db 0g%", "Invalid hex digit 'g'"),
        ("db 001122%", "Too many bytes: 3, still expecting 2"),
        ("db%", "Command 'db' requires a subcommand"),
        ("infer 1 0%", f"Input has 0 bytes, expected {size}"),
        ("infer 0%", "Inference iterations must be >0"),
        ("infer 1 -1%", "Inference warmup must be >=0"),
        (f"db {'00' * 40}%", "Command too long"),
        ("nonsense 1%", "Unknown command: nonsense"),
        ("db load%", "Command 'db load' requires the # of bytes"),
        ("db load 0%", "Command 'db load' must be >0 bytes"),
        (f"db load {size + 1}%", f"Supplied buffer size {size + 1} exceeds maximum of {size}"),
        ("db 00%", "Too many bytes: 1, still expecting 0"),
    ):
        assert board.ask(command) == [f"e-[{error}]"]
    assert board.ask("\r\n%") == []
    board.load(on_the_wire(model, samples[3], Mlperf.of(model.graph).input))
    expected = expected_scores(model.graph, samples[3:4])[0]
    assert np.abs(scores_in(board.ask("infer 1 0%")) - expected).max() <= 0.00101


@pytest.mark.parametrize("name", ["microbit", "mps3-an547"])
def test_floats_on_cores_without_and_with_them(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    require(available_emulators(board), "qemu")
    model, samples = converted(CODER, tmp_path)
    mlperf = Mlperf.of(model.graph, input_type="float32")
    firmware = build_firmware(model, board, mlperf=mlperf)
    with open_emulator(board, firmware.elf) as target:
        opened = Board(target.port)
        for sample in samples:
            opened.load(on_the_wire(model, sample, "float32"))
            error = scores_in(opened.ask("infer 1 1%"))
            expected = expected_error(model.graph, sample)
            assert np.allclose(error, expected, rtol=1e-6, atol=0.00051)


def test_a_fault_is_told_to_the_runner(tmp_path: Path) -> None:
    require(available_emulators(BOARD), "qemu")
    model, samples = converted(LOGITS, tmp_path)
    source = model.folder / "model.c"
    text = source.read_text()
    planted = "void tinyedge_model_invoke(void)\n{\n"
    assert planted in text
    source.write_text(text.replace(planted, f'{planted}    __asm volatile(".short 0xde00");\n'))
    mlperf = Mlperf.of(model.graph)
    with open_emulator(BOARD, build_firmware(model, BOARD, mlperf=mlperf).elf, "qemu") as target:
        board = Board(target.port)
        board.load(on_the_wire(model, samples[0], mlperf.input))
        for command in ("infer 1 0%", "name%"):
            told = [line for line in board.ask(command) if line.startswith("e-[")]
            # The undefined instruction, which has become a HardFault.
            assert len(told) == 1
            assert re.match(
                r"e-\[Exception 0x00000003 at 0x080[0-9a-f]{5}, CFSR 0x00010000", told[0]
            )


def test_benchmarks_and_encodings_follow_from_shapes() -> None:
    graph = RandomGraph(PROBABILITIES).graph
    assert Mlperf.of(graph) == Mlperf("random-19", "uint8")
    assert Mlperf.of(graph, "kws01", "int8") == Mlperf("kws01", "int8")
    assert Mlperf.of(RandomGraph(LOGITS).graph).input == "int8"
    with pytest.raises(UsageError, match="no model's name"):
        Mlperf.of(graph, 'a"]')


OWN = {
    "ds_cnn_int8": ("kws01", "int8"),
    "resnet8_int8": ("ic01", "uint8"),
    "resnet_large_int8": ("ic02", "uint8"),
    "vww_96_int8": ("vww01", "uint8"),
    "ad01_int8": ("ad01", "float32"),
    "str_ww_int8": ("sww01", "int8"),
}
"""Name and encoding that the benchmarks' own models get by themselves."""


@pytest.mark.parametrize("name", OWN)
def test_the_benchmarks_own_models(name: str, tmp_path: Path) -> None:
    path = SHARED_MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    require(available_emulators(BOARD), "qemu")
    graph = import_model(path).graph
    mlperf = Mlperf.of(graph)
    assert (mlperf.model, mlperf.input) == OWN[name]
    model = write_converted(graph, tmp_path, "test")
    shape = graph.input_tensor.shape
    samples = np.random.default_rng(0).integers(-128, 128, (2, *shape)).astype(np.int8)
    with open_emulator(BOARD, build_firmware(model, BOARD, mlperf=mlperf).elf) as target:
        board = Board(target.port)
        assert board.ask("profile%")[1] == f"m-model-[{mlperf.model}]"
        for sample in samples:
            board.load(on_the_wire(model, sample, mlperf.input))
            found = scores_in(board.ask("infer 1 0%"))
            if mlperf.input == "float32":
                expected = np.array([expected_error(graph, sample)])
                assert np.allclose(found, expected, rtol=1e-6, atol=0.00051)
            else:
                assert np.abs(found - expected_scores(graph, sample[None])[0]).max() <= 0.00101


def test_numbers_are_those_of_printf() -> None:
    random = np.random.default_rng(0)
    for scale in (1 / 256, 1 / 16, *np.exp(random.uniform(-9, 5, 50))):
        grid = Quantization(float(scale), int(random.integers(-128, 128)))
        given = _thousandths(grid)
        assert [f"{value / 1000:.3f}" for value in given] == [
            f"{float(f'{grid.scale * (code - grid.zero_point):.3f}') + 0.0:.3f}"
            for code in range(-128, 128)
        ]
    with pytest.raises(ModelError, match="too large"):
        _thousandths(Quantization(1e5, 0))


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, _ = converted(LOGITS, tmp_path)
    build = ("build", model.folder, "-b", BOARD.name)
    failure(capsys, 2, *build, "--mlperf-model", "ic01")
    failure(capsys, 2, *build, "--protocol", "mlperf", "--mlperf-model", "a b")
    ours = run_json(capsys, *build)
    theirs = run_json(capsys, *build, "--protocol", "mlperf", "--mlperf-model", "mine")
    assert (ours["protocol"], theirs["protocol"]) == ("tinyedge", "mlperf")
    assert Path(ours["elf"]).is_file()  # both are kept
    assert "m-model-[mine]" in Path(theirs["image"]).read_bytes().decode("latin-1")
    flash = ("flash", model.folder, "-b", BOARD.name, "--dry-run", "--protocol", "mlperf")
    assert run_json(capsys, *flash)["command"][-1].endswith("-mlperf/firmware.bin")


def test_emulated_board_is_a_serial_device(tmp_path: Path) -> None:
    """Programs come and go, each finding the board as the last one left it."""
    found = available_emulators(BOARD)
    require(found, found[0] if found else "an emulator")
    model, _ = converted(LOGITS, tmp_path)
    link = tmp_path / "dut"
    link.symlink_to("nowhere")  # of a run that was killed
    arguments = [str(model.folder), "--link", str(link), "--json", "--protocol", "mlperf"]
    command = [sys.executable, "-m", "tinyedge", "emulate", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        record = json.loads(process.stdout.readline())
        assert link.resolve() == Path(record["port"])
        for _ in range(2):
            with serial.Serial(str(link), BOARD.uart.baud, timeout=5.0) as port:
                port.write(b"name%")
                assert port.readline() == b"m-name-dut-[netduinoplus2]\r\n"
                assert port.readline() == b"m-ready\r\n"
        with Client(str(link), BOARD.uart.baud, timeout_s=0.5) as client, pytest.raises(LinkError):
            client.hello()  # the port is free, though it speaks otherwise
        process.terminate()
        assert process.wait(10) == 143  # by SIGTERM, as docs/cli.md has it
    finally:
        process.kill()
        process.communicate()
    assert not os.path.lexists(link)


def test_tflite_micro_takes_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness beside TFLite-Micro's model is the same, with the other server."""
    rendered: list[dict[str, str]] = []
    monkeypatch.setattr("tinyedge.tflm.firmware._compiler", lambda *_: None)
    monkeypatch.setattr(
        "tinyedge.tflm.firmware.build_project", lambda files, *_: rendered.append(files)
    )
    model, _ = converted(LOGITS, tmp_path)
    library = TflmLibrary((), tmp_path / "gen" / "lib" / "libtensorflow-microlite.a")
    for spoken in (None, Mlperf.of(model.graph)):
        build_tflm_firmware(model, BOARD, library, mlperf=spoken)
    ours, theirs = (set(files) for files in rendered)
    assert ours - theirs == {"te_server.c", "te_server_fault.c"}
    assert theirs - ours == {"te_mlperf.c", "mlperf.h"}
