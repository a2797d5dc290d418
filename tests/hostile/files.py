"""Files that somebody made to do harm, or that were damaged: a named function for each.

A function gets a folder of its own and gives the command line that reads what it left there.
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.link.fakes import FakeDevice, answer, hello_payload, logits
from tinyedge.errors import ToolchainError
from tinyedge.exporters.converted import load_converted
from tinyedge.firmware.twin import Twin
from tinyedge.link.frames import Frame
from tinyedge.link.protocol import Message
from tinyedge.templates import data_folder
from tinyedge.toolchains.compilers import compile_shared_library, host_compiler

ESCAPE = "\x1b]0;canary\x07"
"""A title for the terminal: it must never reach one, nor a file."""
CANARY = "canary"
"""A file in the case's folder that only code of the hostile file would make."""
INPUTS, LOGITS = 16, 10
QUERIES = "queries"
"""Stands for a command: the journal of an attack is read without the attack, which loads much."""

Make = Callable[["Case"], list[str]]


@dataclass
class Case:
    """Where a hostile file is made.

    Attributes:
        folder: its own.
        model: a harmless converted model, to be copied.
        record: of a harmless run.
        model_hash: of its graph.
        opened: what lasts as long as the tests.
    """

    folder: Path
    model: Path
    record: Path
    model_hash: str
    opened: ExitStack

    def write(self, name: str, content: bytes | str) -> str:
        """A file in the folder; gives its path."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def device(self, hello: bytes | None = None, ticks: int = 0) -> str:
        """The port of a device that says this, and answers all inputs with zeros."""

        def behave(request: Frame) -> list[Frame]:
            if request.type == Message.STATS:
                return [answer(request, bytes(32))]
            return [logits(request, bytes(LOGITS), ticks)]

        fake = FakeDevice(hello or self.hello(), behave)
        return self.opened.enter_context(fake).port

    def hello(self, **changes: Any) -> bytes:
        """A device's words with the harmless model, and what is to be wrong in them."""
        shape = changes.pop("shape", (INPUTS,))
        output = changes.pop("output", LOGITS)
        return hello_payload(shape, output, model=bytes.fromhex(self.model_hash), **changes)

    def samples(self) -> str:
        """Two harmless samples."""
        path = self.folder / "samples.npy"
        np.save(path, np.zeros((2, INPUTS), np.int8))
        return str(path)

    def copy(self) -> Path:
        """A copy of the harmless model's folder."""
        return Path(shutil.copytree(self.model, self.folder / "copy"))


@dataclass(frozen=True)
class Hostile:
    """A hostile file.

    Attributes:
        kind: of file.
        make: makes it.
        canary: whether something of it must not appear.
        harmless: whether it is the harmless one of its kind, that others are compared with.
    """

    kind: str
    make: Make
    canary: bool = False
    harmless: bool = False


HOSTILE: list[Hostile] = []


def hostile(kind: str, *, canary: bool = False, harmless: bool = False) -> Callable[[Make], Make]:
    """Notes a function that makes a file of a kind."""

    def note(make: Make) -> Make:
        HOSTILE.append(Hostile(kind, make, canary, harmless))
        return make

    return note


@dataclass
class _Touch:
    """Makes a file when it is unpickled."""

    path: str = field(default=CANARY)

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, (f"open({self.path!r}, 'w').close()",))


def pickled() -> bytes:
    return pickle.dumps(_Touch())


