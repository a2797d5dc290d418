from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyedge
from tests.cli.commands import failure, run_cli, run_json
from tests.commands.records import as_printed
from tests.draws import draws
from tests.graph.random_graphs import RandomGraph
from tinyedge.errors import ThresholdError, TinyEdgeError
from tinyedge.evaluation.suites import Suite, save_suites
from tinyedge.exporters.converted import write_converted
from tinyedge.records.parts import Array


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, suites, and the record of a run of them."""
    made = tmp_path_factory.mktemp("bundle")
    model = write_converted(RandomGraph(5).graph, made / "model", "test")
    x = RandomGraph(5).inputs(30)
    real = model.graph.input_tensor.quantization.dequantize(x).astype(np.float32)
    labels = np.arange(30, dtype=np.int64) % 2
    save_suites(made / "suites.npz", [Suite(name, real, labels) for name in ("one", "two")], {})
    tinyedge.run(made / "model", on="numpy", data=made / "suites.npz", output=made / "run.json")
    return made


@pytest.fixture
def made(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.zip"
    suites, record = folder / "suites.npz", folder / "run.json"
    tinyedge.bundle(folder / "model", data=suites, run=record, output=path)
    return path


def arguments(folder: Path, path: Path) -> list[Any]:
    named = ("--data", folder / "suites.npz", "--run", folder / "run.json")
    return ["bundle", folder / "model", *named, "-o", path]


def changed(
    path: Path, change: Callable[[dict[str, bytes]], None], *, honest: bool = False
) -> Path:
    """A bundle whose files are changed; with ``honest`` its manifest has the new hashes."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if honest:
        manifest = json.loads(files["bundle.json"])
        manifest["files"] = [
            {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
            if name != "bundle.json"
        ]
        files["bundle.json"] = json.dumps(manifest).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    path.write_bytes(buffer.getvalue())
    return path


def test_the_functions_give_what_the_commands_print(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bundle.zip"
    record = run_json(capsys, *arguments(folder, path))
    content = path.read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    given = tinyedge.bundle(
        folder / "model", data=folder / "suites.npz", run=[folder / "run.json"], output=path
    )
    assert as_printed(given) == record
    assert path.read_bytes() == content
    verified = run_json(capsys, "verify", path, "--seed", 7)
    assert (len(verified["samples"]), verified["differing"]) == (20, [])
    assert as_printed(tinyedge.verify(path, seed=7)) == verified
    others = run_json(capsys, "verify", path)
    assert others["seed"] != 7
    assert tinyedge.verify(path, samples=1000, seed=1)["samples"][-1]["sample"] == 29


@pytest.mark.needs_tool
def test_the_twin_verifies(made: Path) -> None:
    assert tinyedge.verify(made, on="twin", samples=5)["differing"] == []


def other_logits(files: dict[str, bytes]) -> None:
    record = json.loads(files["records/run.json"])
    for arrays in record["arrays"]:
        for name in ("host_logits", "device_logits"):
            value = Array.model_validate(arrays[name]).value
            arrays[name] = Array.of(np.roll(value, 1, axis=0)).model_dump()
    files["records/run.json"] = json.dumps(record).encode()


def other_accuracy(files: dict[str, bytes]) -> None:
    record = json.loads(files["records/run.json"])
    record["suites"][0]["accuracy"]["device"] = 0.999
    files["records/run.json"] = json.dumps(record).encode()


def test_logits_that_are_made_up_are_found(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made_up(files: dict[str, bytes]) -> None:
        other_logits(files)
        record = json.loads(files["records/run.json"])
        for suite, arrays in zip(record["suites"], record["arrays"], strict=True):
            logits = Array.model_validate(arrays["device_logits"]).value
            labels = Array.model_validate(arrays["labels"]).value
            from tinyedge.evaluation.compare import accuracy

            share = accuracy(logits, labels)
            suite["accuracy"] |= {"host": share, "device": share}
        files["records/run.json"] = json.dumps(record).encode()

    path = changed(made, made_up, honest=True)
    code, out, err = run_cli(capsys, "verify", path)
    assert code == 8, err
    assert "samples have the same logits" in out
    with pytest.raises(ThresholdError, match="are computed to other logits") as raised:
        tinyedge.verify(path)
    assert raised.value.record
    assert raised.value.record["differing"]


@pytest.mark.parametrize(
    ("change", "honest", "told"),
    [
        (lambda files: files.update({"suites/suites.npz": b"x"}), False, "is not what bundle.json"),
        (lambda files: files.update({"suites/suites.npz": b"x"}), True, "--data does not name"),
        (lambda files: files.update({"suites/more.npz": b"x"}), False, "is only in the file"),
        (lambda files: files.update({"suites/../../x": b"x"}), True, "is no file of a bundle"),
        (lambda files: files.update({"/etc/x": b"x"}), True, "is no file of a bundle"),
        (lambda files: files.pop("bundle.json"), False, "lacks bundle.json"),
        (
            lambda files: files.update({"model/model.c": b"int x;"}),
            True,
            "is not what this version",
        ),
        (other_accuracy, True, "accuracy.device is 0.999, from its logits follows"),
    ],
)
def test_what_was_changed_is_refused(
    change: Callable[[dict[str, bytes]], None],
    honest: bool,  # noqa: FBT001
    told: str,
    made: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = failure(capsys, 3, "verify", changed(made, change, honest=honest))
    assert told in error["message"]


def test_what_does_not_belong_together_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "other.npz", x=RandomGraph(5).inputs(3), y=np.zeros(3, np.int64))
    given = ["bundle", folder / "model", "--run", folder / "run.json", "-o", tmp_path / "b.zip"]
    told = failure(capsys, 2, *given, "--data", tmp_path / "other.npz")["message"]
    assert "suite 'one' is of a file that --data does not name" in told
    assert (
        failure(capsys, 2, *given)["message"] == "a bundle takes at least one --data and one --run"
    )
    firmware = failure(capsys, 2, *arguments(folder, tmp_path / "b.zip"), "--build", tmp_path)
    assert "no firmware of this model" in firmware["message"]


def flipped(content: bytes, random: np.random.Generator) -> bytes:
    found = bytearray(content)
    for at in random.integers(len(found), size=random.choice([1, 2, 30])):
        found[at] = random.integers(256)
    return bytes(found)


@pytest.mark.parametrize("inside", [False, True], ids=["the archive", "a file, with its hash"])
def test_bytes_that_were_changed_are_a_line(made: Path, *, inside: bool) -> None:
    content, random, said = made.read_bytes(), np.random.default_rng(0), list[str]()

    def change(files: dict[str, bytes]) -> None:
        name = random.choice(sorted(files.keys() - {"bundle.json"}))
        files[name] = flipped(files[name], random)

    for _ in range(draws(400)):
        made.write_bytes(content if inside else flipped(content, random))
        if inside:
            changed(made, change, honest=True)
        try:
            tinyedge.verify(made, samples=1, seed=0)
        except TinyEdgeError as error:
            said.append(str(error))
    assert said
    assert not any("\n" in line for line in said)
