"""Boards and emulators as executors, and a run spread over several of them."""

from __future__ import annotations

import heapq
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np

from tinyedge.errors import DataError, LinkError, TinyEdgeError
from tinyedge.evaluation.executors import Int8, Progress, Run
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.graph.reference import as_sequences, leading_axes
from tinyedge.link.client import Client
from tinyedge.link.journal import Entry, Journal
from tinyedge.link.protocol import Answer, Hello, Stats
from tinyedge.targets.target import Target

_FIRST_UNJOURNALLED = 2**29


@dataclass
class Device:
    """A board or an emulator, opened, and checked to hold the model.

    Attributes:
        client: the link.
        target: where the firmware runs.
        model: the model that has to be on it.
        hello: how the device introduced itself.
    """

    client: Client
    target: Target
    model: ConvertedModel
    hello: Hello = field(init=False)
    _next: int = field(init=False, default=_FIRST_UNJOURNALLED)

    def __post_init__(self) -> None:
        """Asks who is there; raises LinkError for another model."""
        self.hello = self.client.hello()
        if self.hello.model_hash != self.model.graph.hash:
            raise LinkError(
                f"{self.client.port}: the device holds model {self.hello.model_hash[:12]}, "
                f"not {self.model.graph.hash[:12]}",
                hint="build and flash this model first",
            )
        graph = self.model.graph
        told = self.hello.input_shape, self.hello.output_size
        if told != (graph.input_tensor.shape, graph.output_tensor.size):
            raise LinkError(
                f"{self.client.port}: HELLO says input {told[0]} and {told[1]} logits, "
                f"the model has {graph.input_tensor.shape} and {graph.output_tensor.size}",
                hint="build and flash this model again",
            )

    def answers(self, samples: Iterator[tuple[int, Int8]]) -> Iterator[tuple[int, Answer]]:
        """Computes numbered samples; see ``Client.stream``.

        Where instructions are counted one sample is sent at a time, so that no interrupt of the
        serial port falls into an inference. With states, samples are sequences, or one frame each;
        an answer holds the logits of all frames, and the ticks of one, on average.
        """
        size = self.model.graph.output_tensor.size
        if self.model.graph.states:
            for number, sample in samples:
                yield number, self._sequence(sample)
            return
        ahead = self.target.process is None
        for number, answer in self.client.stream(samples, ahead=ahead):
            if answer.logits.size != size:
                raise LinkError(f"{answer.logits.size} logits instead of {size}")
            yield number, answer

    def infer(self, sample: Int8) -> Answer:
        """Computes one sample, int8 of the model's input shape, or a sequence of frames.

        Raises:
            LinkError: the conversation fails.
        """
        return self._sequence(sample) if self.model.graph.states else self.client.infer(sample)

    def _sequence(self, sample: Int8) -> Answer:
        """Computes a sequence of frames."""
        graph = self.model.graph
        frames = as_sequences(graph, sample[np.newaxis])[0]
        answers = list(self.client.sequence(frames))
        for answer in answers:
            if answer.logits.size != graph.output_tensor.size:
                raise LinkError(
                    f"{answer.logits.size} logits instead of {graph.output_tensor.size}"
                )
        return Answer(
            zlib.crc32(sample.tobytes()),
            sum(answer.ticks for answer in answers) // len(answers),
            np.concatenate([answer.logits for answer in answers]),
        )

    def run(self, samples: Int8, progress: Progress | None = None) -> Run:
        """Computes samples, int8 (n, *input shape), without a journal.

        Raises:
            LinkError: the conversation fails.
        """
        fleet = Fleet([self], first=self._next)
        self._next += len(samples)
        return fleet(samples, progress)

    def stats(self) -> Stats:
        """The device's counters, its stack's peak among them."""
        return self.client.stats()


