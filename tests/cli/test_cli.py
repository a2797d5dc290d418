"""Every command, as a user types it, in a process of its own where that matters."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.graph.random_graphs import RandomGraph
from tests.importers import keras_models as km
from tinyedge import demo
from tinyedge.boards import load_board
from tinyedge.cli.main import COMMANDS
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.twin import Twin
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.targets import available_emulators

pytestmark = pytest.mark.keras


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run_json(capsys, "demo", "-o", tmp_path / "demo")
    assert record["board"] == "netduinoplus2"
    assert record["emulator"] in ("qemu", "unicorn")
    assert record["model"]["parameters"] == 46186
    flash, ram = record["memory"]["flash"], record["memory"]["ram"]
    assert flash["code"] + flash["weights"] + flash["other"] == flash["total"] < 128 * 1024
    assert ram["arena"] + ram["static"] + ram["stack_peak"] == ram["total"]
    assert flash["weights"] == record["model"]["weight_bytes"]
    suites = {suite["name"]: suite for suite in record["suites"]}
    assert list(suites) == ["clean", "fgsm", "pgd"]
    for suite in suites.values():
        assert suite["samples"] == 200
        assert suite["mismatched_samples"] == suite["mismatched_logits"] == 0
        assert suite["accuracy"]["host"] == suite["accuracy"]["device"]
        assert 0 < suite["accuracy"]["float"] <= 1
    assert suites["clean"]["accuracy"]["device"] >= 0.88
    assert suites["pgd"]["accuracy"]["device"] < suites["clean"]["accuracy"]["device"]
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["suites"] == record["suites"]
    markdown = (tmp_path / "demo" / "report.md").read_text()
    assert "| clean | 200 |" in markdown
    assert f"{flash['total']:,}" in markdown
    (build,) = (tmp_path / "demo").glob("netduinoplus2-*")
    run = ("report", tmp_path / "demo" / "report.json", "--footprint", build)
    again = run_json(capsys, *run, "-o", tmp_path / "again")
    assert [run["record"]["suites"] for run in again["runs"]] == [record["suites"]]
    for form in ("report.md", "report.html"):
        assert (tmp_path / "again" / form).read_text() == (tmp_path / "demo" / form).read_text()
    check_page(record)


def check_page(record: dict[str, Any]) -> None:
    """The figures in docs/demo.md are those of the demonstration."""
    page = " ".join((Path(__file__).parents[2] / "docs" / "demo.md").read_text().split())
    for suite in record["suites"]:
        shares = (f"{100 * suite['accuracy'][who]:.2f} %" for who in ("float", "host", "device"))
        cells = (f"{suite['samples']:,}", *shares, str(suite["mismatched_logits"]))
        assert f"| {suite['name']} | {' | '.join(cells)} |" in page
    assert f"{record['model']['parameters']:,} parameters" in page
    if record["emulator"] == "qemu" and " 12.2" in record["compiler"]:
        flash, ram = record["memory"]["flash"], record["memory"]["ram"]
        assert f"it takes {flash['total'] / 1024:.1f} KB of flash" in page
        assert f"({flash['weights']:,} bytes of them weights)" in page
        assert f"{ram['total'] / 1024:.1f} KB of RAM, stack included" in page
        instructions = record["suites"][0]["instructions"]["mean"]
        assert f"{instructions / 1e6:.2f} million instructions an inference" in page


def test_steps_one_by_one_on_a_model_of_one_s_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = km.randomized(
        km.sequential(
            (9, 8, 3),
            km.separable(),
            km.relu(),
            km.layers.Flatten(),
            km.dense(),
            km.layers.Softmax(),
        )
    )
    path = km.save(model, tmp_path / "mine.keras")
    random = np.random.default_rng(0)
    x = (random.integers(0, 256, (30, 9, 8, 3)) / 255).astype(np.float32)
    y = model(x).numpy().argmax(axis=1)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    np.save(tmp_path / "x.npy", x)

    converted = run_json(
        capsys, "convert", path, "-o", tmp_path / "out", "--calibration", tmp_path / "data.npz"
    )
    assert converted["model"]["layers"][0]["kind"] == "DepthwiseConv2D"
    built = run_json(capsys, "build", tmp_path / "out", "-b", "netduinoplus2")
    assert Path(built["elf"]).is_file()

    logits = {}
    for place in ("numpy", "twin", "emulator"):
        outputs = tmp_path / f"{place}.npy"
        run_json(
            capsys,
            *("run", tmp_path / "out", "--on", place),
            *("--data", tmp_path / "x.npy", "--logits", outputs),
        )
        logits[place] = np.load(outputs)
        assert logits[place].dtype == np.int8
    assert np.array_equal(logits["numpy"], logits["twin"])
    assert np.array_equal(logits["numpy"], logits["emulator"])
    assert (logits["numpy"].argmax(axis=1) == y).mean() > 0.8

    suite = tmp_path / "suite.npz"
    crafted = run_json(
        capsys, "attack", path, "--data", tmp_path / "data.npz", "-o", suite, "--epsilon", "0.5"
    )
    assert crafted["suites"][0]["accuracy"]["float"] == 1.0
    assert crafted["suites"][2]["accuracy"]["float"] < 0.9
    compared = run_json(capsys, "run", tmp_path / "out", "--on", "emulator", "--data", suite)
    assert [record["name"] for record in compared["suites"]] == ["clean", "fgsm", "pgd"]
    assert all(record["mismatched_logits"] == 0 for record in compared["suites"])
    assert compared["memory"]["ram"]["stack_peak"] > 0
    (judged,) = compared["judgement"]["files"]
    assert judged == {"file": "suite.npz", **crafted["masking"]}


def test_inputs_may_be_int8_floats_or_npz(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = RandomGraph(8)
    write_converted(built.graph, tmp_path / "m", "test")
    samples = built.inputs(5)
    floats = built.graph.input_tensor.quantization.dequantize(samples)
    np.save(tmp_path / "int8.npy", samples)
    np.save(tmp_path / "float64.npy", floats.astype(np.float64))
    np.savez(tmp_path / "named.npz", x=floats, y=np.zeros(5, int))
    np.save(tmp_path / "one.npy", samples[0])
    expected = reference.run(built.graph, samples)
    for name, rows in (("int8.npy", 5), ("float64.npy", 5), ("named.npz", 5), ("one.npy", 1)):
        outputs = tmp_path / "y.npy"
        code, _, err = run_cli(
            capsys,
            *("run", tmp_path / "m", "--on", "numpy"),
            *("--data", tmp_path / name, "--logits", outputs),
        )
        assert code == 0, err
        assert np.array_equal(np.load(outputs), expected[:rows])


def test_saved_graph_converts_to_the_same_code(
    demo_model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_json(capsys, "convert", demo_model.folder / "graph.npz", "-o", tmp_path / "again")
    again = Graph.load(tmp_path / "again" / "graph.npz")
    assert again.hash == demo_model.graph.hash
    first, second = (
        (folder / "model.c").read_text() for folder in (demo_model.folder, tmp_path / "again")
    )
    assert first == second
    small = tmp_path / "small"
    record = run_json(capsys, "convert", demo_model.folder, "-o", small, "--optimize", "size")
    assert record["model"]["weight_bytes"] < demo_model.weight_bytes
    assert record["model"]["optimize"] == "size"


BLOCKER = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    blocked = {"tensorflow", "tf_keras", "keras", "qkeras", "art", "hls4ml"}
    blocked |= {"tflite_micro", "ai_edge_litert", "PIL", "vl_convert", "junitparser"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from tinyedge.cli.main import main
sys.exit(main())
"""


