"""``selftest``: a board's kernels, link and timing in one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import failure
from tests.conftest import require
from tests.firmware.faults import flip_output
from tinyedge.boards import board_names, load_board
from tinyedge.cli.main import main
from tinyedge.commands import selftest as command
from tinyedge.commands.selftest import selftest
from tinyedge.errors import DeviceError, ThresholdError, UsageError
from tinyedge.graph.operators import Weighted
from tinyedge.models.selftest import selftest_network
from tinyedge.targets import available_emulators, flashing
from tinyedge.templates import data_folder

BOARD = "netduinoplus2"


def test_the_networks_have_weights_of_every_width() -> None:
    for network in (selftest_network(), selftest_network(small=True)):
        weighted = [each for each in network.operators if isinstance(each, Weighted)]
        assert {each.weights.bits for each in weighted} == {1, 2, 4, 8}


@pytest.mark.emulator
@pytest.mark.parametrize("name", [BOARD, "arduino-uno"])
def test_an_emulated_board_passes(name: str, tmp_path: Path) -> None:
    emulator = "simavr" if name == "arduino-uno" else "qemu"
    require(available_emulators(load_board(name)), emulator)
    file = tmp_path / "report.md"
    record = selftest(board=name, on="emulator", rates=(9600,), output=file)
    assert record["passed"]
    assert (record["board"], record["emulator"]) == (name, emulator)
    steps = [step["step"] for step in record["steps"]]
    assert steps == ["start", "ping", "kernels", "faults", "9600 baud"]
    assert record["rates"] == [{"baud": 9600, "passed": True}]
    assert len(record["kernels"]) == 14
    assert all(row["differing_samples"] == 0 and row["count"] > 0 for row in record["kernels"])
    assert record["timing"]["inference"] > 0
    assert record["timing"]["unit"] == ("cycles" if emulator == "simavr" else "instructions")
    assert record["faults"]["injected"] > 0
    json.dumps(record)
    report = file.read_text()
    assert report.startswith(f"# Self-test of {name}: passed\n")
    assert all(row["kernel"] in report for row in record["kernels"])


@pytest.mark.emulator
def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require(available_emulators(load_board(BOARD)), "qemu")
    flip_output(monkeypatch, tmp_path, "te_mean_s8", 0)
    file = tmp_path / "report.json"
    with pytest.raises(ThresholdError, match=r"2 of 4 steps failed; kernels: .*mean") as caught:
        selftest(board=BOARD, on="emulator", rates=(), output=file)
    record = caught.value.record
    assert record
    assert not record["passed"]
    wrong = [step["step"] for step in record["steps"] if not step["passed"]]
    assert wrong == ["kernels", "faults"]
    first = next(row for row in record["kernels"] if row["differing_samples"])
    assert (first["kernel"], first["differing_samples"]) == ("te_mean_s8", 8)
    assert json.loads(file.read_text())["steps"] == record["steps"]


@pytest.mark.parametrize("name", board_names())
def test_rates_that_a_part_does_not_make_are_left_out(name: str) -> None:
    board = load_board(name)
    own = command._at_rate(board, board.uart.baud)
    assert own
    assert own.model_dump() == board.model_dump()
    assert command._at_rate(board, 2**31) is None
    for rate in command.RATES:
        changed = command._at_rate(board, rate)
        assert changed is None or changed.uart.baud == rate


@pytest.mark.parametrize("name", board_names())
def test_the_port_is_for_the_tool_only_where_it_takes_one(name: str) -> None:
    """Each board is flashed by its first tool, with the port that its link needs in any case."""
    board = load_board(name)
    if not board.flash_tool.names:
        return
    for tool in (None, *board.flash_tool.names):
        through = command._flash_port(board, tool, "/dev/ttyACM0")
        flashing.choose_tool(board, tool, through)
        assert (through is None) == (not flashing.takes_port(board, tool))


def test_what_does_not_go_together_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceError, match="serial port has to be named"):
        selftest(board=BOARD)
    with pytest.raises(UsageError, match="--port, --tool and --probe"):
        selftest(board=BOARD, on="emulator", port="/dev/ttyACM0")
    with pytest.raises(UsageError, match="--emulator goes with --on emulator"):
        selftest(board=BOARD, emulator="qemu", port="/dev/ttyACM0")
    assert failure(capsys, 6, "selftest", "-b", BOARD)["code"] == "device"


BENCH = """[[board]]
board = "arduino-uno"
on = "emulator"
emulator = "qemu"

