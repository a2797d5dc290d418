"""A bundle: what a claim rests on in one file, and its verification on another machine."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import secrets
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tinyedge.boards import board_names, load_board
from tinyedge.commands.arguments import AnyPath, Paths, check_outputs, one_of, paths, whole
from tinyedge.commands.notes import noted
from tinyedge.errors import DataError, ThresholdError, UsageError
from tinyedge.evaluation.compare import Executor, accuracy, quantized_samples
from tinyedge.evaluation.suites import Suite, load_suites
from tinyedge.exporters.converted import CONVERTED_FILES, ConvertedModel, load_converted
from tinyedge.files import write_atomically
from tinyedge.firmware.footprint import read_footprint
from tinyedge.firmware.project import Firmware, read_build
from tinyedge.graph import reference
from tinyedge.graph.tensors import Quantization
from tinyedge.names import VERIFIERS, VerifierName
from tinyedge.places import PlaceSpec, open_place
from tinyedge.progress import NOBODY, Listener
from tinyedge.records.parts import Name, Part, Rows, as_model, parsed_record
from tinyedge.records.run import Run, SuiteArrays, load_run
from tinyedge.records.run import Suite as SuiteRecord

BUNDLE_SAMPLES = 20
"""Samples that are computed again by default."""
_MANIFEST = "bundle.json"
_LARGEST = 2**30
_MOST_FILES = 1000
_DATE = (1980, 1, 1, 0, 0, 0)
_FIRMWARE_FILES = ("firmware.json", "firmware.elf", "firmware.bin")
_HINT = "write it with 'tinyedge bundle DIR --data FILE --run RUN.json -o BUNDLE.zip'"


class _File(Part):
    name: Name
    sha256: Name


class _Manifest(Part):
    """The contents of ``bundle.json``."""

    version: Literal[1] = 1
    model: Name
    firmware: Name | None = None
    files: Annotated[Rows[_File], Field(min_length=1, max_length=_MOST_FILES)]


@noted()
def bundle(
    folder: AnyPath,
    *,
    data: Paths,
    run: Paths,
    build: AnyPath | None = None,
    output: AnyPath,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Puts a model, its suites, its firmware and the records of its runs into one file.

    Args:
        folder: what ``convert`` wrote.
        data: files of suites, or of labelled samples, that the runs took.
        run: records of the runs, as ``tinyedge run -o`` wrote them.
        build: folder of the firmware that ran, as ``tinyedge build`` wrote it.
        output: file to write (``.zip``): the same content gives the same bytes.
        listener: told how far it is.

    Returns:
        ``bundle``, ``sha256``, ``model`` (its hash), ``firmware`` (or null) and ``files[]``.

    Raises:
        UsageError: what is named does not belong together.
        ModelError, DataError: a folder or a file is damaged, or not what it has to be.
    """
    target, model = Path(output), load_converted(Path(folder))
    suites, runs = paths(data), paths(run)
    check_outputs(
        {"--output": target},
        [
            ("DIR", model.folder),
            *(("--data", each) for each in suites),
            *(("--run", p) for p in runs),
        ],
    )
    if not suites or not runs:
        raise UsageError("a bundle takes at least one --data and one --run")
    files = {f"model/{name}": (model.folder / name).read_bytes() for name in CONVERTED_FILES}
    for kind, given in (("suites", suites), ("records", runs)):
        for path in given:
            if f"{kind}/{path.name}" in files:
                raise UsageError(f"{path}: another file is called {path.name} too")
            files[f"{kind}/{path.name}"] = _content(path)
    firmware = None
    if build is not None:
        found = read_build(Path(build))
        if not found or not found.model or found.model["hash"] != model.graph.hash:
            raise UsageError(f"--build {build}: no firmware of this model")
        firmware = found.hash
        for name in _FIRMWARE_FILES:
            if (found.elf.parent / name).is_file():
                files[f"firmware/{name}"] = (found.elf.parent / name).read_bytes()
    _check_records(model, [(path, load_run(path)) for path in runs], suites, firmware)
    with listener.step("writing the bundle"):
        content = _archive(files, model.graph.hash, firmware)
        write_atomically(target, content)
    return {
        "bundle": str(target),
        "sha256": hashlib.sha256(content).hexdigest(),
        "model": model.graph.hash,
        "firmware": firmware,
        "files": sorted(files),
    }


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"{path}: not a file")
    return path.read_bytes()


def _check_records(
    model: ConvertedModel,
    runs: Sequence[tuple[Path, Run]],
    suites: Sequence[Path],
    firmware: str | None,
) -> None:
    """Refuses records of another model, of another firmware, or of samples that are not there."""
    there = {hashlib.sha256(path.read_bytes()).hexdigest() for path in suites}
    for path, run in runs:
        if run.model.hash != model.graph.hash:
            raise UsageError(f"{path}: the run of model {run.model.hash[:12]}, not of this one")
        if firmware and run.firmware and run.firmware != firmware:
            raise UsageError(f"{path}: the run of firmware {run.firmware[:12]}, not of --build's")
        for suite in run.suites:
            if suite.file is None or suite.file.sha256 not in there:
                raise UsageError(
                    f"{path}: suite '{suite.name}' is of a file that --data does not name"
                )


