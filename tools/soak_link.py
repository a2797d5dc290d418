#!/usr/bin/env python3
"""Runs samples on an emulated board over a line that damages what it carries.

    python tools/soak_link.py --fault-rate 1e-3 --samples 1000 --seed 0 --json

Bits flip, bytes are lost, doubled, overwritten or put in between (``tinyedge/link/proxy.py``), in
both directions, at ``--fault-rate`` a byte. Every answer's logits are compared with the numpy
reference, and the run's journal is read line by line: a sample without a line is lost, one with two
is duplicated. Ends with the link's exit code (7 where it was given up), or 8 where anything
is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge import demo
from tinyedge.boards import DEFAULT_BOARD, load_board
from tinyedge.cli.output import Output
from tinyedge.errors import TinyEdgeError
from tinyedge.evaluation.devices import Device, Fleet
from tinyedge.evaluation.session import inference_timeout_s
from tinyedge.exporters.converted import ConvertedModel, load_converted, write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.importers import import_model
from tinyedge.link.client import Client, LinkStatistics
from tinyedge.link.journal import Journal
from tinyedge.link.proxy import Faults, Proxy
from tinyedge.names import EMULATORS
from tinyedge.samples.reading import read_calibration
from tinyedge.targets import open_emulator
from tinyedge.targets.target import Target


def samples_of(model: ConvertedModel, count: int, seed: int) -> np.ndarray:
    """The demonstration's images, over and over; random values for inputs of another shape."""
    tensor = model.graph.input_tensor
    clean = demo.clean_suite().inputs
    if tensor.size == clean[0].size:
        images = clean[np.arange(count) % len(clean)].reshape(-1, *tensor.shape)
        return tensor.quantization.quantize(images)
    random = np.random.default_rng(seed)
    return random.integers(-128, 128, (count, *tensor.shape)).astype(np.int8)


def judged(journal: Path, expected: np.ndarray) -> dict[str, int]:
    """Judges the lines of a journal by the reference's logits."""
    lines = journal.read_text().splitlines()[1:] if journal.exists() else []
    records = [json.loads(line[9:]) for line in lines]
    logits = [np.frombuffer(bytes.fromhex(record["logits"]), np.int8) for record in records]
    wrong = [
        int((found != expected[record["sample"]].ravel()).sum())
        for record, found in zip(records, logits, strict=True)
    ]
    times = Counter(record["sample"] for record in records)
    return {
        "mismatched_logits": sum(wrong),
        "lost": len(expected) - len(times),
        "duplicated": sum(count - 1 for count in times.values()),
    }


def soak(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs one session; gives what is printed."""
    board = load_board(arguments.board)
    if arguments.model:
        model = load_converted(arguments.model)
    else:
        imported = import_model(demo.MODEL, read_calibration(demo.CALIBRATION))
        model = write_converted(imported.graph, folder / "demo", "soak_link", imported.notes)
    samples = samples_of(model, arguments.samples, arguments.seed)
    expected = reference.run(model.graph, samples)
    firmware = build_firmware(model, board)
    path = folder / "journal.jsonl"
    to_device = Faults(arguments.fault_rate, 2 * arguments.seed)
    to_host = Faults(arguments.fault_rate, 2 * arguments.seed + 1)
    statistics, exit_code, message, inferences = LinkStatistics(), 0, None, None
    started = time.monotonic()
    try:
        with (
            open_emulator(board, firmware.elf, arguments.emulator) as target,
            Proxy(target.port, to_device, to_host) as proxy,
            Journal(path, {"samples": len(samples)}, resume=False) as journal,
            Client(proxy.port, board.uart.baud, inference_timeout_s(model)) as client,
        ):
            statistics = client.statistics
            device = Device(client, Target("board", proxy.port), model)
            with Output().progress(f"faults at {arguments.fault_rate:g}", len(samples)) as advance:
                Fleet([device], journal)(samples, advance)
            inferences = client.stats().inferences
    except TinyEdgeError as error:
        exit_code, message = error.exit_code, str(error)
    found = judged(path, expected)
    if found["mismatched_logits"] or found["duplicated"] or (found["lost"] and not exit_code):
        exit_code = 8
    return {
        "samples": len(samples),
        "faults_injected": sum(to_device.injected.values()) + sum(to_host.injected.values()),
        **found,
        "retransmissions": statistics.retransmissions,
        "exit_code": exit_code,
        "error": message,
        "inferences": inferences,
        "damaged_frames_received": statistics.damaged,
        "faults_by_kind": {
            kind: to_device.injected[kind] + to_host.injected[kind] for kind in to_device.injected
        },
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> int:
    """Runs it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fault-rate", type=float, required=True, help="faults a byte")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, metavar="DIR", help="converted; default: the demo's")
    parser.add_argument("-b", "--board", default=DEFAULT_BOARD)
    parser.add_argument("--emulator", choices=EMULATORS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if not 0 <= arguments.fault_rate < 1 or arguments.samples < 1 or arguments.seed < 0:
        parser.error("--fault-rate from 0 to below 1, --samples from 1, --seed from 0")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        found = soak(arguments, Path(folder))
    if arguments.json:
        print(json.dumps(found))
    else:
        for key, value in found.items():
            print(f"{key:24} {value}")
    return int(found["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
