"""Which share of a named set of public int8 models is imported, to TFLite-Micro's bytes or not.

The set is ``public_models.json``: repository, commit, path and SHA-256 of each file. The files are
their owners', and not part of this project: FOLDER holds copies, of whatever name, found by their
hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.errors import TinyEdgeError
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers import import_model
from tinyedge.tflm.interpreter import Interpreter

LIST = Path(__file__).with_name("public_models.json")
_FRAMES = 20
_DIFFERENT, _CRASHED = 3, 4


def copies(folder: Path) -> dict[str, Path]:
    """The files of a folder, by their SHA-256."""
    files = [path for path in sorted(folder.rglob("*.tflite")) if path.is_file()]
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in files}


def differing(graph: Graph, content: bytes, samples: int) -> int:
    """Bytes that differ from TFLite-Micro's, on random samples, or sequences of frames."""
    rng = np.random.default_rng(0)
    shape = (samples, *([_FRAMES] if graph.states else []), *graph.input_tensor.shape)
    inputs = rng.integers(-128, 128, shape).astype(np.int8)
    found = Interpreter(content).run_graph(graph, inputs)
    return int((found != reference.run(graph, inputs)).sum())


def compared(graph: Graph, content: bytes, samples: int) -> str:
    """The same in a process of its own, which TFLite-Micro may end."""
    child = os.fork()
    if not child:
        try:
            os._exit(_DIFFERENT if differing(graph, content, samples) else 0)
        except TinyEdgeError:
            os._exit(2)
        finally:
            os._exit(_CRASHED)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: "same bytes", 2: "TFLite-Micro refuses it", _DIFFERENT: "other bytes"}.get(
        code, "no verdict"
    )


def measured(folder: Path, samples: int) -> Iterator[dict[str, Any]]:
    """What became of each model of the list that a folder holds."""
    found = copies(folder)
    for model in json.loads(LIST.read_text()):
        path = found.get(model["sha256"])
        if path is None:
            yield {**model, "imported": None, "told": "no copy"}
            continue
        try:
            graph = import_model(path).graph
        except TinyEdgeError as error:
            yield {**model, "imported": False, "told": str(error).removeprefix(f"{path}: ")}
            continue
        told = compared(graph, path.read_bytes(), samples) if samples else ""
        yield {**model, "imported": True, "told": told}


def main() -> None:
    """Prints a line a model, and the share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="copies of the models")
    parser.add_argument(
        "--samples", type=int, default=0, help="compared with TFLite-Micro on so many; 0 for none"
    )
    arguments = parser.parse_args()
    results = []
    for result in measured(arguments.folder, arguments.samples):
        results.append(result)
        state = {None: "missing", True: "imported", False: "refused"}[result["imported"]]
        print(f"{state:9} {result['repository']} {result['path']}: {result['told']}", flush=True)
    tried = [result for result in results if result["imported"] is not None]
    imported = [result for result in tried if result["imported"]]
    print(f"{len(imported)} of {len(tried)} imported, {len(results) - len(tried)} without a copy")
    if arguments.samples:
        same = sum(result["told"] == "same bytes" for result in imported)
        print(f"{same} of {len(imported)} give TFLite-Micro's bytes on {arguments.samples} samples")


if __name__ == "__main__":
    main()
