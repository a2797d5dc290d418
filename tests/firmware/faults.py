"""Kernels with a fault, in a copy of the folder that firmware and twin are built from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tinyedge.exporters.converted import ConvertedModel
from tinyedge.templates import data_folder


def templates_with(
    monkeypatch: pytest.MonkeyPatch, folder: Path, kernel: str, old: str, new: str
) -> None:
    """Lets everything be built with other text in the source of a kernel."""
    copy = folder / "faulty_templates"
    if not copy.is_dir():
        shutil.copytree(data_folder("firmware_templates"), copy)
    source = copy / "runtime" / f"{kernel}.c"
    text = source.read_text()
    assert text.count(old) == 1, f"{kernel}.c has changed"
    source.write_text(text.replace(old, new))
    for module in ("project", "twin"):
        monkeypatch.setattr(f"tinyedge.firmware.{module}.data_folder", lambda _: copy)


def flip_output(
    monkeypatch: pytest.MonkeyPatch, folder: Path, kernel: str, index: int, where: str = "1"
) -> None:
    """A kernel that gives one value of its output off by 64, where a condition in C holds."""
    source = data_folder("firmware_templates") / "runtime" / f"{kernel}.c"
    found = re.search(rf"void {kernel}\(([^)]*)\)\n\{{", source.read_text())
    assert found, f"{kernel}.c has changed"
    parameters = found[1]
    names = [re.findall(r"\w+", parameter)[-1] for parameter in parameters.split(",")]
    fault = (
        f"static void right({parameters});\n\n"
        f"void {kernel}({parameters})\n"
        f"{{\n    const int faulty = {where};\n    right({', '.join(names)});\n"
        f"    output[{index}] ^= faulty ? 64 : 0;\n}}\n\n"
        f"static void right({parameters})\n{{"
    )
    templates_with(monkeypatch, folder, kernel, found[0], fault)


def first_layer_with(model: ConvertedModel, kernel: str) -> str:
    """Name of the first layer that a kernel computes."""
    layers = model.manifest["layers"]
    return next(str(layer["name"]) for layer in layers if layer["kernel"] == kernel)
