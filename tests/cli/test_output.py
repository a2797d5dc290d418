"""Long work says where it is also where no terminal shows a bar."""

from __future__ import annotations

import pytest

from tinyedge.cli.output import Output


@pytest.mark.parametrize("verbosity", [0, -1])
def test_long_work_prints_a_line_now_and_then(
    verbosity: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 11))
    monkeypatch.setattr("tinyedge.cli.output.time.monotonic", lambda: next(clock))
    with Output(verbosity=verbosity).progress("crafting [/x]", 2000) as advance:
        for _ in range(7):
            advance(250)
    out, err = capsys.readouterr()
    lines = [
        "crafting [/x]: 750 of 2,000",
        "crafting [/x]: 1,500 of 2,000",
        "crafting [/x] done",
    ]
    assert err.splitlines() == (lines if verbosity == 0 else [])
    assert out == ""