def _npy(shape: str, data: bytes = b"", descr: str = "'|i1'", fortran: str = "False") -> bytes:
    """A ``.npy`` file whose header says anything."""
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def _zip(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# ---- journals of runs


def _journal(case: Case, *records: bytes | dict[str, Any], raw: bytes = b"") -> list[str]:
    import hashlib

    samples = np.zeros((2, INPUTS), np.int8)
    header = {
        "format": "tinyedge run 1",
        "session": 7,
        "model": case.model_hash,
        "on": "board",
        "board": "netduinoplus2",
        "samples": 2,
        "inputs": hashlib.sha256(samples.tobytes()).hexdigest(),
    }
    texts = [json.dumps(header).encode()]
    texts += [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    lines = [b"%08x %s\n" % (zlib.crc32(text), text) for text in texts]
    journal = case.write("journal", b"".join(lines) + raw)
    return [*_on_board(case, case.device()), "--journal", journal, "--resume"]


def _on_board(case: Case, port: str) -> list[str]:
    files = ["--data", case.samples(), "--logits", str(case.folder / "out.npy")]
    place = ["--on", "board", "-b", "netduinoplus2", "-p", port, "--timeout", "2"]
    return ["run", str(case.copy()), *files, *place]


def _record(**changes: Any) -> dict[str, Any]:
    crc = zlib.crc32(bytes(INPUTS))
    good = {"sample": 0, "input_crc": crc, "ticks": 5, "tick_hz": 10}
    return good | {"logits": "00" * LOGITS, "device": ESCAPE} | changes


@hostile("journal", harmless=True)
def journal_that_is_right(case: Case) -> list[str]:
    return _journal(case, _record())


@hostile("journal", canary=True)
def journal_with_a_negative_sample(case: Case) -> list[str]:
    return _journal(case, _record(sample=-1))


@hostile("journal", canary=True)
def journal_with_ticks_of_no_frequency(case: Case) -> list[str]:
    return _journal(case, _record(tick_hz=0))


@hostile("journal", canary=True)
def journal_with_a_key_that_steers_terminals(case: Case) -> list[str]:
    return _journal(case, _record() | {ESCAPE: 1})


@hostile("journal", canary=True)
def journal_with_a_value_that_steers_terminals(case: Case) -> list[str]:
    return _journal(case, _record(sample=ESCAPE))


@hostile("journal", canary=True)
def journal_with_lists_in_lists(case: Case) -> list[str]:
    return _journal(case, b"[" * 200_000)


@hostile("journal", canary=True)
def journal_with_a_line_of_800_mebibytes(case: Case) -> list[str]:
    arguments = _journal(case, _record(), raw=ESCAPE.encode())
    with (case.folder / "journal").open("ab") as file:
        file.truncate(800 * 2**20)
    return arguments


@hostile("journal", canary=True)
def journal_that_is_a_pickle(case: Case) -> list[str]:
    arguments = _journal(case)
    (case.folder / "journal").write_bytes(pickled())
    return arguments


@hostile("journal", canary=True)
def journal_of_another_run_that_steers_terminals(case: Case) -> list[str]:
    arguments = _journal(case)
    text = json.dumps({"format": "tinyedge run 1", "session": 7, "model": ESCAPE}).encode()
    (case.folder / "journal").write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    return arguments


# ---- what devices say of themselves


def _device(case: Case, ticks: int = 0, **hello: Any) -> list[str]:
    return _on_board(case, case.device(case.hello(**hello), ticks))


@hostile("hello", harmless=True)
def hello_that_is_right(case: Case) -> list[str]:
    return _device(case)


@hostile("hello")
def hello_of_a_rank_of_billions(case: Case) -> list[str]:
    return _device(case, rank=2**32 - 1)


@hostile("hello")
def hello_of_an_endless_input(case: Case) -> list[str]:
    return _device(case, shape=(2**31, 2**31, 2**31, 2**31))


@hostile("hello")
def hello_of_endless_logits(case: Case) -> list[str]:
    return _device(case, output=2**32 - 1)


@hostile("hello")
def hello_of_other_logits_than_the_models(case: Case) -> list[str]:
    return _device(case, output=9)


@hostile("hello", canary=True)
def hello_of_a_board_that_steers_terminals(case: Case) -> list[str]:
    return _device(case, board=ESCAPE.encode())


@hostile("hello", canary=True)
def hello_of_a_board_that_begins_a_line(case: Case) -> list[str]:
    return _device(case, board=b"a\n" + ESCAPE.encode())


@hostile("hello")
def hello_of_no_frequency(case: Case) -> list[str]:
    return [*_device(case, ticks=123, tick_hz=0), "--json"]


@hostile("hello")
def hello_of_ticks_beyond_64_bits(case: Case) -> list[str]:
    return _device(case, ticks=2**64 - 1)


# ---- boards


def _board(case: Case, change: Callable[[str], str]) -> list[str]:
    text = (data_folder("boards") / "netduinoplus2.toml").read_text(encoding="utf-8")
    return ["boards", "validate", case.write("netduinoplus2.toml", change(text))]


@hostile("board", harmless=True)
def board_that_is_right(case: Case) -> list[str]:
    return _board(case, str)


@hostile("board", canary=True)
def board_with_a_key_that_steers_terminals(case: Case) -> list[str]:
    return _board(case, lambda text: f'"\\u001b]0;canary\\u0007" = 1\n{text}')


@hostile("board", canary=True)
def board_whose_family_steers_terminals(case: Case) -> list[str]:
    return _board(case, lambda text: text.replace('"stm32f4"', '"\\u001b]0;canary\\u0007"'))


@hostile("board", canary=True)
def board_whose_core_steers_terminals(case: Case) -> list[str]:
    return _board(case, lambda text: text.replace('"cortex-m4"', '"\\u001b]0;canary\\u0007"'))


@hostile("board")
def board_with_lists_in_lists(case: Case) -> list[str]:
    return _board(case, lambda text: f"x = {'[' * 100_000}\n{text}")


@hostile("board")
def board_with_an_endless_number(case: Case) -> list[str]:
    return _board(case, lambda text: text.replace("168000000", "9" * 100_000))


@hostile("board")
def board_with_memory_below_zero(case: Case) -> list[str]:
    return _board(case, lambda text: text.replace("131072", "-1"))


@hostile("board")
def board_with_nan_for_a_frequency(case: Case) -> list[str]:
    return _board(case, lambda text: text.replace("168000000", "nan"))


@hostile("board", canary=True)
def board_that_is_a_pickle(case: Case) -> list[str]:
    return ["boards", "validate", case.write("board.toml", pickled())]


# ---- integer graphs


def _graph(
    case: Case,
    change: Callable[[dict[str, Any]], object],
    arrays: dict[str, Any] | None = None,
) -> list[str]:
    with np.load(case.model / "graph.npz", allow_pickle=False) as loaded:
        found = {name: loaded[name] for name in loaded.files}
    graph = json.loads(found["graph"].tobytes())
    if change != _nothing:
        graph["source"] = {"command": ESCAPE}
    change(graph)
    found["graph"] = np.frombuffer(json.dumps(graph).encode(), np.uint8)
    path = case.folder / "graph.npz"
    np.savez(path, **(found | (arrays or {})))
    return _convert(case, str(path))


def _convert(case: Case, path: str) -> list[str]:
    return ["convert", path, "-o", str(case.folder / "out")]


def _nothing(_graph: dict[str, Any]) -> None:
    pass


@hostile("graph", harmless=True)
def graph_that_is_right(case: Case) -> list[str]:
    return _graph(case, _nothing)


@hostile("graph", canary=True)
def graph_of_another_format(case: Case) -> list[str]:
    return _graph(case, lambda graph: graph.update(format=10**6))


@hostile("graph", canary=True)
def graph_with_an_operator_that_steers_terminals(case: Case) -> list[str]:
    return _graph(case, lambda graph: graph["operators"][0].update(kind=ESCAPE))


@hostile("graph", canary=True)
def graph_of_an_endless_input(case: Case) -> list[str]:
    return _graph(case, lambda graph: graph["tensors"][0].update(shape=[2**40]))


@hostile("graph", canary=True)
def graph_with_a_scale_of_nan(case: Case) -> list[str]:
    return _graph(case, lambda graph: graph["tensors"][0].update(scale=float("nan")))


@hostile("graph", canary=True)
def graph_with_other_weights(case: Case) -> list[str]:
    return _graph(case, _nothing, {"0/codes": np.zeros((3, 3, 3), np.int8)})


@hostile("graph", canary=True)
def graph_with_pickled_weights(case: Case) -> list[str]:
    arguments = _graph(case, _nothing)
    with zipfile.ZipFile(case.folder / "graph.npz", "a") as archive:
        archive.writestr("1/codes.npy", _npy("(1,)", pickled(), "'|O'"))
    return arguments


@hostile("graph", canary=True)
def graph_that_is_a_pickle(case: Case) -> list[str]:
    return _convert(case, case.write("graph.npz", pickled()))


@hostile("graph", canary=True)
def graph_that_was_cut_off(case: Case) -> list[str]:
    arguments = _graph(case, _nothing)
    path = case.folder / "graph.npz"
    path.write_bytes(path.read_bytes()[:-50])
    return arguments


# ---- records of runs


def _report(case: Case, content: bytes | str) -> list[str]:
    page = str(case.folder / "out.md")
    return ["report", case.write("run.json", content), "--markdown", page]


def _changed_record(case: Case, change: Callable[[dict[str, Any]], object]) -> list[str]:
    record = json.loads(case.record.read_text(encoding="utf-8"))
    change(record)
    return _report(case, json.dumps(record))


@hostile("record", harmless=True)
def record_that_is_right(case: Case) -> list[str]:
    return _changed_record(case, lambda _record: None)


@hostile("record", canary=True)
def record_that_is_a_pickle(case: Case) -> list[str]:
    return _report(case, pickled())


@hostile("record")
def record_with_lists_in_lists(case: Case) -> list[str]:
    return _report(case, "[" * 200_000)


@hostile("record")
def record_of_version_endless(case: Case) -> list[str]:
    return _changed_record(case, lambda record: record.update(version=10**300))


@hostile("record")
def record_whose_suites_are_a_text(case: Case) -> list[str]:
    return _changed_record(case, lambda record: record.update(suites="x"))


@hostile("record", canary=True)
def record_whose_place_steers_terminals(case: Case) -> list[str]:
    return _changed_record(case, lambda record: record.update(on=ESCAPE))


@hostile("record")
def record_with_nan_for_a_share(case: Case) -> list[str]:
    return _changed_record(case, lambda record: record["suites"][0].update(accuracy=float("nan")))


@hostile("record", canary=True)
def record_whose_suite_holds_a_script(case: Case) -> list[str]:
    name = f"<script>{ESCAPE}</script>"
    return _changed_record(case, lambda record: record["suites"][0].update(settings=name))


# ---- arrays


def _run(case: Case, path: str) -> list[str]:
    return ["run", str(case.copy()), *_on_numpy(case), "--data", path]


def _on_numpy(case: Case) -> list[str]:
    return ["--on", "numpy", "--logits", str(case.folder / "logits.npy")]


@hostile("npy", harmless=True)
def npy_that_is_right(case: Case) -> list[str]:
    return _run(case, case.write("x.npy", _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))))


