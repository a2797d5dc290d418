"""Seals: how a later run knows a program that this user's tinyedge compiled.

A folder may come from a stranger, with programs in it that claim to be compiled from its model.
Only a program whose seal is right is used again; all others are compiled anew.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from tinyedge.files import cache_folder

_BYTES = 32
_FOR_THIS_PROCESS = secrets.token_bytes(_BYTES)
"""The key where none can be kept: nothing is used again by a later run then."""


def seal_of(program: Path, made_from: str) -> str:
    """The seal of a program, as hexadecimal digits.

    Args:
        program: the file.
        made_from: tells its sources and its compiler.
    """
    content = hashlib.sha256(program.read_bytes()).hexdigest()
    return hmac.new(_key(), f"{made_from}\0{content}".encode(), hashlib.sha256).hexdigest()


def is_sealed(program: Path, made_from: str, seal: object) -> bool:
    """Whether a program is there, and this seal of it is right."""
    if not isinstance(seal, str) or not seal.isascii() or not program.is_file():
        return False
    return hmac.compare_digest(seal_of(program, made_from), seal)


def _key() -> bytes:
    """The secret of this user, which is made when it is first asked for."""
    path = cache_folder("seal") / "key"
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=path.parent)  # only its owner may read it
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
            Path(aside).replace(path)
        key = path.read_bytes()
    except OSError:
        return _FOR_THIS_PROCESS
    return key if len(key) == _BYTES else _FOR_THIS_PROCESS
