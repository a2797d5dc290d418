"""Names of strangers: refused, replaced or escaped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyedge.errors import DataError
from tinyedge.naming import (
    LONGEST_NAME,
    check_name,
    clean_name,
    in_code,
    in_comment,
    in_markdown,
    member_names,
    one_line,
    visible,
)

UNSEEN = ["\n", "\0", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u200b", "\u2028", "\ud800"]


@pytest.mark.parametrize("character", UNSEEN)
def test_what_is_not_seen_is_refused_with_its_number(character: str) -> None:
    with pytest.raises(DataError, match=rf"^f\.npz: name .*U\+{ord(character):04X}") as refused:
        check_name(f"a{character}b", "f.npz: name", DataError)
    assert visible(str(refused.value)) == str(refused.value)
    assert clean_name(f"a{character}b") == "a_b"


@pytest.mark.parametrize("name", ["conv2d/BiasAdd;x", "größe", "層 1", "[/x]", "<b>", ""])
def test_what_is_seen_is_a_name(name: str) -> None:
    assert check_name(name, "name", DataError) == name
    assert clean_name(name) == name


@pytest.mark.parametrize("name", [None, 1, b"a", ["a"], "n" * (LONGEST_NAME + 1)])
def test_other_values_are_no_names(name: object) -> None:
    with pytest.raises(DataError, match="allowed: "):
        check_name(name, "f.npz: name", DataError)


@given(st.text())
def test_every_text_can_be_written(text: str) -> None:
    check_name(clean_name(text), "name", DataError)
    for written in (one_line(text), in_comment(text), in_code(text), in_markdown(text)):
        check_name(written, "text", DataError)
    assert "*/" not in in_comment(text)
    assert "/*" not in in_comment(text)
    assert "`" not in in_code(text)
    assert "<" not in in_markdown(text)


def test_a_comment_neither_ends_nor_begins_another() -> None:
    for text in ("a*/b", "/*/", "*/*", "//*", "**//", "a\n*/ #include"):
        written = in_comment(text)
        assert "*/" not in written
        assert "/*" not in written


def test_visible_keeps_what_it_is_told_to() -> None:
    assert visible("a\tb\x1b[2J\n", keep="\n\t") == "a\tb\\x1b[2J\n"


@given(st.lists(st.text("a./\\\0_2", max_size=4), max_size=5))
def test_members_are_unique_and_stay_in_the_folder(names: list[str]) -> None:
    found = member_names(names)
    assert len(set(found)) == len(found) == len(names)
    for name in found:
        assert not {"", ".", ".."} & set(name.split("/"))
        assert "\\" not in name
        check_name(name, "name", DataError)


def test_members_keep_the_names_that_models_have() -> None:
    names = ["file", "StatefulPartitionedCall:0", "model/dense/BiasAdd;x", "é 1"]
    assert member_names(names) == names
    assert member_names(["a", "a_2", "a", "a"]) == ["a", "a_2", "a_3", "a_4"]
    assert member_names(["/a", "..", "a.npy", "b\\..\\c"]) == ["_/a", "_", "a_npy", "b_.._c"]