def _bad_npy(case: Case, *arguments: Any) -> list[str]:
    return _run(case, case.write("x.npy", _npy(*arguments)))


@hostile("npy", canary=True)
def npy_of_pickled_objects(case: Case) -> list[str]:
    return _bad_npy(case, "(1,)", pickled(), "'|O'")


@hostile("npy", canary=True)
def npy_whose_header_calls(case: Case) -> list[str]:
    return _bad_npy(case, f"(open('{CANARY}', 'w').write('x'),)")


@hostile("npy", canary=True)
def npy_that_is_a_pickle(case: Case) -> list[str]:
    return _run(case, case.write("x.npy", pickled()))


@hostile("npy")
def npy_of_an_endless_shape(case: Case) -> list[str]:
    return _bad_npy(case, f"({2**62}, {INPUTS})", bytes(64))


@hostile("npy")
def npy_with_fewer_data_than_said(case: Case) -> list[str]:
    return _bad_npy(case, f"(1000, {INPUTS})", bytes(64))


@hostile("npy", canary=True)
def npy_whose_type_steers_terminals(case: Case) -> list[str]:
    return _bad_npy(case, "(1,)", bytes(64), f"'{ESCAPE}'")


@hostile("npy")
def npy_of_tuples_in_tuples(case: Case) -> list[str]:
    return _bad_npy(case, "(" * 9000 + ")" * 9000)