[[board]]
board = "mine.toml"
on = "emulator"
emulator = "qemu"
"""


@pytest.mark.emulator
def test_one_command_tries_all_boards_of_a_bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first cannot begin, the other's description lies beside the file."""
    require(available_emulators(load_board(BOARD)), "qemu")
    lab = tmp_path / "lab"
    lab.mkdir()
    text = (data_folder("boards") / f"{BOARD}.toml").read_text()
    (lab / "mine.toml").write_text(text.replace(f'"{BOARD}"', '"mine"', 1))
    (lab / "bench.toml").write_text(BENCH)
    (tmp_path / "tinyedge.toml").write_text('board = "nucleo-f446re"\nport = "/dev/ttyACM0"\n')
    monkeypatch.chdir(tmp_path)
    command = ("selftest", "--bench", "lab/bench.toml", "--baud", 9600, "-o", "bench.md", "--json")
    assert main([str(part) for part in command]) == 8
    said = json.loads(capsys.readouterr().out)
    first, second = said["boards"]
    assert (first["board"], first["passed"], second["board"]) == ("arduino-uno", False, "mine")
    assert "qemu" in first["error"]
    assert "steps" not in first
    assert second["passed"]
    assert second["rates"] == [{"baud": 9600, "passed": True}]
    assert not said["passed"]
    assert said["error"]["message"] == f"1 of 2 boards failed; arduino-uno: {first['error']}"
    report = Path("bench.md").read_text()
    assert report.startswith("# Self-test of a bench: failed\n")
    assert first["error"] in report
    assert "\n## Self-test of mine: passed\n" in report


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "board is missing, allowed: a list of at least 1"),
        ("board = []", "board is [], allowed: a list of at least 1"),
        ('[[board]]\nboard = "nucleo-f446re"', "board.0.port is None, allowed: the serial port"),
        (
            '[[board]]\nboard = "nucleo-f446re"\non = "emulator"\nport = "COM3"\nprobe = "1"',
            "board.0.port is 'COM3', allowed: nothing with on = 'emulator'; board.0.probe is '1'",
        ),
        (
            '[[board]]\nboard = "nucleo-f446re"\nport = "COM3"\nemulator = "qemu"',
            "board.0.emulator is 'qemu', allowed: nothing with on = 'board'",
        ),
        (
            2 * '[[board]]\nboard = "nucleo-f446re"\nport = "COM3"\n',
            "board.1.port is 'COM3', allowed: another port than board.0's",
        ),
        (
            '[[board]]\nboard = "nucleo-f446re"\nports = "COM3"',
            "board.0.ports: unknown key (did you mean 'port'?)",
        ),
        ('[[board]]\nboard = "nucleo-f44"\non = "emulator"', "board.0.board: "),
        ('[[board]]\nboard = "no.toml"\non = "emulator"', "board.0.board: "),
        ('[[board]]\nboard = "x"\non = "paper"', "board.0.on is 'paper', allowed: 'emulator' or"),
        ("board = 3", "board is 3, allowed: a list"),
        ("[[board", "cannot be read as TOML"),
    ],
)
def test_a_wrong_bench_is_refused_before_the_first_board(
    text: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "bench.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        selftest(bench=path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


def test_a_bench_says_what_options_say_else(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    with pytest.raises(UsageError, match="cannot be read as TOML"):
        selftest(bench=path)
    path.write_text(BENCH)
    with pytest.raises(UsageError, match="--board does not go with --bench"):
        selftest(bench=path, board=BOARD)
    with pytest.raises(UsageError, match="--on does not go with --bench"):
        selftest(bench=path, on="emulator")
    with pytest.raises(UsageError, match="--on does not go with --bench"):
        selftest(bench=path, on="board")
    with pytest.raises(UsageError, match="a board is missing"):
        selftest()


def test_an_interruption_leaves_the_report_of_the_boards_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, report = tmp_path / "bench.toml", tmp_path / "report.json"
    path.write_text("".join(f'[[board]]\nboard = "{BOARD}"\nport = "{n}"\n' for n in range(3)))
    outcomes = iter([OSError("disk full"), KeyboardInterrupt()])

    def fails(*_: object) -> None:
        raise next(outcomes)

    monkeypatch.setattr(command, "_board_record", fails)
    with pytest.raises(KeyboardInterrupt):
        selftest(bench=path, output=report)
    record = json.loads(report.read_text())
    assert record["passed"] is False
    assert [each["error"] for each in record["boards"]] == ["disk full"]