def _archive(files: dict[str, bytes], model: str, firmware: str | None) -> bytes:
    manifest = _Manifest(
        model=model,
        firmware=firmware,
        files=[
            _File(name=name, sha256=hashlib.sha256(content).hexdigest())
            for name, content in sorted(files.items())
        ],
    )
    text = json.dumps(manifest.model_dump(), indent=1) + "\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [(_MANIFEST, text.encode()), *sorted(files.items())]:
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@noted()
def verify(
    bundle: AnyPath,
    *,
    on: VerifierName = "numpy",
    samples: int = BUNDLE_SAMPLES,
    seed: int | None = None,
    listener: Listener = NOBODY,
) -> dict[str, Any]:
    """Verifies a bundle: every hash, and samples that are computed again.

    The model's C is made anew from its graph, and has to be the same. Samples are drawn from all
    suites of all records; their logits, of the host and of the place that ran, have to be what is
    computed here, and the records' accuracies what follows from their logits.

    Args:
        bundle: what ``tinyedge bundle`` wrote.
        on: where they are computed: ``numpy``, ``twin``, or the bundle's own firmware in an
            ``emulator``.
        samples: how many are drawn.
        seed: they are drawn by; a random one by default, so that nobody knows which they are.
        listener: told how far it is.

    Returns:
        ``bundle``, ``model``, ``firmware``, ``files`` (how many), ``on``, ``seed``, ``samples[]``
        (``run``, ``suite``, ``sample``) and ``differing[]`` of the same form.

    Raises:
        ThresholdError: a sample is computed to other logits; ``record`` is the result.
        DataError: the bundle is damaged, or what it holds does not belong together.
        ModelError: its model is damaged.
        ToolchainError: there is no compiler or emulator to compute with.
    """
    one_of("on", on, VERIFIERS)
    whole("samples", samples, 1)
    whole("seed", seed, 0, 2**32 - 1)
    path, drawn_by = Path(bundle), secrets.randbelow(2**32) if seed is None else seed
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as opened:
        folder = Path(temporary)
        with listener.step("checking hashes"):
            manifest = _extract(path, folder)
        model = load_converted(folder / "model")
        runs = {each.name: load_run(each) for each in sorted((folder / "records").iterdir())}
        suite_files = sorted((folder / "suites").iterdir())
        _check_bundle(path, manifest, model, runs, suite_files)
        pool = list(_pool(path, model, runs, suite_files))
        random = np.random.default_rng(drawn_by)
        chosen = sorted(random.choice(len(pool), min(samples, len(pool)), replace=False).tolist())
        spec = _spec(on, folder, manifest)
        place = opened.enter_context(open_place(model, spec))
        differing = []
        with listener.progress(f"computing on {on}", len(chosen)) as advance:
            for at in chosen:
                if not pool[at].holds(model, place.execute):
                    differing.append(pool[at].about)
                advance(1)
        record = {
            "bundle": str(path),
            "model": manifest.model,
            "firmware": manifest.firmware,
            "files": len(manifest.files),
            "on": on,
            "seed": drawn_by,
            "samples": [pool[at].about for at in chosen],
            "differing": differing,
        }
    if differing:
        raise ThresholdError(
            f"{path}: {len(differing)} of {len(chosen)} samples are computed to other logits",
            hint="the records are not of this model and these samples",
        ).of(record)
    return record


@dataclasses.dataclass(frozen=True, eq=False)
class _Sample:
    """A sample of a record."""

    about: dict[str, Any]
    values: np.ndarray[Any, np.dtype[np.int8]]
    host: np.ndarray[Any, Any]
    device: np.ndarray[Any, Any]

    def holds(self, model: ConvertedModel, execute: Executor) -> bool:
        """Whether the logits of the record are what is computed here."""
        found = [reference.run(model.graph, self.values), execute(self.values).logits]
        last = [
            logits[:, -1] if self.values.ndim > self._plain(model) else logits for logits in found
        ]
        return all(
            np.array_equal(logits.reshape(-1), told)
            for logits, told in zip(last, (self.host, self.device), strict=True)
        )

    @staticmethod
    def _plain(model: ConvertedModel) -> int:
        return 1 + len(model.graph.input_tensor.shape)


