"""Which share of a named set of public int8 models is imported, and gives TFLite-Micro's bytes.

The set is ``public_models.json``: repository, commit, path and SHA-256 of each file. The files are
their owners', and not part of this project: the folders hold copies, of whatever name, found by
their hash. Other ``.tflite`` files that lie there are measured too.

With ``--samples``, TFLite-Micro computes each file on random samples, in a process of its own,
which it may end; models with states on sequences of 200 frames. Every place of ``--on`` has to give
the same bytes. A line a result goes to ``--results``, and is not measured again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyedge.boards import load_board
from tinyedge.errors import DoesNotFitError, TinyEdgeError
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.exporters.tflite import export_tflite
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.importers import import_model
from tinyedge.places import PlaceSpec, open_place
from tinyedge.tflm.interpreter import Interpreter

LIST = Path(__file__).with_name("public_models.json")
PLACES = ("numpy", "twin", "tflite-micro", "emulator")
_BOARDS = ("netduinoplus2", "mps2-an386", "mps2-an500")
"""Tried in this order: the first one with room for a model runs it."""
_FRAMES = 200
_SAMPLES_A_SEQUENCE = 25
_TIMEOUT_S = 1200

Int8 = NDArray[np.int8]


def copies(folders: list[Path]) -> dict[str, Path]:
    """The files of folders, by their SHA-256."""
    files = [path for folder in folders for path in sorted(folder.rglob("*.tflite"))]
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in files if path.is_file()}


def named(found: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """The models of the list, and then the other files."""
    listed = json.loads(LIST.read_text())
    yield from listed
    known = {model["sha256"] for model in listed}
    for digest, path in found.items():
        if digest not in known:
            yield {"repository": "", "path": path.name, "sha256": digest}


def inputs_of(graph: Graph, samples: int) -> Int8:
    """Random samples, the extremes among them; of a model with states sequences."""
    rng = np.random.default_rng(0)
    axes: tuple[int, ...] = (samples,)
    if graph.states:
        axes = (max(samples // _SAMPLES_A_SEQUENCE, 1), _FRAMES)
    inputs: Int8 = rng.integers(-128, 128, (*axes, *graph.input_tensor.shape)).astype(np.int8)
    if len(inputs) > 2:
        inputs[0], inputs[1] = -128, 127
    return inputs


def interpreted(graph: Graph, content: bytes, inputs: Int8) -> Int8 | str:
    """Gives TFLite-Micro's output, computed in a process of its own; a text where it gives none."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        child = os.fork()
        if not child:
            code = 4
            with contextlib.suppress(BaseException):
                signal.alarm(_TIMEOUT_S)
                try:
                    np.save(file.name, Interpreter(content).run_graph(graph, inputs))
                    code = 0
                except TinyEdgeError:
                    code = 2
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            return "TFLite-Micro refuses it" if code == 2 else "no verdict: TFLite-Micro ended"
        loaded: Int8 = np.load(file.name)
        return loaded


def computed(place: str, model: ConvertedModel, inputs: Int8) -> Int8 | str:
    """Gives a place's output; a text where it cannot compute."""
    if place == "numpy":
        return reference.run(model.graph, inputs)
    if place == "tflite-micro":
        return interpreted(model.graph, export_tflite(model.graph), inputs)
    if place == "twin":
        with open_place(model, PlaceSpec("twin")) as opened:
            return opened.execute(inputs).logits
    for name in _BOARDS:
        with contextlib.suppress(DoesNotFitError):
            spec = PlaceSpec("emulator", load_board(name), timeout_s=_TIMEOUT_S)
            with open_place(model, spec) as opened:
                return opened.execute(inputs).logits
    return f"no room on {', '.join(_BOARDS)}"


def measured(
    path: Path, places: list[str], samples: int, emulated: int
) -> Iterator[dict[str, Any]]:
    """Gives the outcome of a model's import, and then of each place."""
    begun = time.monotonic()
    try:
        graph = import_model(path).graph
    except TinyEdgeError as error:
        yield {"place": "import", "told": str(error).removeprefix(f"{path}: ")}
        return
    yield {"place": "import", "told": "imported", "seconds": round(time.monotonic() - begun, 1)}
    if not places:
        return
    inputs = inputs_of(graph, samples)
    expected = interpreted(graph, path.read_bytes(), inputs)
    with tempfile.TemporaryDirectory() as folder:
        converted = write_converted(graph, Path(folder) / "model", "measure_imports")
        for place in places:
            begun = time.monotonic()
            count = len(inputs)
            if place == "emulator":
                count = min(count, 1 if graph.states else emulated)
            try:
                found = computed(place, converted, inputs[:count])
            except TinyEdgeError as error:
                found = f"{type(error).__name__}: {error}"
                print(f"{place}: {found}", flush=True)
                continue  # to be tried again
            result: dict[str, Any] = {"place": place, "samples": count}
            if isinstance(expected, str) or isinstance(found, str):
                told = expected if isinstance(expected, str) else found
                result["told"] = str(told)
            else:
                differing = int((found != expected[:count]).sum())
                result |= {"told": f"{differing} of {found.size} bytes differ"}
                result |= {"differing": differing, "bytes": int(found.size)}
            yield result | {"seconds": round(time.monotonic() - begun, 1)}


def main() -> None:
    """Prints a line a model and place, and the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="copies of the models")
    parser.add_argument(
        "--samples", type=int, default=0, help="compared with TFLite-Micro on so many; 0 for none"
    )
    parser.add_argument("--on", default="numpy", help=f"of {','.join(PLACES)}")
    parser.add_argument("--emulated", type=int, default=5, help="samples of them on the emulator")
    parser.add_argument("--results", type=Path, help="file of results, which is gone on with")
    arguments = parser.parse_args()
    places = [each for each in PLACES if each in arguments.on.split(",")]
    places = places if arguments.samples else []
    done: dict[tuple[str, str], dict[str, Any]] = {}
    if arguments.results and arguments.results.exists():
        for line in arguments.results.read_text().splitlines():
            result = json.loads(line)
            done[result["sha256"], result["place"]] = result
    found = copies(arguments.folders)
    models = list(named(found))
    for number, model in enumerate(models, 1):
        digest, path = model["sha256"], found.get(model["sha256"])
        name = f"{model['repository']} {model['path']}".strip()
        missing = [each for each in places if (digest, each) not in done]
        if (digest, "import") in done and (
            not missing or done[digest, "import"]["told"] != "imported"
        ):
            continue
        if path is None:
            print(f"{number}/{len(models)} {name}: no copy", flush=True)
            continue
        for result in measured(path, missing, arguments.samples, arguments.emulated):
            done[digest, result["place"]] = result
            told = f"{result['place']}: {result['told']} ({result.get('seconds', 0)} s)"
            print(f"{number}/{len(models)} {name}: {told}", flush=True)
            if arguments.results:
                with arguments.results.open("a") as file:
                    file.write(json.dumps({"sha256": digest, "path": name, **result}) + "\n")
    tried = [result for (_, place), result in done.items() if place == "import"]
    imported = [result for result in tried if result["told"] == "imported"]
    print(f"{len(imported)} of {len(tried)} imported, {len(models) - len(tried)} without a copy")
    for place in places:
        results = [result for (_, each), result in done.items() if each == place]
        compared = [result for result in results if "differing" in result]
        print(
            f"{place}: {sum(each['differing'] for each in compared)} of "
            f"{sum(each['bytes'] for each in compared):,} bytes differ in {len(compared)} models, "
            f"{len(results) - len(compared)} without a verdict"
        )


if __name__ == "__main__":
    main()
