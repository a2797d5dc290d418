"""Files that chunks are computed from, under names that their content determines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tinyedge.exporters.converted import CONVERTED_FILES, ConvertedModel
from tinyedge.files import folder_aside


@dataclass(frozen=True)
class Material:
    """Some files.

    Attributes:
        files: their content by name.
        name: a digest of all.
    """

    files: Mapping[str, bytes]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Names it."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        object.__setattr__(self, "name", digest.hexdigest())

    @classmethod
    def of(cls, files: Iterable[Path]) -> Material:
        """The contents of some files, under their own names."""
        return cls({path.name: path.read_bytes() for path in files})

    @classmethod
    def of_model(cls, model: ConvertedModel) -> Material:
        """A converted model's folder, without what was built in it."""
        return cls.of(model.folder / name for name in CONVERTED_FILES)

    def put_into(self, folder: Path) -> None:
        """Writes the files to a folder of this name, unless it is there."""
        target = folder / self.name
        if target.is_dir():
            return
        with folder_aside(target) as aside:
            for name, content in self.files.items():
                (aside / name).write_bytes(content)
