"""Where the files of data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

from tinyedge.errors import DataError


def find_file(name: str, folder: Path | None, hint: str) -> Path:
    """A file of a data set, in the folder named or in ``$TINYEDGE_DATA``.

    Raises:
        DataError: it is not there; ``hint`` says what to do.
    """
    root = folder or (Path(data) if (data := os.environ.get("TINYEDGE_DATA")) else None)
    if root is None:
        raise DataError(f"{name} was not looked for anywhere: no folder is named", hint=hint)
    path = root / name
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint=hint)
    return path
