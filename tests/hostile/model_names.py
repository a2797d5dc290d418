"""Graphs whose names are commands: for build systems, for C, for terminals."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np

from tests.hostile.files import CANARY, ESCAPE, Case, hostile
from tinyedge.exporters.converted import write_converted
from tinyedge.graph.graph import GRAPH_FILE, Graph

CMAKE = f'file(TOUCH "${{CMAKE_CURRENT_LIST_DIR}}/{CANARY}")'
SHELL = f"$(touch {CANARY}) `touch {CANARY}`"


def _named(case: Case, name: str) -> list[str]:
    """A converted model of a name that may be one."""
    graph = Graph.load(case.model / GRAPH_FILE)
    folder = case.folder / "model"
    write_converted(dataclasses.replace(graph, name=name), folder, f"convert {SHELL}")
    return _export(case, str(folder))


def _export(case: Case, model: str) -> list[str]:
    out = str(case.folder / "out")
    return ["export", model, "-b", "netduinoplus2", "--format", "cmake", "-o", out]


def _planted(case: Case, name: str, tensor: str = "logits") -> list[str]:
    """A converted model whose graph has names that nobody may give."""
    folder = case.copy()
    with np.load(folder / GRAPH_FILE) as loaded:
        arrays = {key: loaded[key] for key in loaded.files}
    graph = json.loads(arrays["graph"].tobytes())
    text = json.dumps(graph | {"name": name}).replace('"logits"', json.dumps(tensor))
    arrays["graph"] = np.frombuffer(text.encode(), np.uint8)
    np.savez(folder / GRAPH_FILE, **arrays)
    return _export(case, str(folder))


@hostile("name", canary=True)
def name_that_ends_a_string_of_cmake(case: Case) -> list[str]:
    return _named(case, f'm")\\") {CMAKE} #')


@hostile("name", canary=True)
def name_that_ends_brackets_of_cmake(case: Case) -> list[str]:
    return _named(case, f"m]] ]=]) {CMAKE} #[[")


@hostile("name", canary=True)
def name_that_is_for_a_shell(case: Case) -> list[str]:
    return _named(case, f"'; {SHELL} \"; {SHELL} $ENV{{HOME}} $<1:x>")


@hostile("name", canary=True)
def name_with_a_line_of_cmake(case: Case) -> list[str]:
    return _planted(case, f"m\n{CMAKE}\n#")


@hostile("name", canary=True)
def name_with_nul(case: Case) -> list[str]:
    return _planted(case, f"m\0{CMAKE}{ESCAPE}")


@hostile("name", canary=True)
def name_that_steers_terminals(case: Case) -> list[str]:
    return _planted(case, ESCAPE)


@hostile("name", canary=True)
def name_of_a_tensor_with_a_line_of_c(case: Case) -> list[str]:
    return _planted(case, "m", f'*/\n#error "{ESCAPE}"\n/*')


@hostile("name", canary=True)
def name_of_a_tensor_with_nul(case: Case) -> list[str]:
    return _planted(case, "m", f"\0{ESCAPE}")


@hostile("name", canary=True)
def name_of_a_folder_that_is_for_cmake(case: Case) -> list[str]:
    folder = case.folder / f"m {SHELL.replace('/', '')}"
    shutil.copytree(case.model, folder)
    return _export(case, str(folder))
