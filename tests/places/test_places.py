"""Places: one way in for numpy, twin, emulator and board, and what a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import failure, run_cli, run_json
from tests.conftest import require
from tests.link.native import dense_model, random_samples
from tinyedge.boards import load_board
from tinyedge.errors import FileError
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.places import Journalled, PlaceSpec, open_place, place_line
from tinyedge.record_file import RecordFile, check_replaceable
from tinyedge.targets import available_emulators, open_emulator

BOARD = load_board("netduinoplus2")
SAMPLES = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return dense_model(tmp_path_factory.mktemp("places") / "m", 24)


@pytest.fixture(scope="module")
def samples(model: ConvertedModel) -> np.ndarray:
    return random_samples(model, SAMPLES)


@pytest.fixture
def emulator() -> str:
    found = available_emulators(BOARD)
    require(found, found[0] if found else "an emulator")
    return str(found[0])


@pytest.fixture
def interrupted(
    model: ConvertedModel, samples: np.ndarray, emulator: str, tmp_path: Path
) -> Callable[..., Path]:
    """Leaves the journal of a run that Ctrl-C ended after half of the samples."""
    spec = PlaceSpec("emulator", BOARD, emulator=emulator)  # type: ignore[arg-type]
    said: list[str] = []

    def run(path: Path) -> Path:
        np.save(tmp_path / "x.npy", samples)
        journal = Journalled([samples], path, discard=True)

        def interrupt() -> None:
            with open_place(model, spec, journal, said.append) as place:
                place.execute(samples[: SAMPLES // 2])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupt()
        assert said[-2].startswith(f"{SAMPLES // 2} of {SAMPLES} samples are in ")
        assert "--resume" in said[-1]
        return path

    return run


@pytest.mark.emulator
def test_places_give_the_same_logits_and_say_where_they_are(
    model: ConvertedModel, samples: np.ndarray, emulator: str
) -> None:
    expected = reference.run(model.graph, samples)
    for on in ("numpy", "twin"):
        with open_place(model, PlaceSpec(on)) as (execute, about, finish, _):
            assert np.array_equal(execute(samples).logits, expected)
            assert np.array_equal(execute(samples[:2]).logits, expected[:2])  # it stays open
        assert (about, finish(), place_line(about)) == ({"on": on}, {}, "")
    firmware = build_firmware(model, BOARD)
    spec = PlaceSpec("emulator", BOARD, firmware=firmware)
    with open_place(model, spec) as (execute, about, finish, _):
        assert np.array_equal(execute(samples).logits, expected)
        found = finish()
    assert about == {
        "on": "emulator",
        "board": BOARD.name,
        "emulator": emulator,
        "compiler": firmware.compiler,
        "firmware": firmware.hash,
    }
    assert set(found) == {"memory", "arena", "link"}
    assert found["link"]["devices"][0]["computed"] == SAMPLES
    with (
        open_emulator(BOARD, firmware.elf) as target,
        open_place(model, PlaceSpec("board", BOARD, (target.port,))) as (execute, about, finish, _),
    ):
        assert np.array_equal(execute(samples).logits, expected)
        assert set(finish()) == {"stack_peak", "link"}
    assert place_line(about) == f"{BOARD.name} at {target.port}"


@pytest.mark.emulator
def test_answers_of_an_interrupted_run_are_neither_lost_nor_asked_for_again(
    model: ConvertedModel,
    interrupted: Callable[[Path], Path],
    emulator: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    journal = interrupted(tmp_path / "j")
    files = ("--data", tmp_path / "x.npy", "--logits", tmp_path / "y.npy")
    where = ("--on", "emulator", "--emulator", emulator, "--journal", journal)
    run = ("run", model.folder, *where, *files)
    content = journal.read_bytes()
    error = failure(capsys, 2, *run)
    assert f"{SAMPLES // 2} answers" in error["message"]
    assert "--resume" in error["hint"]
    assert "--discard" in error["hint"]
    assert journal.read_bytes() == content
    assert "exclude" in failure(capsys, 2, *run, "--resume", "--discard")["message"]
    assert run_json(capsys, *run, "--resume")["link"]["from_journal"] == SAMPLES // 2
    assert run_json(capsys, *run, "--discard")["link"]["from_journal"] == 0
    here = ("run", model.folder, "--on", "twin", *files)
    assert "--discard" in failure(capsys, 2, *here, "--discard")["message"]


@pytest.mark.emulator
def test_a_file_that_is_no_journal_is_not_replaced(
    model: ConvertedModel,
    samples: np.ndarray,
    emulator: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "x.npy", samples)
    kept = tmp_path / "thesis.txt"
    kept.write_text("years of work\n")
    files = ("--data", tmp_path / "x.npy", "--logits", tmp_path / "y.npy")
    where = ("--on", "emulator", "--emulator", emulator, "--journal", kept)
    error = failure(capsys, 2, "run", model.folder, *where, *files)
    assert "is no journal" in error["message"]
    assert kept.read_text() == "years of work\n"


def test_a_journal_without_answers_may_go(tmp_path: Path) -> None:
    path = tmp_path / "j"
    check_replaceable(path)
    RecordFile.create(path, {"of": "test"}).close()
    check_replaceable(path)
    with RecordFile.resume(path) as file:
        file.append(["one"])
    with pytest.raises(FileError, match="1 answers"):
        check_replaceable(path)


@pytest.mark.keras  # ART loads it
def test_an_attack_s_answers_are_not_replaced(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tinyedge.attacks.journal import QueryJournal

    data, suites = tmp_path / "d.npz", tmp_path / "s.npz"
    x = np.random.default_rng(0).random((2, 24)).astype(np.float32)
    np.savez(data, x=x, y=np.zeros(2, int))
    journal = suites.with_name("s.npz.journal")
    with QueryJournal.create(journal, model.graph.hash) as kept:
        kept.add([bytes(16)], [bytes(10)])
        assert kept.count == 1
    content = journal.read_bytes()
    place = ("--on", "numpy", "--data", data, "-o", suites)
    attack = ("attack", model.folder, *place, "--attacks", "square", "--square-queries", 3)
    error = failure(capsys, 2, *attack)
    assert "1 answers" in error["message"]
    assert "--resume" in error["hint"]
    assert journal.read_bytes() == content
    assert "exclude" in failure(capsys, 2, *attack, "--resume", "--discard")["message"]
    assert run_json(capsys, *attack, "--discard")["answers"]["journalled"] == 0
    assert not journal.exists()


@pytest.mark.emulator
def test_run_names_board_emulator_and_compiler_above_its_table(
    model: ConvertedModel,
    samples: np.ndarray,
    emulator: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quantization = model.graph.input_tensor.quantization
    suite = tmp_path / "s.npz"
    np.savez(suite, x=quantization.dequantize(samples), y=np.zeros(SAMPLES, int))
    where: tuple[Any, ...] = ("--on", "emulator", "--emulator", emulator)
    run = ("run", model.folder, *where, "--data", suite)
    record = run_json(capsys, *run)
    code, out, err = run_cli(capsys, *run)
    assert code == 0, err
    first = out.splitlines()[0]
    for key in ("board", "emulator", "compiler"):
        assert record[key] in first
    code, out, _ = run_cli(capsys, "run", model.folder, *where, "--profile", "--samples", 1)
    assert code == 0
    assert out.startswith(f"{BOARD.name}, emulated by {emulator}, compiled by ")