def light(*arguments: object) -> subprocess.CompletedProcess[str]:
    """tinyedge as it is without TensorFlow, QKeras and ART."""
    command = [sys.executable, "-c", BLOCKER, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_light_install_converts_a_saved_graph_builds_and_runs(tmp_path: Path) -> None:
    built = RandomGraph(11)
    built.graph.save(tmp_path / "graph.npz")
    samples = built.inputs(4)
    np.save(tmp_path / "x.npy", samples)
    np.savez(
        tmp_path / "data.npz",
        x=built.graph.input_tensor.quantization.dequantize(samples),
        y=[0] * 4,
    )
    steps = [
        ("convert", tmp_path / "graph.npz", "-o", tmp_path / "first"),
        ("convert", tmp_path / "first" / "model.tflite", "-o", tmp_path / "m"),
        ("check", tmp_path / "m", "--with", "twin", "--samples", "5"),
        ("build", tmp_path / "m", "-b", "netduinoplus2"),
        ("run", tmp_path / "m", "--on", "emulator", "--data", tmp_path / "data.npz"),
        ("boards", "list"),
    ]
    for place in ("numpy", "twin", "emulator"):
        files = ("--data", tmp_path / "x.npy", "--logits", tmp_path / f"{place}.npy")
        steps.append(("run", tmp_path / "m", "--on", place, *files))
    for step in steps:
        result = light(*step)
        assert result.returncode == 0, result.stderr
    for place in ("numpy", "twin", "emulator"):
        assert np.array_equal(
            np.load(tmp_path / f"{place}.npy"), reference.run(built.graph, samples)
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", demo.MODEL, "-o", "out"),
        ("attack", demo.MODEL, "-o", "s.npz"),
        ("demo", "-o", "d"),
        ("check", "MODEL", "--with", "tflite-micro"),
        ("check", "MODEL", "--with", "litert-reference"),
        ("arena", "MODEL"),
    ],
)
def test_light_install_says_what_to_install(
    arguments: tuple[object, ...],
    demo_model: ConvertedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = light(*[demo_model.tflite if given == "MODEL" else given for given in arguments])
    assert result.returncode == 5
    assert "pip install" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
    if arguments[0] == "demo":  # all that its steps need, at once
        assert "[attack,report]" in result.stderr


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_quick(command: list[str]) -> None:
    """Nothing heavy is imported to show help."""
    script = (
        "import sys; from tinyedge.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'numpy', 'rich', 'tensorflow', 'pydantic', 'serial'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Usage: tinyedge" in result.stdout


def test_names_are_those_of_the_code_behind_them() -> None:
    """``names`` lists what tables and modules elsewhere implement, and imports nothing of them."""
    from tinyedge import attacks, datasets, names
    from tinyedge.boards.cores import CORES
    from tinyedge.cli import attack
    from tinyedge.cli import demo as demo_command
    from tinyedge.firmware import export
    from tinyedge.targets import flashing

    assert tuple(flashing.TOOLS) == names.FLASH_TOOLS
    assert ("arduino", "c", *export.FORMATS) == names.EXPORT_FORMATS
    assert tuple(CORES) == names.CORE_NAMES
    modules = {path.stem for path in Path(str(datasets.__file__)).parent.glob("*.py")}
    assert set(names.DATASETS) <= modules
    assert set(demo_command.ATTACKS) <= set(attacks.ATTACKS)
    named = next(option for option in attack.command.params if option.name == "attacks")
    assert isinstance(named, click.Option)
    assert all(
        f"{name}," in str(named.help) or f"{name};" in str(named.help) for name in attacks.ATTACKS
    )


def test_boards_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    listed = {board["name"]: board for board in run_json(capsys, "boards", "list")["boards"]}
    assert listed["netduinoplus2"]["flash"] == 1048576
    shown = run_json(capsys, "boards", "show", "netduinoplus2")
    assert shown["board"]["uart"]["peripheral"] == "USART6"
    assert run_json(capsys, "boards", "validate", "netduinoplus2")["valid"] == ["netduinoplus2"]
    doctor = run_json(capsys, "doctor")
    assert doctor["can"]["convert Keras models"]
    assert available_emulators(load_board("netduinoplus2"))


def test_doctor_says_which_boards_may_be_attached(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from serial.tools import list_ports
    from serial.tools.list_ports_common import ListPortInfo

    ports = [ListPortInfo(name) for name in ("/dev/ttyACM0", "/dev/ttyS0", "/dev/ttyUSB0")]
    ports[0].vid, ports[0].pid = 0x0483, 0x374B
    ports[2].vid, ports[2].pid = 0x1A86, 0x7523
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    boards = run_json(capsys, "doctor")["boards"]
    assert list(boards) == ["/dev/ttyACM0"]
    assert {"nucleo-f446re", "b-l475e-iot01a"} <= set(boards["/dev/ttyACM0"])


def test_bad_input_is_an_error_and_leaves_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    demo_model: ConvertedModel,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = demo_model.folder
    unsupported = km.save(
        km.sequential((9, 8, 3), km.conv(activation="softsign")), tmp_path / "u.h5"
    )
    (tmp_path / "cut.h5").write_bytes(demo.MODEL.read_bytes()[:9000])
    np.save(tmp_path / "wrong.npy", np.zeros((2, 5, 5, 1), np.int8))
    np.save(tmp_path / "good.npy", np.zeros((1, 28, 28, 1), np.int8))
    np.save(tmp_path / "nan.npy", np.full((1, 28, 28, 1), np.nan))
    (tmp_path / "text.npy").write_text("hello")
    out = ("--logits", "y.npy")
    before = sorted(tmp_path.iterdir())

    def fails(code: int, *arguments: object) -> dict[str, str]:
        error = failure(capsys, code, *arguments)
        assert sorted(tmp_path.iterdir()) == before
        return error

    assert "softsign" in fails(3, "convert", unsupported, "-o", "m")["message"]
    assert "cut.h5" in fails(3, "convert", "cut.h5", "-o", "m")["message"]
    assert "no such file" in fails(3, "convert", "none.h5", "-o", "m")["message"]
    assert "netduinoplus2" in fails(3, "build", model, "-b", "nucleo")["hint"]
    assert "no such folder" in fails(3, "build", "none", "-b", "netduinoplus2")["message"]
    run = ("run", model, "--on", "numpy")
    assert "28, 28, 1" in fails(3, *run, "--data", "wrong.npy", *out)["message"]
    assert "finite" in fails(3, *run, "--data", "nan.npy", *out)["message"]
    assert "text.npy" in fails(3, *run, "--data", "text.npy", *out)["message"]
    assert "no such file" in fails(3, *run, "--data", "none.npy", *out)["message"]
    assert "--data" in fails(2, *run)["message"]
    assert fails(6, "run", model, "--on", "board", "--data", "good.npy", *out)["code"] == "device"
    board = ("run", model, "--on", "board", "-p", "/dev/nonexistent", "--data", "good.npy")
    assert "/dev/nonexistent" in fails(6, *board, *out)["message"]
    assert fails(2, "frobnicate")["code"] == "usage"
    assert fails(2, "convert")["code"] == "usage"
    monkeypatch.setenv("PATH", "")
    emulated = ("run", model, "--on", "emulator", "--data", "good.npy", *out)
    assert "gcc" in fails(5, *emulated, "--compiler", "gcc")["message"]
    assert "qemu" in fails(5, *emulated, "--compiler", "zig", "--emulator", "qemu")["message"]


def test_output_that_cannot_be_written_is_an_error_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], demo_model: ConvertedModel
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 28, 28, 1), np.int8))
    (tmp_path / "file").write_text("")
    run = ("run", demo_model.folder, "--on", "numpy", "--data", tmp_path / "x.npy")
    error = failure(capsys, 2, *run, "--logits", tmp_path)
    assert str(tmp_path) in error["message"]
    assert "file" in failure(capsys, 2, *run, "--logits", tmp_path / "file" / "y.npy")["message"]
    convert = ("convert", demo_model.folder, "-o", tmp_path / "file")
    assert str(tmp_path / "file") in failure(capsys, 2, *convert)["message"]


