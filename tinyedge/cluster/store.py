"""Finished chunks on disk, under names that their content determines."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tinyedge.files import cache_folder, write_atomically

_DIGEST = 32


class ChunkStore:
    """Results by the name of their chunk; a damaged one counts as missing.

    Args:
        folder: that they lie in, made with the first; by default one of this user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder("chunks")

    def get(self, name: str) -> bytes | None:
        """The result of a chunk; None where it is not there, or not whole."""
        try:
            content = self._path(name).read_bytes()
        except OSError:
            return None
        digest, result = content[:_DIGEST], content[_DIGEST:]
        return result if hashlib.sha256(result).digest() == digest else None

    def put(self, name: str, result: bytes) -> None:
        """Keeps the result of a chunk.

        Raises:
            OSError: it cannot be written.
        """
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(result).digest() + result)

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name
