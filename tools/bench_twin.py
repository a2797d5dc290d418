#!/usr/bin/env python3
"""Compares the host twin's vector kernels with the board's C code on this machine, and threads.

    python tools/bench_twin.py resnet8_int8.tflite ds_cnn_int8.tflite
    python tools/bench_twin.py resnet8_int8.tflite --square 1000

Rounds alternate, and ratios are medians over rounds, so that what else runs here disturbs all
alike. With one thread, seconds are those of this thread on a processor; with several, they are a
clock's, and tell little unless the processors are idle. With ``--square`` it is a search by so many
queries for one random sample that is compared, all of an attack's own arithmetic included, and its
answers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from tinyedge.attacks.oracle import Oracle
from tinyedge.attacks.oracle_craft import OracleCrafter
from tinyedge.attacks.pieces import Piece
from tinyedge.attacks.settings import AttackSettings
from tinyedge.evaluation.executors import Run
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.host_twin import HostTwin
from tinyedge.firmware.twin import Twin
from tinyedge.firmware.vector_twin import PATH_VARIABLE, VectorTwin
from tinyedge.graph import reference
from tinyedge.importers import import_model

_BY_THE_BOARDS_C = 12
"""Samples of a round that the board's C code takes."""


def seconds(clock: Callable[[], float], compute: Callable[[], object]) -> float:
    """Measures the time of a computation."""
    start = clock()
    compute()
    return clock() - start


def inferences(model: ConvertedModel, batch: int, rounds: int, workers: int) -> dict[str, object]:
    """Inferences a second: the board's C code, vector kernels on one thread and on several."""
    shape = model.graph.input_tensor.shape
    samples = np.random.default_rng(0).integers(-128, 128, (batch, *shape)).astype(np.int8)
    few = samples[:_BY_THE_BOARDS_C]
    board, one = Twin(model), VectorTwin(model, workers=1)
    several = VectorTwin(model, workers=workers)
    expected = reference.run(model.graph, few)
    found = [twin.run(samples)[: len(few)] for twin in (one, several)] + [board.run(few)]
    differing = sum(int((each != expected).sum()) for each in found)
    rates: list[tuple[float, float]] = []
    threads: list[float] = []
    for _ in range(rounds):
        slow = len(few) / seconds(time.thread_time, lambda: board.run(few))
        fast = batch / seconds(time.thread_time, lambda: one.run(samples))
        rates.append((slow, fast))
        alone = seconds(time.perf_counter, lambda: one.run(samples))
        threads.append(alone / seconds(time.perf_counter, lambda: several.run(samples)))
    return {
        "model": model.graph.name,
        "path": one.path,
        "board": median(slow for slow, _ in rates),
        "vector": median(fast for _, fast in rates),
        "ratio": median(fast / slow for slow, fast in rates),
        "workers": workers,
        "threads": median(threads),
        "differing": differing,
    }


def square(model: ConvertedModel, queries: int, rounds: int) -> dict[str, object]:
    """Milliseconds a query of a search that never ends early, by either."""
    graph = model.graph
    random = np.random.default_rng(0)
    sample = graph.input_tensor.quantization.dequantize(
        random.integers(-128, 128, (1, *graph.input_tensor.shape)).astype(np.int8)
    )
    clip = (float(sample.min()), float(sample.max()))
    settings = AttackSettings.at([(clip[1] - clip[0]) / 250], clip=clip, square_queries=queries)
    label = reference.run(graph, graph.input_tensor.quantization.quantize(sample)).ravel().argmax()

    def search(path: str | None) -> tuple[float, bytes]:
        os.environ[PATH_VARIABLE] = path or ""
        twin = HostTwin(model)
        oracle = Oracle(graph, lambda x, _=None: Run(twin.run(x)), clip)
        crafter = OracleCrafter(oracle, settings)
        answers: list[Piece] = []
        taken = seconds(
            time.thread_time,
            lambda: answers.append(crafter.craft("square", sample, np.array([label]))),
        )
        asked = int(answers[0].asked.sum())
        return 1e3 * taken / asked, answers[0].inputs.tobytes()

    times = []
    for _ in range(rounds):
        (slow, one), (fast, other) = search("board"), search(None)
        times.append((slow, fast, one == other))
    return {
        "model": graph.name,
        "board_ms": median(slow for slow, _, _ in times),
        "vector_ms": median(fast for _, fast, _ in times),
        "ratio": median(slow / fast for slow, fast, _ in times),
        "same_answers": all(same for _, _, same in times),
    }


def main() -> int:
    """Measures and prints; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--batch", type=int, default=256, help="samples of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--square", type=int, metavar="QUERIES", help="compare a search instead")
    arguments = parser.parse_args()
    wrong = 0
    for path in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            model = write_converted(import_model(path).graph, Path(folder), "bench_twin")
            if arguments.square:
                row = square(model, arguments.square, arguments.rounds)
                wrong += not row["same_answers"]
            else:
                row = inferences(model, arguments.batch, arguments.rounds, arguments.workers)
                wrong += row["differing"] != 0
            print(json.dumps(row), flush=True)
    return 8 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
