"""A firmware that runs the model on the user's own build of TFLite-Micro."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.errors import DoesNotFitError, ToolchainError, UsageError
from tinyedge.exporters.c.export import c_array
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.mlperf import Mlperf
from tinyedge.firmware.project import Firmware, build_project, check_memories, harness_files
from tinyedge.importers.tflite.reader import read_tflite
from tinyedge.templates import render_template
from tinyedge.toolchains.compilers import Compiler

_DOWNLOADS = Path("tensorflow/lite/micro/tools/make/downloads")
_THIRD_PARTIES = ("flatbuffers/include", "gemmlowp", "ruy")
_HEADER = Path("tensorflow/lite/micro/micro_interpreter.h")
_GCC, _GXX = "arm-none-eabi-gcc", "arm-none-eabi-g++"
_LIBRARIES = ("-lstdc++", "-lm", "-lc_nano", "-lgcc", "-lnosys")

_STACK = 8192
"""Bytes of RAM left to the stack: TFLite-Micro's kernels and its planner need more than ours."""
_STATIC = 4096
"""Bytes of RAM left to the variables of harness and library, the frame buffer not counted."""
_LEAST_ARENA = 512
"""Bytes below which the allocator itself does not fit."""

_HINT = (
    "build it in TFLite-Micro's own tree with 'make -f tensorflow/lite/micro/tools/make/Makefile "
    "TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp microlite', and name that tree with "
    "--tflm-include and gen/.../libtensorflow-microlite.a with --tflm-lib"
)


@dataclass(frozen=True)
class TflmLibrary:
    """A build of TFLite-Micro.

    Attributes:
        includes: folders of headers, those of its third parties included.
        library: ``libtensorflow-microlite.a``.
    """

    includes: tuple[Path, ...]
    library: Path

    @classmethod
    def find(cls, includes: tuple[Path, ...], library: Path) -> TflmLibrary:
        """Checks the paths; the third parties that TFLM's makefile downloads are found beside it.

        Raises:
            ToolchainError: the library or the headers are not there.
        """
        if not library.is_file():
            raise ToolchainError(f"--tflm-lib {library}: no such file", hint=_HINT)
        found = list(includes)
        for include in includes:
            parties = (include / _DOWNLOADS / party for party in _THIRD_PARTIES)
            found += [party for party in parties if party.is_dir()]
        if not any((include / _HEADER).is_file() for include in found):
            named = ", ".join(map(str, includes)) or "not given"
            raise ToolchainError(f"--tflm-include ({named}) lacks {_HEADER}", hint=_HINT)
        return cls(tuple(path.resolve() for path in found), library.resolve())


def build_tflm_firmware(
    model: ConvertedModel,
    board: Board,
    tflm: TflmLibrary,
    arena: int | None = None,
    output: Path | None = None,
    mlperf: Mlperf | None = None,
) -> Firmware:
    """Renders and compiles a firmware with the model in TFLite-Micro, for the same link.

    Args:
        model: what ``convert`` wrote; its ``model.tflite`` becomes a C array.
        board: the board.
        tflm: the user's build.
        arena: bytes of the arena; by default what the board's RAM leaves, in which the firmware
            finds the smallest by trial.
        output: folder for sources and program; ``<model>/<board>-tflm-<name>`` by default, with
            the name of the folder that the library lies in; see ``build_firmware``.
        mlperf: to speak MLPerf Tiny's command set instead of our link.

    Raises:
        DoesNotFitError: the board's flash or RAM is too small.
        ModelError: see ``Mlperf.serve``.
        ToolchainError: there is no ``arm-none-eabi-g++`` with a C library, or it fails.
    """
    if board.core == "avr":
        raise ToolchainError(
            f"TFLite-Micro is not linked for {board.name}", hint="boards with a Cortex-M"
        )
    content = model.tflite.read_bytes()
    if model.graph.states or max(len(model.graph.inputs), len(model.graph.results)) > 1:
        raise UsageError(
            "--runtime tflm with --tflm-lib goes with models of one input and one output, without "
            "states",
            hint="without --tflm-lib, TFLite-Micro's interpreter on this machine stands in",
        )
    frame = model.graph.input_tensor.size
    room = (board.ram.size - _STACK - _STATIC - frame) // 16 * 16
    if arena is None and room < _LEAST_ARENA:
        raise DoesNotFitError(
            f"the model does not fit {board.name} with TFLite-Micro: its input, harness and stack "
            f"leave {room} bytes of RAM for an arena"
        )
    check_memories(board, len(content), frame + max(arena or _LEAST_ARENA, _LEAST_ARENA))
    context = {
        "graph": model.graph,
        "hash_bytes": ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(model.graph.hash)),
        "operators": resolver_methods(model.tflite),
        "arena_size": arena // 16 * 16 if arena else room,
        "least_arena": _LEAST_ARENA,
    }
    header = model.folder / "model.h"
    harness = harness_files(board, mlperf.link if mlperf else None)
    if mlperf:
        harness = mlperf.serve(harness, model.graph)
    files = harness | {
        "model.h": header.read_text(encoding="utf-8"),
        "model.cc": render_template("tflm/model.cc.j2", context),
        "model_data.c": render_template(
            "tflm/model_data.c.j2",
            {"graph": model.graph, "size": len(content), "values": c_array(content)},
        ),
    }
    suffix = "-mlperf" if mlperf else ""
    name = f"{board.name}-tflm-{tflm.library.parent.parent.name}{suffix}"
    folder = output or model.folder / name
    return build_project(files, board, _compiler(board.core, tflm), folder)


def resolver_methods(model: Path) -> list[str]:
    """Lists the methods a ``MicroMutableOpResolver`` needs for a file: ``Conv2D``, …, sorted."""
    return sorted({_method(operator.name) for operator in read_tflite(model).operators})


def _method(builtin: str) -> str:
    if builtin == "PADV2":
        return "PadV2"
    return "".join(part.capitalize() for part in builtin.split("_")).replace("2d", "2D")


def _compiler(core: str, tflm: TflmLibrary) -> Compiler:
    """GCC for C, C++ and linking, with the library's floating-point calling convention."""
    for program in (_GCC, _GXX):
        if not shutil.which(program):
            raise ToolchainError(
                f"{program} is not installed, which links TFLite-Micro",
                hint="on Debian: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi "
                "libstdc++-arm-none-eabi-newlib",
            )
    hard = "Tag_ABI_VFP_args" in _inspect("arm-none-eabi-readelf", "-A", str(tflm.library))
    floats = ("-mfloat-abi=hard",) if hard else ()
    target = (f"-mcpu={core}", "-mthumb", *floats)
    logs = "MicroPrintf" in _inspect("arm-none-eabi-nm", "--defined-only", str(tflm.library))
    return Compiler(
        "gcc",
        (_GCC, *target, "-fno-tree-loop-distribute-patterns"),
        (
            "-nostdlib",
            "-Wl,--gc-sections",
            str(tflm.library),
            "-Wl,--start-group",
            *_LIBRARIES,
            "-Wl,--end-group",
        ),
        cxx=(
            _GXX,
            *target,
            *("-std=c++17", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics"),
            *("-DTF_LITE_STATIC_MEMORY", "-DNDEBUG"),
            *(() if logs else ("-DTF_LITE_STRIP_ERROR_STRINGS",)),
            *(flag for include in tflm.includes for flag in ("-isystem", str(include))),
        ),
        libraries=(tflm.library,),
    )


def _inspect(*command: str) -> str:
    """Gives a tool's output on the library."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{command[-1]} cannot be inspected: {error}", hint=_HINT) from error
    return result.stdout
