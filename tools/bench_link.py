#!/usr/bin/env python3
"""How busy the link keeps wire and board, over a line of so many bits per second.

    python -m tools.bench_link --baud 921600

Streams samples of 784 bytes to the device half of the link. First to one that is compiled for this
machine and sleeps in the place of computing, so that nothing but the link is measured: for
inferences from a tenth of a sample's transfer to four times as long. Then to the demonstration's
network on an emulated board. For each: payload per second as a share of what the wire can carry
(baud / 10 bytes), and for how much of the time the board did nothing: the time between two answers
that is not computing, on the emulated board against the same samples over a line without limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.link.native import NativeDevice, compile_native, dense_model, random_samples
from tinyedge import demo
from tinyedge.boards import DEFAULT_BOARD, load_board
from tinyedge.evaluation.devices import Device, Fleet
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.project import build_firmware
from tinyedge.graph import reference
from tinyedge.importers import import_model
from tinyedge.link.client import Client
from tinyedge.link.proxy import Proxy
from tinyedge.samples.reading import read_calibration
from tinyedge.targets import open_emulator
from tinyedge.targets.target import Target

INPUT = 784


def seconds_a_sample(
    model: ConvertedModel, port: str, baud: int | None, samples: np.ndarray
) -> tuple[float, int]:
    """Seconds a sample, and retransmissions; fails where a logit is wrong."""
    expected = reference.run(model.graph, samples)
    with Proxy(port, baud=baud) as proxy, Client(proxy.port, 0) as client:
        fleet = Fleet([Device(client, Target("board", proxy.port), model)])
        start = time.monotonic()
        logits = fleet(samples).logits
        seconds = (time.monotonic() - start) / len(samples)
        assert np.array_equal(logits, expected)
        return seconds, client.statistics.retransmissions


def row(label: str, baud: int, compute_s: float, sample_s: float, again: int) -> dict[str, Any]:
    """Formats the row of a measurement."""
    return {
        "device": label,
        "compute_ms": round(1e3 * compute_s, 2),
        "sample_ms": round(1e3 * sample_s, 2),
        "payload_share": round(INPUT / sample_s / (baud / 10), 4),
        "idle_share": round(1 - compute_s / sample_s, 4),
        "retransmissions": again,
    }


def main() -> None:
    """Runs it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baud", type=int, default=921_600)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3, help="of the emulated board")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    baud, rows = arguments.baud, []
    transfer_s = INPUT * 10 / baud
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        model = dense_model(folder / "dense", INPUT)
        program = compile_native(model, folder / "native", flags=("-O2",))
        samples = random_samples(model, arguments.samples)
        for share in (0.1, 0.5, 0.9, 1.5, 2.0, 4.0):
            compute_s = share * transfer_s
            with NativeDevice(program, round(1e6 * compute_s)) as device:
                sample_s, again = seconds_a_sample(model, device.port, baud, samples)
            rows.append(row("sleeping", baud, compute_s, sample_s, again))

        imported = import_model(demo.MODEL, read_calibration(demo.CALIBRATION))
        model = write_converted(imported.graph, folder / "demo", "bench_link", imported.notes)
        clean = model.graph.input_tensor.quantization.quantize(demo.clean_suite().inputs)
        samples = clean.reshape(-1, *model.graph.input_tensor.shape)[: arguments.samples]
        firmware = build_firmware(model, load_board(DEFAULT_BOARD))
        times: dict[int | None, list[float]] = {None: [], baud: []}
        for _ in range(arguments.repeats):
            for limit, found in times.items():
                with open_emulator(firmware.board, firmware.elf, "qemu") as target:
                    seconds, again = seconds_a_sample(model, target.port, limit, samples)
                found.append(seconds)
        free_s, paced_s = statistics.median(times[None]), statistics.median(times[baud])
        rows.append(row("emulated, demo", baud, free_s, paced_s, again))
    if arguments.json:
        print(json.dumps({"baud": baud, "samples": arguments.samples, "rows": rows}))
        return
    print(f"{arguments.samples} samples of {INPUT} bytes at {baud} baud: {1e3 * transfer_s:.2f} ms")
    for each in rows:
        print("  ".join(f"{key} {value}" for key, value in each.items()))


if __name__ == "__main__":
    main()
