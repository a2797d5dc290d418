"""The installed distribution: its name on the package index, its extras, who else uses the name.

The import and the command are called ``tinyedge``. On the Python Package Index that name belongs to
another project, so the distribution has a name of its own.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from importlib import metadata

NAME = "tinyedge-mcu"
"""The distribution's name, as ``pip install`` takes it."""

_OTHER = "tinyedge"
"""The other project's."""


def install_hint(extra: str) -> str:
    """The command that installs what an extra needs and this environment lacks.

    It names the packages themselves, as the installed distribution's metadata has them. Without
    metadata (a source tree that was not installed), and where nothing is missing, it names the
    extra.

    Args:
        extra: one of the extras in ``pyproject.toml``.
    """
    try:
        missing = sorted(set(_missing(extra)))
    except metadata.PackageNotFoundError:
        missing = []
    return shlex.join([sys.executable, "-m", "pip", "install", *(missing or [f"{NAME}[{extra}]"])])


def other_distribution() -> str | None:
    """A sentence about the other project's package, where it is installed too; else None.

    Both write to the folder ``tinyedge``, so files of one replace files of the other.
    """
    try:
        version = metadata.version(_OTHER)
    except metadata.PackageNotFoundError:
        return None
    return (
        f"another project, '{_OTHER}' {version}, is installed in this environment and shares files "
        f"with '{NAME}': pip uninstall {_OTHER}, then pip install --force-reinstall {NAME}"
    )


def _missing(extra: str) -> Iterator[str]:
    """The requirements of an extra that are not met; extras that it names are followed."""
    from packaging.requirements import Requirement

    for text in metadata.requires(NAME) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            continue  # installed with the distribution itself
        if not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == NAME:
            for inner in sorted(requirement.extras):
                yield from _missing(inner)
        elif not _met(requirement.name, str(requirement.specifier)):
            yield f"{requirement.name}{requirement.specifier}"


def _met(name: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet

    try:
        return SpecifierSet(specifier).contains(metadata.version(name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False
