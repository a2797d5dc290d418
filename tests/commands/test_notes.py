from __future__ import annotations

import pytest

import tinyedge
from tinyedge.commands.notes import in_python
from tinyedge.errors import BoardError


def test_functions_carry_their_hint_once() -> None:
    with pytest.raises(BoardError) as failure:
        tinyedge.show_board("netduinoplus3")
    (note,) = failure.value.__notes__
    assert note.startswith("hint: did you mean 'netduinoplus2'?")


def test_hints_are_in_python_s_words() -> None:
    renamed = {"timeout": "timeout_s"}
    assert in_python("--compiler gcc", {}) == "compiler='gcc'"
    assert in_python("is it long? --timeout 30 waits", renamed) == "is it long? timeout_s 30 waits"
    assert in_python("--input-range for others", {}) == "input_range for others"
    whole = "tinyedge convert m/graph.npz -o DIR --core avr"
    assert in_python(whole, {}) == whole  # a command stays one