@hostile("npz", harmless=True)
def npz_that_is_right(case: Case) -> list[str]:
    return _bad_npz(case, {"x.npy": _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))})


def _bad_npz(
    case: Case, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED
) -> list[str]:
    return _run(case, case.write("x.npz", _zip(members, compression)))


@hostile("npz", canary=True)
def npz_of_pickled_objects(case: Case) -> list[str]:
    return _bad_npz(case, {"x.npy": _npy("(1,)", pickled(), "'|O'")})


@hostile("npz", canary=True)
def npz_whose_member_leads_out(case: Case) -> list[str]:
    return _bad_npz(case, {f"../{CANARY}.npy": _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))})


@hostile("npz", canary=True)
def npz_whose_member_steers_terminals(case: Case) -> list[str]:
    return _bad_npz(case, {f"{ESCAPE}.npy": _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))})


@hostile("npz")
def npz_that_is_empty(case: Case) -> list[str]:
    return _bad_npz(case, {})


@hostile("npz")
def npz_that_was_cut_off(case: Case) -> list[str]:
    whole = _zip({"x.npy": _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))})
    return _run(case, case.write("x.npz", whole[:-30]))


@hostile("npz")
def npz_whose_checksum_is_wrong(case: Case) -> list[str]:
    whole = bytearray(_zip({"x.npy": _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))}))
    whole[150] ^= 1
    return _run(case, case.write("x.npz", bytes(whole)))