def test_failure_leaves_no_folders_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], demo_model: ConvertedModel
) -> None:
    small = (Path(__file__).parents[2] / "boards" / "netduinoplus2.toml").read_text()
    tight = demo_model.weight_bytes + 2000
    tighter = small.replace("size = 1048576", f"size = {tight}")
    (tmp_path / "tight.toml").write_text(tighter.replace('"netduinoplus2"', '"tight"', 1))
    build = ("build", demo_model.folder, "-b", tmp_path / "tight.toml")
    error = failure(capsys, 4, *build, "-o", tmp_path / "new" / "deep" / "firmware")
    assert "bytes of FLASH too few" in error["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["tight.toml"]


@pytest.mark.parametrize(
    "given",
    [
        "",
        ",",
        "0.1,",
        "0",
        "-1",
        "0.1,-8/255",
        "nan",
        "inf",
        "1/0",
        "8/",
        "1/2/3",
        "a",
        "8/255,.0314",
    ],
)
def test_epsilons_are_numbers_and_fractions(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = ("attack", demo.MODEL, "-o", tmp_path / "s.npz")
    error = failure(capsys, 2, *attack, f"--epsilon={given}")
    assert "epsilon is" in error["message"]
    assert "allowed: " in error["message"]
    assert "2/255" in error["hint"]


def test_grey_images_may_lack_their_channel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = demo.clean_suite()
    grey = np.rint(clean.inputs[:10, :, :, 0] * 255).astype(np.uint8)
    np.savez(tmp_path / "grey.npz", x=grey, y=clean.labels[:10])
    convert = ("convert", demo.MODEL, "-o", tmp_path / "m")
    run_json(capsys, *convert, "--calibration", tmp_path / "grey.npz")
    run = ("run", tmp_path / "m", "--on", "numpy")
    record = run_json(capsys, *run, "--data", tmp_path / "grey.npz")
    assert record["suites"][0]["accuracy"]["host"] >= 0.9
    outputs = tmp_path / "y.npy"
    run_json(capsys, *run, "--data", tmp_path / "grey.npz", "--logits", outputs)
    attack = ("attack", demo.MODEL, "--attacks", "fgsm", "-o", tmp_path / "suites.npz")
    crafted = run_json(capsys, *attack, "--data", tmp_path / "grey.npz", "--epsilon", "0.05")
    assert crafted["suites"][0]["largest_change"] == 0
    assert crafted["suites"][1]["largest_change"] == pytest.approx(0.05, abs=1e-6)
    accuracy = (np.load(outputs).argmax(axis=1) == clean.labels[:10]).mean()
    assert accuracy == record["suites"][0]["accuracy"]["host"]


def test_model_too_large_for_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = (Path(__file__).parents[2] / "boards" / "netduinoplus2.toml").read_text()
    smaller = small.replace("size = 131072", "size = 12288")
    (tmp_path / "tiny.toml").write_text(smaller.replace('"netduinoplus2"', '"tiny"', 1))
    run_json(capsys, "convert", demo.MODEL, "-o", tmp_path / "m")
    error = failure(capsys, 4, "build", tmp_path / "m", "-b", tmp_path / "tiny.toml")
    assert "RAM" in error["message"]
    assert "arduino-uno-r4-minima" in error["hint"]
    assert "more" in error["hint"]
    assert not list((tmp_path / "m").glob("tiny*"))


def test_difference_between_host_and_device_is_exit_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A weight changed in the C code, as a faulty kernel would, is noticed."""
    run_json(capsys, "convert", demo.MODEL, "-o", tmp_path / "m")
    built = Twin.__init__

    def faulty(twin: Twin, model: ConvertedModel) -> None:
        source = model.folder / "model.c"
        right = source.read_text()
        start = right.index("{", right.index("classifier_bias[10] =")) + 1
        source.write_text(right[:start] + "200000" + right[right.index(",", start) :])
        built(twin, model)
        source.write_text(right)

    monkeypatch.setattr(Twin, "__init__", faulty)
    clean = demo.clean_suite()
    np.savez(tmp_path / "d.npz", x=clean.inputs[:20], y=clean.labels[:20])
    arguments = ("run", tmp_path / "m", "--on", "twin", "--data", tmp_path / "d.npz")
    code, out, err = run_cli(capsys, *arguments)
    assert code == 8
    assert "differ" in err
    assert "clean" in out
    code, out, _ = run_cli(capsys, *arguments, "--json")
    assert code == 8
    record = json.loads(out)
    assert record["error"]["code"] == "threshold"
    assert record["suites"][0]["mismatched_samples"] > 0


def fake_tool(folder: Path, script: str, name: str = "dfu-util") -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


def test_flash(
    demo_model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("flash", demo_model.folder, "-b", "netduinoplus2")
    dry = run_json(capsys, *arguments, "--dry-run")
    image = Path(dry["command"][-1])
    assert dry["command"][:8] == [
        *("dfu-util", "-d", "0483:df11", "-a", "0", "-s", "0x08000000", "-D")
    ]
    # The vector table: the stack's top in RAM, the reset handler in flash.
    stack, reset = np.frombuffer(image.read_bytes()[:8], "<u4")
    assert stack == 0x20020000
    assert 0x08000000 < reset < 0x08000000 + image.stat().st_size
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    # A board, as far as dfu-util is concerned: what is written can be read back.
    fake_tool(
        tmp_path,
        f'echo "$@" >> {tmp_path}/called\n'
        f'if [ $7 = -D ]; then cp "$8" {tmp_path}/board; else cp {tmp_path}/board "$8"; fi',
    )
    done = run_json(capsys, *arguments)
    assert done["flashed"] is done["verified"] is True
    called = (tmp_path / "called").read_text().splitlines()
    asked = [command[1:] for command in done["commands"] if command[0] == "dfu-util"]
    assert called == [" ".join(arguments) for arguments in asked]
    assert done["commands"] == dry["commands"]
    code, out, _ = run_cli(capsys, *arguments, "--dry-run")
    assert code == 0
    assert [shlex.split(line) for line in out.splitlines()] == dry["commands"]
    fake_tool(tmp_path, "echo 'No DFU capable USB device available' >&2; exit 74")
    assert "boot ROM" in failure(capsys, 6, *arguments)["hint"]
    fake_tool(tmp_path, "echo 'some fault' >&2; exit 1")
    assert "some fault" in failure(capsys, 5, *arguments)["message"]


def test_flash_over_plain_dfu(
    demo_model: ConvertedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("flash", demo_model.folder, "-b", "arduino-uno-r4-minima", "--dry-run")
    command = run_json(capsys, *arguments)["command"]
    assert command[:-1] == ["dfu-util", "-d", "2341:0369", "-a", "0", "-R", "-D"]


def test_flash_with_a_debug_probe(
    demo_model: ConvertedModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("flash", demo_model.folder, "-b", "nucleo-f446re")
    dry = run_json(capsys, *arguments, "--dry-run")["command"]
    assert dry[:4] == ["openocd", "-f", "board/st_nucleo_f4.cfg", "-c"]
    assert dry[4].startswith(f"program {{{demo_model.folder}")
    assert dry[4].endswith("firmware.bin} 0x08000000 verify reset exit")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    fake_tool(tmp_path, "echo '** Verified OK **'", "openocd")
    assert run_json(capsys, *arguments)["flashed"] is True
    fake_tool(tmp_path, "echo 'Error: open failed' >&2; exit 1", "openocd")
    assert "debug probe" in failure(capsys, 6, *arguments)["hint"]
