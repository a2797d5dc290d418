"""The journal of an attack on a float model: the suites that are finished."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.attacks.settings import AttackSettings
from tinyedge.errors import DataError
from tinyedge.evaluation.suites import Suite
from tinyedge.files import json_text
from tinyedge.record_file import RecordFile, check_replaceable

_FORMAT = "tinyedge finished suites 1"


def identity(
    model_hash: str, attacked: Suite, settings: AttackSettings, others: dict[str, str | None]
) -> dict[str, str | None]:
    """Gives the facts that finished suites are bound to, by their names in messages.

    Args:
        model_hash: of the model's file.
        attacked: the samples under attack.
        settings: of the attacks.
        others: hashes of what else the attacks take, by name.
    """
    return {
        "model": model_hash,
        "samples": samples_digest(attacked),
        "settings": hashlib.sha256(json_text(dataclasses.asdict(settings)).encode()).hexdigest(),
        **others,
    }


def start_identity(start: Suite | None) -> str | None:
    """A hash of the suite that refining starts from."""
    return samples_digest(start) if start else None


class FinishedSuites(AbstractContextManager["FinishedSuites"]):
    """Suites on disk as they are finished, so that an interrupted attack keeps them.

    Every attack draws from generators of its own, so that what comes after a resumption does not
    depend on what came before it.

    Attributes:
        suites: the inputs and the settings of those that are finished, by name.
    """

    def __init__(self, records: RecordFile) -> None:
        self._records = records
        self.suites: dict[str, tuple[NDArray[np.float32], dict[str, Any]]] = {}

    @classmethod
    def create(
        cls, path: Path, bound_to: dict[str, str | None], *, discard: bool = False
    ) -> FinishedSuites:
        """A new journal.

        Args:
            path: of the file.
            bound_to: see ``identity``.
            discard: throws away a file that is there.

        Raises:
            FileError: the file that is there holds suites, and is not to be discarded; or another
                program writes to it.
        """
        if not discard:
            check_replaceable(path, "finished suites")
        return cls(RecordFile.create(path, {"format": _FORMAT, "of": bound_to}))

    @classmethod
    def resume(
        cls, path: Path, bound_to: dict[str, str | None], shape: tuple[int, ...]
    ) -> FinishedSuites:
        """The journal of an interrupted attack.

        Args:
            path: of the file.
            bound_to: see ``identity``.
            shape: of the samples under attack.

        Raises:
            DataError: it is none, is damaged, or is of another model, of other samples or settings.
            FileError: another program writes to it.
        """
        records = RecordFile.resume(path)
        try:
            found = _bound_to(records.header)
            if found is None:
                raise DataError(
                    f"{path}: no journal of finished suites", hint="begin anew with --discard"
                )
            if differing := [key for key in bound_to if found.get(key) != bound_to[key]]:
                raise DataError(
                    f"{path}: holds suites of another attack: {' and '.join(differing)} differ",
                    hint="repeat the interrupted command with --resume, or begin anew with "
                    "--discard",
                )
            journal = cls(records)
            journal.suites = dict(_suite(path, text, shape) for text in records.records)
        except DataError:
            records.close()
            raise
        return journal

    def add(self, name: str, inputs: NDArray[np.float32], settings: dict[str, Any]) -> None:
        """Keeps a finished suite."""
        encoded = base64.b64encode(inputs.astype("<f4").tobytes()).decode()
        text = json_text({"name": name, "settings": settings, "inputs": encoded})
        self._records.append([text])
        self.suites[name] = (inputs, json.loads(text)["settings"])

    def remove(self) -> None:
        """Deletes it: the attack is finished."""
        self._records.remove()

    def __exit__(self, *_: object) -> None:
        self._records.close()


def _bound_to(header: Any) -> dict[str, Any] | None:
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        return None
    found = header.get("of")
    return found if isinstance(found, dict) else None


def _suite(
    path: Path, text: str, shape: tuple[int, ...]
) -> tuple[str, tuple[NDArray[np.float32], dict[str, Any]]]:
    try:
        record = json.loads(text)
        name, settings = record["name"], record["settings"]
        if not isinstance(name, str) or not isinstance(settings, dict):
            raise TypeError("no suite")
        values = np.frombuffer(base64.b64decode(record["inputs"], validate=True), "<f4")
        inputs = values.astype(np.float32).reshape(shape)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: a finished suite is damaged ({error})", hint="begin anew with --discard"
        ) from error
    return name, (inputs, settings)


def samples_digest(suite: Suite) -> str:
    """A hash of a suite's samples and labels."""
    digest = hashlib.sha256()
    for array in (suite.inputs, suite.labels):
        digest.update(f"{array.dtype} {array.shape[0]}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