@hostile("npz")
def npz_of_an_endless_shape(case: Case) -> list[str]:
    return _bad_npz(case, {"x.npy": _npy(f"({2**61}, {INPUTS})", bytes(64))})


@hostile("npz", canary=True)
def npz_that_pretends_to_hold_suites(case: Case) -> list[str]:
    members = {"suites.npy": _npy("(3,)", pickled(), "'|O'")}
    return _bad_npz(case, members)


@hostile("npz", canary=True)
def npz_with_a_text_in_place_of_the_array(case: Case) -> list[str]:
    right = _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))
    return _bad_npz(case, {"x": ESCAPE.encode(), "x.npy": right})


@hostile("npz")
def npz_with_a_method_that_nobody_knows(case: Case) -> list[str]:
    whole = _zip({"x.npy": _npy(f"(2, {INPUTS})", bytes(2 * INPUTS))})
    at = whole.index(b"PK\1\2")
    return _run(case, case.write("x.npz", whole[: at + 10] + b"\x63\0" + whole[at + 12 :]))


# ---- suites


def _suite(
    case: Case, changes: dict[str, bytes], description: bytes | dict[str, Any] | None = None
) -> list[str]:
    suite: dict[str, Any] = {"name": "clean", "settings": {}, "input_quantization": None}
    said = {"version": 1, "model": {}, "masking": None, "suites": [suite | {"classes": []}]}
    whole = description if isinstance(description, bytes) else said | (description or {})
    told = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
    members = {
        "suites.npy": _npy(f"({len(told)},)", told, "'|u1'"),
        "clean/x.npy": _npy(f"(2, {INPUTS})", bytes(8 * INPUTS), "'<f4'"),
        "clean/y.npy": _npy("(2,)", bytes(16), "'<i8'"),
    }
    path = case.write("suite.npz", _zip(members | changes))
    return ["run", str(case.copy()), "--on", "numpy", "--data", path]


@hostile("suite", harmless=True)
def suite_that_is_right(case: Case) -> list[str]:
    return _suite(case, {})


@hostile("suite", canary=True)
def suite_with_pickled_labels(case: Case) -> list[str]:
    return _suite(case, {"clean/y.npy": _npy("(2,)", pickled(), "'|O'")})


@hostile("suite", canary=True)
def suite_with_pickled_samples(case: Case) -> list[str]:
    return _suite(case, {"clean/x.npy": _npy("(2,)", pickled(), "'|O'")})