def _pool(
    path: Path, model: ConvertedModel, runs: dict[str, Run], suite_files: Sequence[Path]
) -> Iterator[_Sample]:
    """All samples of all records.

    Raises:
        DataError: a record's samples are not those of its file, or it holds no logits.
    """
    suites: dict[str, dict[str, Suite]] = {}
    for file in suite_files:
        suites[_sha256(file)] = {suite.name: suite for suite in load_suites(file)}
    output = model.graph.output_tensor.quantization
    for name, run in runs.items():
        arrays = {each.suite: each for each in run.arrays}
        for told in run.suites:
            suite = suites.get(told.file.sha256 if told.file else "", {}).get(told.name)
            kept = arrays.get(told.name)
            if suite is None or kept is None:
                raise DataError(f"{path}: {name}: suite '{told.name}': its samples or logits lack")
            suite = suite.first(told.samples)
            if not np.array_equal(kept.labels.value, suite.labels):
                raise DataError(f"{path}: {name}: suite '{told.name}': labels are not the file's")
            _check_figures(f"{path}: {name}: suite '{told.name}'", told, kept, output)
            values = quantized_samples(model, suite)
            for at in range(told.samples):
                yield _Sample(
                    {"run": name, "suite": told.name, "sample": at},
                    values[at : at + 1],
                    kept.host_logits.value[at],
                    kept.device_logits.value[at],
                )


def _check_figures(where: str, told: SuiteRecord, kept: SuiteArrays, output: Quantization) -> None:
    """Refuses figures that do not follow from the logits beside them."""
    host, device = kept.host_logits.value, kept.device_logits.value
    labels = kept.labels.value
    differing = int((host != device).any(axis=1).sum())
    figures = (
        ("accuracy.host", told.accuracy.host, accuracy(host, labels, output)),
        ("accuracy.device", told.accuracy.device, accuracy(device, labels, output)),
        ("mismatched_samples", told.mismatched_samples, differing),
    )
    for key, said, follows in figures:
        if said != follows:
            raise DataError(f"{where}: {key} is {said}, from its logits follows {follows}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _extract(path: Path, folder: Path) -> _Manifest:
    """Unpacks a bundle; what the manifest does not name, or has another hash, is refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            if len(infos) != len(archive.infolist()) or len(infos) > _MOST_FILES:
                raise DataError(
                    f"{path}: files of the same name, or more than {_MOST_FILES}", _HINT
                )
            if sum(info.file_size for info in infos.values()) > _LARGEST:
                raise DataError(f"{path}: unpacks to more than {_LARGEST:,} bytes", _HINT)
            if _MANIFEST not in infos:
                raise DataError(f"{path}: no bundle: lacks {_MANIFEST}", _HINT)
            content = {name: archive.read(info) for name, info in infos.items()}
    except (
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(f"{path}: no bundle, or damaged: {error}", _HINT) from error
    manifest = as_model(
        parsed_record(content.pop(_MANIFEST), f"{path}, {_MANIFEST}", _HINT),
        f"{path}, {_MANIFEST}",
        _Manifest,
        _HINT,
    )
    named = {file.name: file.sha256 for file in manifest.files}
    if set(named) != set(content):
        odd = sorted(set(named) ^ set(content))[0]
        raise DataError(f"{path}: {odd!r:.80} is only in the file, or only in {_MANIFEST}", _HINT)
    for name, data in content.items():
        if hashlib.sha256(data).hexdigest() != named[name]:
            raise DataError(f"{path}: {name!r:.80} is not what {_MANIFEST} tells of", _HINT)
        parts = PurePosixPath(name).parts
        if len(parts) != 2 or parts[0] not in _FOLDERS or ".." in parts or "\\" in name:
            raise DataError(f"{path}: {name!r:.80} is no file of a bundle", _HINT)
    for kind in _FOLDERS:
        (folder / kind).mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return manifest


_FOLDERS = ("model", "suites", "records", "firmware")


def _check_bundle(
    path: Path,
    manifest: _Manifest,
    model: ConvertedModel,
    runs: dict[str, Run],
    suite_files: Sequence[Path],
) -> None:
    """Refuses what does not belong together.

    Raises:
        DataError: says what.
    """
    if manifest.model != model.graph.hash:
        raise DataError(f"{path}: the model is not the one that {_MANIFEST} tells of")
    try:
        _check_records(
            model,
            [(path.with_name(f"{path.name}, {name}"), run) for name, run in runs.items()],
            suite_files,
            manifest.firmware,
        )
    except UsageError as error:
        raise DataError(str(error)) from error
    if not runs:
        raise DataError(f"{path}: holds no record of a run")


def _spec(on: VerifierName, folder: Path, manifest: _Manifest) -> PlaceSpec:
    """The place where samples are computed.

    Raises:
        UsageError: the bundle's firmware is wanted, and there is none.
        DataError: it is not the one that the bundle tells of.
    """
    if on != "emulator":
        return PlaceSpec(on)
    build = read_build(folder / "firmware")
    if build is None:
        raise UsageError("--on emulator: the bundle holds no firmware", hint="--on numpy or twin")
    if build.hash != manifest.firmware:
        raise DataError(f"{build.elf.name}: not the firmware that {_MANIFEST} tells of")
    if build.board not in board_names():
        raise DataError(f"{build.elf.name}: is for a board that is not known: {build.board!r:.80}")
    board = load_board(build.board)
    image = folder / "firmware" / _FIRMWARE_FILES[2]
    footprint = read_footprint(build.elf)
    firmware = Firmware(build.elf, image, board, build.compiler, build.hash, footprint)
    return PlaceSpec(on, board, firmware=firmware)
