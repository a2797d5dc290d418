"""The same input gives the same bytes, in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.graph.random_graphs import RandomGraph

SCRIPT = """
import sys
from pathlib import Path
from tinyedge.boards import load_board
from tinyedge.cli.main import main
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.converted import load_converted, write_converted
from tinyedge.firmware.export import FORMATS, export_firmware
from tinyedge.firmware.export.arduino import export_arduino
from tinyedge.graph.graph import Graph
from tinyedge.names import OBJECTIVES

graphs = [Graph.load(Path(name)) for name in sys.argv[1:]]
for index, graph in enumerate(graphs):
    for core in ("cortex-m0", "cortex-m4"):
        options = CodeOptions(core, OBJECTIVES[index % 2])
        write_converted(graph, Path(f"{index}-{core}"), "test", ("a note",), options)
# The first came from QKeras: its folder is what the command makes of it, and of the folder again.
assert main(["convert", sys.argv[1], "-o", "command", "--json"]) == 0
assert main(["convert", "command", "-o", "again", "--json"]) == 0
model = load_converted(Path("0-cortex-m4"))
for form in FORMATS:
    export_firmware(model, load_board("netduinoplus2"), form, Path(form), "test")
export_arduino(model, Path("arduino"), archive=True)
"""
DIGITS = Path(__file__).parents[1] / "data" / "digits_ternary.npz"
SEEDS = (278, 3, 12)


def test_files_are_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    graphs = [DIGITS]
    for number in SEEDS:
        graphs.append(tmp_path / f"{number}.npz")
        RandomGraph(number).graph.save(graphs[-1])
    written = []
    for seed in ("0", "1", "12345"):
        folder = tmp_path / f"with-{seed}"
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", SCRIPT, *map(str, graphs)],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        written.append({str(path.relative_to(folder)): path.read_bytes() for path in paths})
    assert len(written[0]) > 100
    assert written[0] == written[1] == written[2]
