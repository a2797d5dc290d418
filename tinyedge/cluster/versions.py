"""Versions that are the same wherever a part of one result is computed."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import tinyedge
from tinyedge.errors import ClusterError
from tinyedge.templates import data_folder
from tinyedge.threads import matrix_library

_ATTACKERS = ("tensorflow", "adversarial-robustness-toolbox")


@functools.cache
def versions(*, attacks: bool = False) -> dict[str, str]:
    """Versions of this process.

    Args:
        attacks: whether attacks are computed: sums of floats depend on more.
    """
    found = {
        "tinyedge": f"{tinyedge.__version__} {_code()}",
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    if attacks:
        found |= {"numpy": metadata.version("numpy"), "matrix library": matrix_library()}
        found |= package_versions(_ATTACKERS)
    return found


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of some packages; ``missing`` of those that are not installed."""
    return {name: _version(name) for name in names}


def check_versions(where: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> None:
    """Refuses a worker that would compute something else.

    Args:
        where: the worker, in words.
        ours: versions of the program that asks.
        theirs: the worker's.

    Raises:
        ClusterError: names what differs.
    """
    differing = [
        f"{key} is {theirs.get(key, 'missing')!r} there and {value!r} here"
        for key, value in ours.items()
        if theirs.get(key) != value
    ]
    if differing:
        raise ClusterError(
            f"{where} has other versions: {'; '.join(differing)}",
            hint="install the same on all machines; OPENBLAS_CORETYPE=Haswell makes processors "
            "compute alike"
            if "matrix library" in differing[0]
            else "install the same on all machines, and start the workers again",
        )


@functools.cache
def _code() -> str:
    """A digest of tinyedge's own files: a version under development has many states."""
    digest = hashlib.sha256()
    package = Path(tinyedge.__file__).parent
    for folder, pattern in ((package, "*.py"), (data_folder("firmware_templates"), "*")):
        for path in sorted(folder.rglob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
