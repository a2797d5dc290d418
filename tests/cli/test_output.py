"""Output stays text, whatever a stranger called it, and long work says where it is."""

from __future__ import annotations

import pytest
from rich.table import Table
from rich.text import Text

from tinyedge.cli.output import Output
from tinyedge.cli.tables import layer_table, suite_table
from tinyedge.errors import MissingDependencyError, ModelError

HOSTILE = ["[/x]", "[bold]", ":smile:", "a\x1b[2Jb", "a\x9b2Jb"]


def layer(name: str) -> dict[str, object]:
    return {
        "name": name,
        "kind": "Add",
        "shape": [1],
        "macs": 0,
        "weights": 0,
        "bits": None,
        "packing": None,
        "weight_bytes": 0,
        "kernel": name,
        "removed": 0,
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_printed_as_text(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    suite = {
        "name": name,
        "samples": 1,
        "accuracy": {"float": None, "host": 1.0, "device": 1.0},
        "mismatched_samples": 0,
        "mismatched_logits": 0,
        "instructions": None,
        "seconds": None,
    }
    titled = Table(title=name)
    titled.add_column(name)
    output = Output()
    tables = (layer_table([layer(name)]), suite_table([suite], name), titled)
    output.result({}, *tables, name, Text(name))
    with output.step(name):
        output.remark(name)
    with output.progress(name, 1) as advance:
        advance(1)
    output.failed(ModelError(name, hint=name))
    out, err = capsys.readouterr()
    shown = name.replace("\x1b", "\\x1b").replace("\x9b", "\\x9b")
    assert out.count(shown) >= 7
    assert err.count(shown) == 5
    assert "\x1b" not in out + err
    assert "\x9b" not in out + err


def test_hints_keep_their_extras(capsys: pytest.CaptureFixture[str]) -> None:
    hint = "pip install 'tinyedge[qkeras]'"
    output = Output()
    output.failed(MissingDependencyError("qkeras is missing", hint=hint))
    output.remark(hint)
    output.result({}, hint)
    out, err = capsys.readouterr()
    assert out == f"{hint}\n"
    assert err.count(hint) == 2


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
