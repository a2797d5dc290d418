from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinyedge.files import check_writable, folder_aside, read_arrays, write_atomically


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_damaged_arrays_give_the_errors_that_are_documented(kind: str, tmp_path: Path) -> None:
    """Flipped bytes and cut files give arrays or the errors that callers expect."""
    random = np.random.default_rng(0)
    path = tmp_path / f"file.{kind[:3]}"
    array = random.normal(size=(40, 7))
    if kind == "npy":
        np.save(path, array)
    else:
        save = np.savez if kind == "npz" else np.savez_compressed
        with path.open("wb") as file:
            save(file, x=array, y=np.arange(40))
    good = path.read_bytes()
    refused = 0
    for _ in range(800):
        damaged = bytearray(good)
        if random.random() < 0.2:
            del damaged[random.integers(len(damaged)) :]
        for at in random.integers(0, max(len(damaged), 1), random.integers(1, 20)):
            if damaged:
                damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_arrays(path)
        except (ValueError, OSError):
            refused += 1
    assert refused > 100


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_replaced_only_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(UnicodeEncodeError), folder_aside(folder) as aside:
        (aside / "file").write_text("half \ud800")
    assert list(tmp_path.iterdir()) == []
    for text in ("old", "new"):
        with folder_aside(folder) as aside:
            (aside / "file").write_text(text)
            (aside / "sub").mkdir()
            (aside / "sub" / text).touch()
    assert (folder / "file").read_text() == "new"
    assert [path.name for path in (folder / "sub").iterdir()] == ["new"]
    assert [path.name for path in folder.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("member", ["weights", "a/b.txt"])
def test_a_member_that_is_no_array_is_named(member: str, tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    np.savez(path, x=np.arange(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "text")
    with pytest.raises(ValueError, match=f"'{member}' is no .npy file"):
        read_arrays(path)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    broken = tmp_path / "broken"
    broken.symlink_to(tmp_path / "to" / "come")
    write_atomically(broken, "there")
    assert (tmp_path / "to" / "come").read_text() == "there"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["x" * 250, "x" * 255])
def test_a_long_name_is_written(name: str, tmp_path: Path) -> None:
    write_atomically(tmp_path / name, "content")
    assert (tmp_path / name).read_text() == "content"


@pytest.mark.parametrize("path", ["/proc/new", "/dev/full", "x" * 256])
def test_what_cannot_be_written_is_named(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError) as failed:  # noqa: PT011 - of which kind, the system says
        write_atomically(Path(path), "content")
    assert failed.value.filename == path
    if path != "/dev/full":  # which takes files, but has no room
        with pytest.raises(OSError):  # noqa: PT011
            check_writable(Path(path))
    assert list(tmp_path.iterdir()) == []


def test_links_in_a_circle_are_an_error_of_the_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.symlink_to(second)
    second.symlink_to(first)
    with pytest.raises(OSError, match="symbolic links"):
        check_writable(first)