@hostile("suite", canary=True)
def suite_that_is_a_pickle(case: Case) -> list[str]:
    path = case.write("suite.npz", pickled())
    return ["run", str(case.copy()), "--on", "numpy", "--data", path]


@hostile("suite", canary=True)
def suite_whose_description_is_a_pickle(case: Case) -> list[str]:
    return _suite(case, {}, pickled())


@hostile("suite")
def suite_of_an_endless_shape(case: Case) -> list[str]:
    return _suite(case, {"clean/x.npy": _npy(f"({2**61}, {INPUTS})", bytes(64), "'<f4'")})


@hostile("suite")
def suite_with_more_samples_than_data(case: Case) -> list[str]:
    return _suite(case, {"clean/x.npy": _npy(f"(999, {INPUTS})", bytes(64), "'<f4'")})


@hostile("suite")
def suite_of_another_shape(case: Case) -> list[str]:
    return _suite(case, {"clean/x.npy": _npy("(2, 5)", bytes(40), "'<f4'")})


@hostile("suite")
def suite_of_a_version_to_come(case: Case) -> list[str]:
    return _suite(case, {}, {"version": 10**9})


@hostile("suite")
def suite_whose_description_is_a_list(case: Case) -> list[str]:
    return _suite(case, {}, b"[]")


@hostile("suite", canary=True)
def suite_whose_judgement_steers_terminals(case: Case) -> list[str]:
    return _suite(case, {}, {"masking": {"believable": False, "findings": [ESCAPE]}})


# ---- .tflite files


def _tflite(case: Case, change: Callable[[bytes], bytes]) -> list[str]:
    whole = (case.model / "model.tflite").read_bytes()
    return _convert(case, case.write("m.tflite", change(whole)))


@hostile("tflite", harmless=True)
def tflite_that_is_right(case: Case) -> list[str]:
    return _tflite(case, bytes)


@hostile("tflite", canary=True)
def tflite_that_is_a_pickle(case: Case) -> list[str]:
    return _tflite(case, lambda _whole: pickled())


@hostile("tflite")
def tflite_of_nothing(case: Case) -> list[str]:
    return _tflite(case, lambda _whole: b"")


