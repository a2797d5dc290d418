"""Messages for somebody who gives the wrong thing: they say what it is, and the way on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import failure, run_cli

DIGITS = Path(__file__).parents[1] / "data" / "digits_ternary.npz"


@pytest.fixture
def converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    run_cli(capsys, "convert", DIGITS, "-o", tmp_path / "out")
    return tmp_path / "out"


def test_no_command_gives_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_cli(capsys)
    assert code == 2
    assert out == ""
    assert "First steps:\n" in err
    assert "error" not in err.splitlines()[0]


def test_the_hint_names_the_command_s_own_help(
    converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = failure(capsys, 2, "run", converted, "--on", "emulator")
    assert found["hint"] == "see 'tinyedge run --help'"
    found = failure(capsys, 2, "footprint", converted)
    assert "tinyedge --help" not in found["hint"]


def test_quiet_leaves_warnings(
    converted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=np.full((4, 8, 8, 1), 200.0, np.float32), y=np.arange(4))
    run = ("run", converted, "--on", "numpy", "--data", tmp_path / "x.npz")
    for options in ((), ("-q",)):
        _, _, err = run_cli(capsys, *run, *options)
        assert "clipped" in err
        assert ("done" in err) == (not options)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("run", "{digits}", "--on", "numpy", "--data", "{x}", "--logits", "o.npy"),
            3,
            "tinyedge convert",
        ),
        (("convert", "{x}", "-o", "new"), 3, "--data or --calibration"),
        (("quantize", "m.tflite", "--calibration", "x.npz", "-o", "new"), 2, "tinyedge convert"),
        (("build", "{out}", "-b", "stm32f446"), 3, "did you mean 'nucleo-f446re'?"),
        (("build", "{out}", "-b", "STM32F405"), 3, "netduinoplus2"),
        (
            ("run", "{out}", "--on", "emulator", "-b", "nucleo-f401re", "--emulator", "qemu"),
            5,
            "without --emulator: unicorn",
        ),
        (
            ("attack", "{out}", "--on", "numpy", "--attacks", "fgms", "-o", "s.npz"),
            2,
            "did you mean 'fgsm'?",
        ),
        (("run", "{out}", "--on", "numpy", "--data", "{x}"), 2, "x holds"),
    ],
)
def test_the_way_on_is_named(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    converted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.zeros((2, 8, 8, 1), np.float32))
    Path("m.tflite").write_bytes(b"TFL3")
    filled = [part.format(digits=DIGITS, x="x.npz", out=converted) for part in arguments]
    if filled[-1] == "qemu" or "fgms" in filled:
        np.savez("xy.npz", x=np.zeros((2, 8, 8, 1), np.float32), y=np.zeros(2, np.int64))
        filled += ["--data", "xy.npz"]
    found = failure(capsys, code, *filled)
    if said == "x holds":
        assert "x.npz holds x, and no labels y" in found["message"]
    else:
        assert said in found["hint"]
