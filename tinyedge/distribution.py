"""The installed distribution: its name on the package index, its extras, who else uses the name.

The import and the command are called ``tinyedge``. On the Python Package Index that name belongs to
another project, so the distribution has a name of its own.
"""

from __future__ import annotations

import shlex
import sys
from importlib import metadata

NAME = "tinyedge-mcu"
"""The distribution's name, as ``pip install`` takes it."""

_OTHER = "tinyedge"
"""The other project's."""


def install_hint(extra: str) -> str:
    """The command that installs what an extra needs and this environment lacks.

    Args:
        extra: one of the extras in ``pyproject.toml``.
    """
    return shlex.join([sys.executable, "-m", "pip", "install", f"{NAME}[{extra}]"])


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