@hostile("tflite")
def tflite_that_was_cut_in_half(case: Case) -> list[str]:
    return _tflite(case, lambda whole: whole[: len(whole) // 2])


@hostile("tflite")
def tflite_that_was_cut_at_the_end(case: Case) -> list[str]:
    return _tflite(case, lambda whole: whole[:-8])


@hostile("tflite")
def tflite_whose_root_is_far_away(case: Case) -> list[str]:
    return _tflite(case, lambda whole: b"\xff\xff\xff\x7f" + whole[4:])


@hostile("tflite")
def tflite_of_zeros_behind_its_name(case: Case) -> list[str]:
    return _tflite(case, lambda whole: whole[:8] + bytes(2**16))


@hostile("tflite")
def tflite_of_ones_behind_its_name(case: Case) -> list[str]:
    return _tflite(case, lambda whole: whole[:8] + b"\xff" * 2**16)


@hostile("tflite")
def tflite_that_points_at_itself(case: Case) -> list[str]:
    return _tflite(case, lambda _whole: struct.pack("<I4s", 8, b"TFL3") + b"\4\0\0\0" * 4096)


@hostile("tflite", canary=True)
def tflite_whose_name_steers_terminals(case: Case) -> list[str]:
    return _tflite(case, lambda whole: ESCAPE.encode() + whole)


# ---- converted folders


def _folder(case: Case, change: Callable[[Path], object]) -> list[str]:
    folder = case.copy()
    change(folder)
    return ["run", str(folder), *_on_numpy(case), "--data", case.samples()]


def _manifest(case: Case, content: bytes | str | dict[str, Any]) -> list[str]:
    def change(folder: Path) -> None:
        path = folder / "model.json"
        if isinstance(content, dict):
            text = json.dumps(json.loads(path.read_text(encoding="utf-8")) | content)
        else:
            text = content if isinstance(content, str) else content.decode("latin-1")
        path.write_text(text, encoding="latin-1")

    return _folder(case, change)


@hostile("folder", harmless=True)
def folder_that_is_right(case: Case) -> list[str]:
    return _folder(case, lambda _folder: None)


@hostile("folder", canary=True)
def folder_whose_manifest_is_a_pickle(case: Case) -> list[str]:
    return _manifest(case, pickled())


@hostile("folder")
def folder_whose_manifest_is_nothing(case: Case) -> list[str]:
    return _manifest(case, "")


@hostile("folder", canary=True)
def folder_whose_graph_is_a_pickle(case: Case) -> list[str]:
    return _folder(case, lambda folder: (folder / "graph.npz").write_bytes(pickled()))


@hostile("folder")
def folder_whose_graph_is_nothing(case: Case) -> list[str]:
    return _folder(case, lambda folder: (folder / "graph.npz").write_bytes(b""))


@hostile("folder")
def folder_without_a_graph(case: Case) -> list[str]:
    return _folder(case, lambda folder: (folder / "graph.npz").unlink())


@hostile("folder", canary=True)
def folder_whose_graph_holds_a_text(case: Case) -> list[str]:
    def change(folder: Path) -> None:
        with zipfile.ZipFile(folder / "graph.npz", "a") as archive:
            archive.writestr("0/weights", ESCAPE)

    return _folder(case, change)


@hostile("folder", canary=True)
def folder_with_code_in_python(case: Case) -> list[str]:
    code = f"open({CANARY!r}, 'w').close()"
    return _folder(case, lambda folder: (folder / "sitecustomize.py").write_text(code))


def _planted_c() -> str:
    plant = f'{{ FILE *file = fopen("{CANARY}", "w"); if (file) fclose(file); }}'
    return f"#include <stdio.h>\n__attribute__((constructor)) static void plant(void) {plant}\n"


def _on_twin(case: Case, folder: Path) -> list[str]:
    outputs = str(case.folder / "logits.npy")
    return ["run", str(folder), "--on", "twin", "--data", case.samples(), "--logits", outputs]


@hostile("folder", canary=True)
def folder_whose_c_was_planted(case: Case) -> list[str]:
    folder = case.copy()
    with (folder / "model.c").open("a", encoding="utf-8") as file:
        file.write(_planted_c())
    return _on_twin(case, folder)


@hostile("folder", canary=True)
def folder_whose_twin_was_planted(case: Case) -> list[str]:
    """Under the name of the right one; without a compiler here, there is no right one."""
    folder = case.copy()
    with suppress(ToolchainError):
        Twin(load_converted(folder))
        source = case.write("planted.c", _planted_c())
        (library,) = [path for path in (folder / "twin").iterdir() if path.suffix != ".seal"]
        compile_shared_library(host_compiler(), [Path(source)], library, [])
    return _on_twin(case, folder)


@hostile("folder", canary=True)
def folder_whose_sources_lie_outside(case: Case) -> list[str]:
    case.write("secret.c", ESCAPE)
    folder = case.copy()
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    for name in ("../../secret.c", str(case.folder / "secret.c")):
        manifest["runtime_sources"].append(name)
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    return ["export", str(folder), "--format", "arduino", "-o", str(case.folder / "out")]


# ---- journals of attacks


def _queries(case: Case, *records: str, raw: bytes = b"", model: str = "") -> list[str]:
    header = {"format": "tinyedge queries 1", "model": model or case.model_hash}
    texts = [json.dumps(header).encode(), *(record.encode() for record in records)]
    lines = [b"%08x %s\n" % (zlib.crc32(text), text) for text in texts]
    journal = case.write("journal", b"".join(lines) + raw)
    return [QUERIES, journal, case.model_hash, str(LOGITS)]


_ANSWER = f"{'0' * 32} {'00' * LOGITS}"


@hostile("queries", harmless=True)
def queries_that_are_right(case: Case) -> list[str]:
    return _queries(case, _ANSWER)


@hostile("queries", canary=True)
def queries_that_are_a_pickle(case: Case) -> list[str]:
    arguments = _queries(case)
    (case.folder / "journal").write_bytes(pickled())
    return arguments


@hostile("queries", canary=True)
def queries_whose_answer_steers_terminals(case: Case) -> list[str]:
    return _queries(case, _ANSWER, ESCAPE)


@hostile("queries", canary=True)
def queries_of_a_model_that_steers_terminals(case: Case) -> list[str]:
    return _queries(case, model=ESCAPE)


@hostile("queries", canary=True)
def queries_with_a_line_of_800_mebibytes(case: Case) -> list[str]:
    arguments = _queries(case, _ANSWER, raw=ESCAPE.encode())
    with (case.folder / "journal").open("ab") as file:
        file.truncate(800 * 2**20)
    return arguments


@hostile("queries")
def queries_with_other_logits(case: Case) -> list[str]:
    return _queries(case, f"{'0' * 32} 00")


# ---- configurations of a training


def _config(case: Case, change: Callable[[str], str | bytes]) -> list[str]:
    text = (
        '[data]\nname = "digits"\n[model]\nname = "stq"\nprecision = "ternary"\n[training]\n'
        "epochs = 1\n"
    )
    out = str(case.folder / "out")
    return ["train", case.write("config.toml", change(text)), "-o", out]


@hostile("config", canary=True)
def config_with_a_key_that_steers_terminals(case: Case) -> list[str]:
    return _config(case, lambda text: f'"\\u001b]0;canary\\u0007" = 1\n{text}')


@hostile("config", canary=True)
def config_whose_model_steers_terminals(case: Case) -> list[str]:
    return _config(case, lambda text: text.replace('"stq"', '"\\u001b]0;canary\\u0007"'))


@hostile("config", canary=True)
def config_whose_data_steer_terminals(case: Case) -> list[str]:
    return _config(case, lambda text: text.replace('"digits"', '"\\u001b]0;canary\\u0007"'))


@hostile("config", canary=True)
def config_that_is_a_pickle(case: Case) -> list[str]:
    return _config(case, lambda _text: pickled())


@hostile("config")
def config_with_lists_in_lists(case: Case) -> list[str]:
    return _config(case, lambda text: f"x = {'[' * 100_000}\n{text}")


@hostile("config")
def config_with_an_endless_number(case: Case) -> list[str]:
    return _config(case, lambda text: text.replace("epochs = 1", f"epochs = {'9' * 100_000}"))


@hostile("config")
def config_of_negative_epochs(case: Case) -> list[str]:
    return _config(case, lambda text: text.replace("epochs = 1", "epochs = -1"))


@hostile("config")
def config_of_zeros(case: Case) -> list[str]:
    return _config(case, lambda _text: bytes(2**16))


@hostile("config")
def config_that_is_a_number(case: Case) -> list[str]:
    return _config(case, lambda _text: "1")


# ---- records of builds


def _build(case: Case, content: str | bytes) -> list[str]:
    return ["report", case.write("build.json", content), "--markdown", str(case.folder / "out.md")]


def _build_record(case: Case, **changes: Any) -> list[str]:
    return _build(case, json.dumps({"version": 1, "kind": "footprint", "board": "b"} | changes))


@hostile("build", canary=True)
def build_that_is_a_pickle(case: Case) -> list[str]:
    return _build(case, pickled())


@hostile("build", canary=True)
def build_of_a_board_that_steers_terminals(case: Case) -> list[str]:
    return _build_record(case, board=ESCAPE)


@hostile("build", canary=True)
def build_of_a_kind_that_steers_terminals(case: Case) -> list[str]:
    return _build_record(case, kind=ESCAPE)


@hostile("build")
def build_of_lists_in_lists(case: Case) -> list[str]:
    return _build(case, '{"sections": ' + "[" * 200_000)


@hostile("build")
def build_of_symbols_that_are_numbers(case: Case) -> list[str]:
    return _build_record(case, symbols=[1, 2, 3])


@hostile("build", canary=True)
def build_with_a_key_that_steers_terminals(case: Case) -> list[str]:
    return _build_record(case, **{ESCAPE: 1})