class Fleet:
    """Devices that share the samples of a run; each takes the next one as it has room for it.

    Where one fails, the others take its samples over.

    Args:
        devices: that hold the same model.
        journal: that answers are read from and written to.
        first: number of the first sample.

    Attributes:
        failed: errors of the devices that failed, by port.
    """

    def __init__(
        self, devices: Sequence[Device], journal: Journal | None = None, first: int = 0
    ) -> None:
        self.failed: dict[str, TinyEdgeError] = {}
        self._devices = list(devices)
        self._journal = journal
        self._first = first
        self._from_journal = 0
        self._computed = {device.client.port: 0 for device in devices}

    def __call__(self, samples: Int8, progress: Progress | None = None) -> Run:
        """Computes samples, int8 (n, *input shape); the numbers go on from call to call.

        Raises:
            LinkError: the last device has failed.
            DataError: the journal holds answers to other samples.
        """
        samples = np.ascontiguousarray(samples)
        first, self._first = self._first, self._first + len(samples)
        entries = self._known(samples, first)
        self._from_journal += len(entries)
        if progress and entries:
            progress(len(entries))
        missing = [first + at for at in range(len(samples)) if first + at not in entries]
        for number, entry in self._compute(samples, first, missing):
            if self._journal:
                self._journal.record(number, entry)
            entries[number] = entry
            if progress:
                progress(1)
        result = [entries[first + at] for at in range(len(samples))]
        return self._result(result, leading_axes(self._devices[0].model.graph, samples))

    def record(self) -> dict[str, Any]:
        """Gives a report's record of the links."""
        return {
            "from_journal": self._from_journal,
            "devices": [
                {
                    "port": device.client.port,
                    "boot_id": device.hello.boot_id,
                    "computed": self._computed[device.client.port],
                    "failure": str(self.failed.get(device.client.port, "")) or None,
                    **asdict(device.client.statistics),
                }
                for device in self._devices
            ],
        }

    def restarts(self) -> list[str]:
        """Says of each device how often it had to begin a sequence again, if it had to."""
        return [
            f"{device.client.port} lost its place in a sequence {count} times, by a reset or "
            "another host: it was begun again with its first frame"
            for device in self._devices
            if (count := device.client.statistics.restarts)
        ]

    def stack_peak(self) -> int:
        """The most bytes of stack that any device has used."""
        able = [device for device in self._devices if device.client.port not in self.failed]
        return max(device.stats().stack_peak for device in able)

    def _known(self, samples: Int8, first: int) -> dict[int, Entry]:
        if not self._journal:
            return {}
        numbers = range(first, first + len(samples))
        known = {n: self._journal.entries[n] for n in numbers if n in self._journal.entries}
        graph = self._devices[0].model.graph
        size = graph.output_tensor.size * (samples[0].size // graph.input_tensor.size)
        for number, entry in known.items():
            if entry.input_crc != zlib.crc32(samples[number - first].tobytes()):
                raise DataError(f"{self._journal.path}: answers other samples than these")
            if entry.logits.size != size:
                raise DataError(
                    f"{self._journal.path}: {entry.logits.size} logits of sample {number}, the "
                    f"model gives {size}",
                    hint="begin anew with --discard",
                )
        return known

    def _compute(
        self, samples: Int8, first: int, missing: list[int]
    ) -> Iterator[tuple[int, Entry]]:
        """Gives numbers and answers as they come, until all have come."""
        heapq.heapify(missing)
        while missing:
            able = [each for each in self._devices if each.client.port not in self.failed]
            work = _Work(samples, first, missing)
            for device, number, answer in work.shared_by(able):
                self._computed[device.client.port] += 1
                yield number, _entry(device, answer)
            self.failed |= work.failed
            if missing and len(self.failed) == len(self._devices):
                raise next(iter(work.failed.values()))

    def _result(self, entries: list[Entry], axes: tuple[int, ...]) -> Run:
        shape = self._devices[0].model.graph.output_tensor.shape
        logits = np.stack([entry.logits for entry in entries]).reshape(*axes, *shape)
        ticks = np.array([entry.ticks for entry in entries], dtype=np.int64)
        target = self._devices[0].target
        if not ticks.any():
            return Run(logits)
        if target.ticks_per_instruction:
            counted = np.rint(ticks / target.ticks_per_instruction).astype(np.int64)
            return Run(logits, instructions=counted)
        if target.process and not target.keeps_time:
            return Run(logits)
        frequencies = np.array([entry.tick_hz for entry in entries])
        if not frequencies.all():  # the counter of a device among them tells nothing
            return Run(logits)
        return Run(logits, seconds=ticks / frequencies)


class _Work:
    """Missing samples, handed out to devices.

    Args:
        samples: int8 (n, *input shape).
        first: number of the first.
        missing: a heap of numbers; what is handed out leaves it, what a device fails to answer
            comes back.

    Attributes:
        failed: errors by port.
    """

    def __init__(self, samples: Int8, first: int, missing: list[int]) -> None:
        self.failed: dict[str, TinyEdgeError] = {}
        self._samples = samples
        self._first = first
        self._missing = missing
        self._lock = threading.Lock()
        self._stopped = False

    def shared_by(self, devices: list[Device]) -> Iterator[tuple[Device, int, Answer]]:
        """Gives answers as they come, until nothing is missing that a device is able to answer."""
        if len(devices) == 1:
            yield from self._answers(devices[0])
            return
        arrived: SimpleQueue[tuple[Device, int, Answer] | None] = SimpleQueue()

        def work(device: Device) -> None:
            try:
                for answer in self._answers(device):
                    arrived.put(answer)
            finally:
                arrived.put(None)

        with ThreadPoolExecutor(len(devices)) as pool:
            running = [pool.submit(work, device) for device in devices]
            try:
                ended = 0
                while ended < len(devices):
                    if (answer := arrived.get()) is None:
                        ended += 1
                    else:
                        yield answer
            finally:
                self._stopped = True
            for each in running:
                each.result()

    def _answers(self, device: Device) -> Iterator[tuple[Device, int, Answer]]:
        taken: set[int] = set()

        def samples() -> Iterator[tuple[int, Int8]]:
            while not self._stopped:
                with self._lock:
                    if not self._missing:
                        return
                    number = heapq.heappop(self._missing)
                taken.add(number)
                yield number, self._samples[number - self._first]

        try:
            for number, answer in device.answers(samples()):
                taken.remove(number)
                yield device, number, answer
        except TinyEdgeError as error:
            with self._lock:
                for number in taken:
                    heapq.heappush(self._missing, number)
            self.failed[device.client.port] = error


def _entry(device: Device, answer: Answer) -> Entry:
    return Entry(
        input_crc=answer.input_crc,
        ticks=answer.ticks,
        tick_hz=device.hello.tick_hz,
        logits=answer.logits,
        device=device.client.port,
    )
