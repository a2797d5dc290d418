"""Models exported as C libraries, in programs of others: on this machine, in QEMU, from C++."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.commands import failure, run_json
from tests.conftest import require
from tests.exporters.options import OPTIONS
from tests.graph.random_graphs import RandomGraph
from tests.graph.streaming import streaming_graph
from tests.graph.test_inputs import with_inputs
from tests.graph.test_results import with_outputs
from tinyedge.errors import UsageError
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.c.export import c_identifiers
from tinyedge.exporters.c.library import c_string, export_library
from tinyedge.exporters.converted import ConvertedModel, write_converted
from tinyedge.firmware.export import arduino
from tinyedge.firmware.export.library import export_c_library
from tinyedge.graph import operators as ops
from tinyedge.graph import reference
from tinyedge.graph.graph import Graph
from tinyedge.graph.tensors import Quantization, Tensor
from tinyedge.names import CortexMName
from tinyedge.toolchains.compilers import arm_gcc
from tinyedge.toolchains.stack import FLAGS

pytestmark = pytest.mark.needs_tool

PROGRAM = Path(__file__).parent / "library"
DOCS = Path(__file__).parents[2] / "docs" / "embedding.md"
NAMES = ("kws", "vww")
GRAPHS = {"kws": RandomGraph(278), "vww": RandomGraph(3)}
SAMPLES = 6
STRICT = (
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wcast-align=strict",
    "-Werror",
)
C99 = ("-std=c99", *STRICT, "-Wmissing-prototypes", "-Wstrict-prototypes")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def c_rows(values: np.ndarray) -> str:
    """Nested initializers of an array."""
    if values.ndim:
        return "{" + ", ".join(map(c_rows, values)) + "}"
    return f"{float(values)!r}f" if values.dtype == np.float32 else str(values)


def vectors() -> str:
    """Samples with what the reference gives for them, and numbers with their int8, as a header."""
    lines = ["#ifndef VECTORS_H", "#define VECTORS_H", "#include <stdint.h>"]
    lines.append(f"#define SAMPLES {SAMPLES}")
    arrays: dict[str, tuple[str, np.ndarray]] = {}
    for name, graph in GRAPHS.items():
        samples = graph.inputs(SAMPLES)
        expected = reference.run(graph.graph, samples)
        arrays[f"{name}_samples"] = ("int8_t", samples.reshape(SAMPLES, -1))
        arrays[f"{name}_expected"] = ("int8_t", expected.reshape(SAMPLES, -1))
    kws = GRAPHS["kws"].graph
    scale, zero_point = (
        kws.input_tensor.quantization.scale,
        kws.input_tensor.quantization.zero_point,
    )
    halves = (np.arange(-300, 300) + 0.5) * scale
    more = [0.0, -0.0, 1e30, -1e30, *np.random.default_rng(0).normal(0, 100 * scale, 300)]
    reals = np.concatenate([halves, more]).astype(np.float32)
    assert zero_point != 0
    arrays["reals"] = ("float", reals)
    arrays["quantized"] = ("int8_t", kws.input_tensor.quantization.quantize(reals))
    codes = kws.output_tensor.quantization.dequantize(np.arange(-128, 128))
    arrays["dequantized"] = ("float", codes)
    lines.append(f"#define REALS {len(reals)}")
    for name, (ctype, values) in arrays.items():
        sizes = "".join(f"[{size}]" for size in values.shape)
        lines.append(f"static const {ctype} {name}{sizes} __attribute__((unused)) =")
        lines.append(f"    {c_rows(values)};")
    return "\n".join([*lines, "#endif", ""])


@dataclasses.dataclass(frozen=True)
class Exported:
    """Both models' folders, and the vectors beside them."""

    folder: Path

    @property
    def units(self) -> list[Path]:
        """All C files: the models', and each of the shared runtime once."""
        runtime = {path.name: path for name in NAMES for path in self.runtime(name)}
        return [*(self.folder / name / f"{name}.c" for name in NAMES), *runtime.values()]

    def runtime(self, name: str) -> list[Path]:
        return sorted((self.folder / name / "runtime").glob("*.c"))

    @property
    def includes(self) -> list[str]:
        folders = [self.folder / name / part for name in NAMES for part in ("", "runtime")]
        return [f"-I{folder}" for folder in (self.folder, PROGRAM, *folders)]


def write_models(folder: Path, options: CodeOptions) -> Exported:
    for name, graph in GRAPHS.items():
        model = write_converted(graph.graph, folder / f"{name}-model", "test", options=options)
        export_c_library(model, folder / name, name, "test")
    (folder / "vectors.h").write_text(vectors())
    return Exported(folder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return write_models(tmp_path_factory.mktemp("exported"), CodeOptions())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ConvertedModel:
    return write_converted(GRAPHS["kws"].graph, tmp_path_factory.mktemp("m") / "model", "test")


def run(*command: object, cwd: Path | None = None) -> str:
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd or Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def require_program(*names: str) -> None:
    for name in names:
        require([name] if shutil.which(name) else [], name)


def test_a_byte_that_differs_is_found(exported: Exported, tmp_path: Path) -> None:
    """By the program that the tests below run."""
    require_program("cc")
    text = (exported.folder / "vectors.h").read_text()
    parts = [PROGRAM / "main.c", PROGRAM / "check.c", *exported.units]
    for name, code in (("kws_expected", 4), ("vww_expected", 6), ("quantized", 31)):
        at = re.compile(r"-?\d+").search(text, text.index("=", text.index(f" {name}[")))
        assert at
        other = "3" if at.group() != "3" else "4"
        (tmp_path / "vectors.h").write_text(text[: at.start()] + other + text[at.end() :])
        includes = [f"-I{tmp_path}", *exported.includes]
        run("cc", *C99, "-O1", *includes, *parts, "-o", tmp_path / "program")
        assert subprocess.run([str(tmp_path / "program")], check=False).returncode == code


def test_two_models_and_two_instances_under_sanitizers(exported: Exported, tmp_path: Path) -> None:
    require_program("cc")
    parts = [PROGRAM / "main.c", PROGRAM / "check.c", *exported.units]
    run("cc", *C99, *SANITIZERS, *exported.includes, *parts, "-o", tmp_path / "program")
    run(tmp_path / "program")


def test_the_same_from_cxx(exported: Exported, tmp_path: Path) -> None:
    require_program("cc", "c++")
    for unit in exported.units:
        run("cc", *C99, "-O2", *exported.includes, "-c", unit, "-o", tmp_path / f"{unit.stem}.o")
    flags = ("-std=c++11", *STRICT, "-Wold-style-cast", "-O2")
    parts = [PROGRAM / "main.c", PROGRAM / "check.c"]
    objects = sorted(tmp_path.glob("*.o"))
    run(
        "c++",
        *flags,
        *exported.includes,
        "-x",
        "c++",
        *parts,
        "-x",
        "none",
        *objects,
        "-o",
        tmp_path / "program",
    )
    run(tmp_path / "program")


@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_threads_have_instances_of_their_own(
    sanitizer: str, exported: Exported, tmp_path: Path
) -> None:
    require_program("cc")
    flags = ("-std=gnu99", "-O1", "-g", f"-fsanitize={sanitizer}", "-pthread")
    parts = [PROGRAM / "threads.c", *exported.units]
    run("cc", *flags, *exported.includes, *parts, "-o", tmp_path / "program")
    run("setarch", "-R", tmp_path / "program")


@pytest.mark.parametrize(
    ("machine", "core", "flags"),
    [
        ("mps2-an385", "cortex-m3", ("-O2",)),
        ("mps2-an386", "cortex-m4", ("-Os", "-flto")),
        ("mps2-an500", "cortex-m7", ("-O3",)),
    ],
)
def test_on_a_bare_processor(
    machine: str, core: CortexMName, flags: tuple[str, ...], tmp_path: Path
) -> None:
    """With arm-none-eabi-gcc alone, without a C library."""
    require_program("arm-none-eabi-gcc", "qemu-system-arm")
    exported = write_models(tmp_path, CodeOptions(core, "fastest"))
    command = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-ffreestanding", *flags]
    command += ["-fno-tree-loop-distribute-patterns", "-fno-builtin", *exported.includes]
    parts = [PROGRAM / name for name in ("bare.c", "main.c", "check.c")]
    for unit in exported.units:
        run(*command, *C99, "-c", unit, "-o", tmp_path / f"{unit.stem}.o")
    objects = sorted(tmp_path.glob("*.o"))
    link = ["-nostdlib", "-T", PROGRAM / "bare.ld", "-lgcc", "-o", tmp_path / "program.elf"]
    run(*command, *C99[:1], *parts, *objects, *link)
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    qemu = ["qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none", "-serial", "none"]
    run("timeout", 60, *qemu, *semihosting, "-kernel", tmp_path / "program.elf")


@pytest.mark.parametrize(
    ("name", "machine", "core", "memory", "most"),
    [
        ("kws", "mps2-an385", "cortex-m0", "4M", 8),  # a Cortex-M3 runs its code
        ("kws", "mps2-an386", "cortex-m4", "4M", 8),
        ("vww", "mps2-an386", "cortex-m4", "4M", 64),  # the deepest path is not one it takes
        ("vww", "mps3-an547", "cortex-m55", "512K", 8),
    ],
)
def test_the_counted_stack_holds_on_a_painted_one(
    name: str, machine: str, core: CortexMName, memory: str, most: int, tmp_path: Path
) -> None:
    """An inference takes no more, and leaves at most so many bytes of it."""
    require_program("arm-none-eabi-gcc", "qemu-system-arm")
    options = CodeOptions(core, "fastest")
    model = write_converted(GRAPHS[name].graph, tmp_path / "model", "test", options=options)
    folder = tmp_path / "kws"
    export_c_library(model, folder, "kws", "test", stack=True)
    script = (PROGRAM / "bare.ld").read_text().replace("4M", memory)
    (tmp_path / "bare.ld").write_text(script)
    compiler = arm_gcc(core)
    command = [*compiler.command, "-std=c99", *FLAGS, "-ffreestanding", "-fno-builtin"]
    command += [f"-I{each}" for each in (PROGRAM, folder, folder / "runtime")]
    parts = [PROGRAM / "bare.c", PROGRAM / "stack.c", folder / "kws.c"]
    link = ["-nostdlib", "-T", tmp_path / "bare.ld", "-lgcc", "-o", tmp_path / "program.elf"]
    run(*command, *parts, *(folder / "runtime").glob("*.c"), *link)
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    qemu = ["qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none", "-serial", "none"]
    ended = subprocess.run(
        ["timeout", "60", *qemu, *semihosting, "-kernel", str(tmp_path / "program.elf")],
        check=False,
    )
    assert 1 <= ended.returncode <= 1 + most // 4


def test_streams_keep_states_of_their_own(tmp_path: Path) -> None:
    """Two instances with one arena: the reset of one leaves the other."""
    require_program("cc")
    graph = streaming_graph()
    model = write_converted(graph, tmp_path / "m", "test")
    export_c_library(model, tmp_path / "stream", "stream", "test")
    samples = np.random.default_rng(1).integers(-128, 128, (8, *graph.input_tensor.shape))
    frames = samples.astype(np.int8)
    expected = reference.run(graph, frames[np.newaxis])[0]
    rows = {"frames": frames, "expected": expected}
    text = [
        f"static const int8_t {name}[8][{array[0].size}] = {c_rows(array.reshape(8, -1))};"
        for name, array in rows.items()
    ]
    (tmp_path / "vectors.h").write_text("#include <stdint.h>\n" + "\n".join(text) + "\n")
    folder = tmp_path / "stream"
    units = [folder / "stream.c", *(folder / "runtime").glob("*.c"), PROGRAM / "streams.c"]
    includes = [f"-I{path}" for path in (tmp_path, folder, folder / "runtime")]
    run("cc", *C99, *SANITIZERS, *includes, *units, "-o", tmp_path / "program")
    run(tmp_path / "program")


def test_several_outputs_have_places_of_their_own(tmp_path: Path) -> None:
    require_program("cc")
    built = RandomGraph(5)
    graph = with_outputs(built.graph, 3)
    first, second, third = graph.results
    model = write_converted(graph, tmp_path / "m", "test")
    export_c_library(model, tmp_path / "many", "many", "test")
    samples = built.inputs(4)
    expected = reference.run(graph, samples).reshape(4, -1)
    rows = {"samples": samples.reshape(4, -1), "expected": expected}
    text = [
        f"static const int8_t {name}[4][{array[0].size}] = {c_rows(array)};"
        for name, array in rows.items()
    ]
    names = [f"output_{each}" for each in c_identifiers(t.name for t in graph.results).values()]
    at = [0, first.size, first.size + second.size]
    checks = " || ".join(
        f"memcmp(got_{name}, expected[i] + {offset}, sizeof got_{name})"
        for name, offset in zip(names, at, strict=True)
    )
    text.append(
        '#include "many.h"\nint main(void)\n{\nstatic many_arena arena;\nmany_instance model;\n'
        + "".join(f"int8_t got_{name}[MANY_{name.upper()}_SIZE];\n" for name in names)
        + f"const many_outputs out = {{{', '.join(f'got_{name}' for name in names)}}};\n"
        "if (many_init(&model, &arena, sizeof arena, NULL, 0)) { return 1; }\n"
        "for (int i = 0; i < 4; i++) {\nconst many_inputs in = {samples[i]};\n"
        f"if (many_invoke(&model, &in, &out) || {checks}) {{ return 2; }}\n"
        "if (memcmp(many_output(&model), expected[i], MANY_OUTPUT_SIZE)) { return 3; }\n}\n"
        f"return many_{names[2]}(&model) != many_output(&model) + {at[2]} || "
        f"MANY_OUTPUTS != 3 || MANY_{names[2].upper()}_SIZE != {third.size};\n}}\n"
    )
    (tmp_path / "main.c").write_text("#include <string.h>\n#include <stdint.h>\n" + "\n".join(text))
    folder = tmp_path / "many"
    units = [folder / "many.c", *(folder / "runtime").glob("*.c"), tmp_path / "main.c"]
    includes = [f"-I{path}" for path in (folder, folder / "runtime")]
    run("cc", *C99, *SANITIZERS, *includes, *units, "-o", tmp_path / "program")
    run(tmp_path / "program")


def test_several_inputs_have_places_of_their_own(tmp_path: Path) -> None:
    """One after the other, and all at once."""
    require_program("cc")
    graph = with_inputs(14)
    model = write_converted(graph, tmp_path / "m", "test")
    export_c_library(model, tmp_path / "many", "many", "test")
    rng = np.random.default_rng(0)
    samples = rng.integers(-128, 128, (4, graph.input_tensor.size)).astype(np.int8)
    expected = reference.run(graph, samples).reshape(4, -1)
    text = [
        f"static const int8_t {name}[4][{array[0].size}] = {c_rows(array)};"
        for name, array in {"samples": samples, "expected": expected}.items()
    ]
    names = [f"input_{each}" for each in c_identifiers(t.name for t in graph.inputs).values()]
    sizes = [tensor.size for tensor in graph.inputs]
    at = [0, sizes[0], sizes[0] + sizes[1]]
    given = ", ".join(f"samples[i] + {offset}" for offset in at)
    text.append(
        '#include "many.h"\nint main(void)\n{\nstatic many_arena arena;\nmany_instance model;\n'
        f"int8_t got[{expected[0].size}];\nconst many_outputs out = {{got}};\n"
        "if (many_init(&model, &arena, sizeof arena, NULL, 0)) { return 1; }\n"
        f"for (int i = 0; i < 4; i++) {{\nconst many_inputs in = {{{given}}};\n"
        "if (many_invoke(&model, &in, &out)) { return 2; }\n"
        "if (memcmp(got, expected[i], sizeof got)) { return 3; }\n"
        "memcpy(many_input(&model), samples[i], MANY_INPUT_SIZE);\n"
        "if (many_invoke(&model, NULL, &out) || memcmp(got, expected[i], sizeof got)) "
        "{ return 4; }\n}\n"
        f"return MANY_INPUTS != 3 || many_{names[2]}(&model) != many_input(&model) + {at[2]} || "
        f"MANY_{names[2].upper()}_OFFSET != {at[2]};\n}}\n"
    )
    (tmp_path / "main.c").write_text("#include <string.h>\n#include <stdint.h>\n" + "\n".join(text))
    folder = tmp_path / "many"
    units = [folder / "many.c", *(folder / "runtime").glob("*.c"), tmp_path / "main.c"]
    includes = [f"-I{path}" for path in (folder, folder / "runtime")]
    run("cc", *C99, *SANITIZERS, *includes, *units, "-o", tmp_path / "program")
    run(tmp_path / "program")


def test_each_output_is_converted_with_its_own_scale(tmp_path: Path) -> None:
    """Outputs differ in quantization; one of them is given again and again."""
    require_program("cc")
    grids = {"x": Quantization(0.5, 3), "a": Quantization(0.01, -7), "b": Quantization(2.0, 0)}
    tensors = {name: Tensor(name, (4,), grid) for name, grid in grids.items()}
    tensors["outputs"] = Tensor("outputs", (20,), grids["x"])
    graph = Graph(
        "scales",
        tensors,
        (
            ops.Requantize(name="a", inputs=("x",), output="a"),
            ops.Requantize(name="b", inputs=("a",), output="b"),
            ops.Join(name="outputs", inputs=("x", "a", "b", "x", "x"), output="outputs"),
        ),
        "x",
        "outputs",
    )
    library = export_library(graph, CodeOptions(), "scales", "00000000")
    header = library.files["scales.h"]
    for index, name in enumerate(("x", "a", "b", "x_2", "x_3")):
        grid = graph.results[index].quantization
        macro = f"#define SCALES_OUTPUT_{name.upper()}"
        assert f"{macro}_OFFSET {4 * index}u\n{macro}_SHAPE" in header
        assert f"{macro}_SIZE 4u\n" in header
        assert f"{macro}_ZERO_POINT ({grid.zero_point})\n" in header
        (scale,) = re.findall(rf"^{macro}_SCALE (.*)f$", header, re.MULTILINE)
        assert np.float32(scale) == np.float32(grid.scale)
        (converted,) = re.findall(
            rf"float scales_dequantize_output_{name}\(int8_t code\)\n{{\n(.*)\n", header
        )
        assert f"SCALES_OUTPUT_{name.upper()}_SCALE, SCALES_OUTPUT_{name.upper()}_ZERO" in converted
    for ending in ("SCALE", "ZERO_POINT", "OFFSET"):
        assert f"SCALES_OUTPUT_{ending}" not in header, "of which output?"
    templates = PROGRAM.parents[2] / "firmware_templates"
    api = (templates / "library" / "te_api.h.j2").read_text()
    (tmp_path / "te_api.h").write_text(api.replace("{{ runtime_id }}", "00000000"))
    for name, text in library.files.items():
        (tmp_path / name).write_text(text)
    folders = [f"-I{templates / part}" for part in ("runtime", "library", "harness")]
    run("cc", *C99, f"-I{tmp_path}", *folders, "-fsyntax-only", tmp_path / "scales.c")


def test_what_is_verified_is_told(exported: Exported) -> None:
    """All arrays, and none of the layers' structs, which are constants too."""
    code = (exported.folder / "kws" / "kws.c").read_text()
    read = set(re.findall(r"crc = te_crc32\w*\(crc, (?:\(.*\))?(\w+), sizeof", code))
    constants = set(
        re.findall(r"^(?:TE_WEIGHTS\(\w+\) )?static const .* (\w+)(?:\[\d+\])? =", code, re.M)
    )
    assert {name for name in constants - read if not name.endswith("_layer")} == set()
    header = (exported.folder / "kws" / "kws.h").read_text()
    for text in (header, DOCS.read_text()):
        assert re.search("reads weights, biases and tables", text, re.IGNORECASE)
        assert "all constants and compares" not in text


def test_damaged_constants_are_found(exported: Exported, tmp_path: Path) -> None:
    require_program("cc")
    text = (exported.folder / "kws" / "kws.c").read_text()
    arrays = list(re.finditer(r"static const TE_FLASH (?:u?int\d+_t|te_scale) (\w+)\[", text))
    assert len(arrays) > 3
    (tmp_path / "main.c").write_text(
        '#include "kws.h"\nint main(void) { return kws_verify() == TE_ERROR_WEIGHTS ? 0 : 1; }\n'
    )
    includes = [f"-I{exported.folder / 'kws'}", f"-I{exported.folder / 'kws' / 'runtime'}"]
    for array in arrays:
        at = re.compile(r"-?\d+").search(text, text.index("{", array.end()))
        assert at
        other = "3" if at.group() != "3" else "4"
        (tmp_path / "kws.c").write_text(text[: at.start()] + other + text[at.end() :])
        sources = [tmp_path / "main.c", tmp_path / "kws.c", *exported.runtime("kws")]
        run("cc", *includes, *sources, "-o", tmp_path / "program")
        run(tmp_path / "program")


@pytest.mark.parametrize("options", OPTIONS[::5], ids=lambda o: f"{o.core}-{o.optimize}")
def test_what_is_chosen_for_each_core_compiles_without_a_warning(
    options: CodeOptions, tmp_path: Path
) -> None:
    require_program("cc")
    exported = write_models(tmp_path, options)
    run("cc", *C99, *exported.includes, "-fsyntax-only", "-O1", *exported.units)


def test_every_file_of_the_runtime_compiles_without_a_warning() -> None:
    """Compiles files that no model uses as well, for all cores."""
    require_program("cc", "arm-none-eabi-gcc")
    templates = PROGRAM.parents[2] / "firmware_templates"
    units = sorted((templates / "runtime").glob("*.c"))
    flags = [*C99, f"-I{templates / 'runtime'}", "-O2", "-fomit-frame-pointer", "-fsyntax-only"]
    run("cc", *flags, *units)
    for cpu in ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55"):
        floats = ["-mfloat-abi=hard"] if cpu == "cortex-m55" else []
        run("arm-none-eabi-gcc", f"-mcpu={cpu}", "-mthumb", *floats, *flags, *units)


def test_a_big_endian_compiler_refuses(exported: Exported) -> None:
    require_program("cc")
    order = ["-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__"]
    unit = exported.folder / "kws" / "kws.c"
    refused = subprocess.run(
        ["cc", *order, *exported.includes, "-fsyntax-only", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "little-endian" in refused.stderr


def test_a_runtime_of_another_version_is_refused(exported: Exported, tmp_path: Path) -> None:
    require_program("cc", "cmake")
    project = tmp_path / "project"
    for name in NAMES:
        shutil.copytree(exported.folder / name, project / name)
    header = project / "vww" / "runtime" / "te_api.h"
    (runtime_id,) = re.findall(r"TE_RUNTIME_ID 0x(\w+)u", header.read_text())
    header.write_text(header.read_text().replace(runtime_id, "00000000"))
    lists = project / "vww" / "CMakeLists.txt"
    lists.write_text(lists.read_text().replace(runtime_id, "00000000"))
    unit = project / "vww" / "vww.c"
    include = [f"-I{project / 'vww'}", f"-I{project / 'vww' / 'runtime'}"]
    compiled = subprocess.run(
        ["cc", *include, "-fsyntax-only", str(unit)], capture_output=True, text=True, check=False
    )
    assert "export all models anew" in compiled.stderr
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(p LANGUAGES C)\n"
        "add_subdirectory(kws)\nadd_subdirectory(vww)\n"
    )
    configured = subprocess.run(
        ["cmake", "-S", str(project), "-B", str(tmp_path / "build")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert configured.returncode != 0
    assert "export all models" in configured.stderr


def test_cmake_builds_installs_and_finds_both(exported: Exported, tmp_path: Path) -> None:
    require_program("cmake", "cc")
    models = tmp_path / "models"
    for name in NAMES:
        shutil.copytree(exported.folder / name, models / name)
    (models / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(models LANGUAGES C)\n"
        "add_subdirectory(kws)\nadd_subdirectory(vww)\n"
    )
    run("cmake", "-S", models, "-B", tmp_path / "build", "-DCMAKE_BUILD_TYPE=Debug")
    run("cmake", "--build", tmp_path / "build")
    run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    # One runtime for both: each file once.
    objects = [path.name for path in (tmp_path / "build").rglob("te_*.o")]
    assert len(objects) == len(set(objects))
    assert set(objects) == {f"{unit.name}.o" for unit in exported.units if "runtime" in unit.parts}
    # Each installed alone, in a prefix of both, and in one.
    run("cmake", "-S", models / "kws", "-B", tmp_path / "alone")
    run("cmake", "--build", tmp_path / "alone")
    run("cmake", "--install", tmp_path / "alone", "--prefix", tmp_path / "other")
    shutil.rmtree(tmp_path / "installed" / "lib" / "kws", ignore_errors=True)
    run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    program = tmp_path / "program"
    program.mkdir()
    for path in (PROGRAM / "main.c", PROGRAM / "check.c", PROGRAM / "check.h"):
        shutil.copy(path, program)
    (program / "vectors.h").write_text((exported.folder / "vectors.h").read_text())
    (program / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(product LANGUAGES C)\n"
        "find_package(kws REQUIRED)\nfind_package(vww REQUIRED)\n"
        "add_executable(product main.c check.c)\n"
        "target_link_libraries(product PRIVATE kws::kws vww::vww)\n"
    )
    for prefix in (f"{tmp_path / 'installed'}", f"{tmp_path / 'other'};{tmp_path / 'installed'}"):
        shutil.rmtree(tmp_path / "models", ignore_errors=True)
        shutil.rmtree(tmp_path / "linked", ignore_errors=True)
        run("cmake", "-S", program, "-B", tmp_path / "linked", f"-DCMAKE_PREFIX_PATH={prefix}")
        run("cmake", "--build", tmp_path / "linked")
        run(tmp_path / "linked" / "product")


def test_cmake_builds_for_a_bare_processor(exported: Exported, tmp_path: Path) -> None:
    require_program("cmake", "arm-none-eabi-gcc", "arm-none-eabi-nm")
    run(
        "cmake",
        *("-S", exported.folder / "kws", "-B", tmp_path, "-DCMAKE_BUILD_TYPE=MinSizeRel"),
        *("-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER=arm-none-eabi-gcc"),
        "-DCMAKE_C_FLAGS=-mcpu=cortex-m4 -mthumb -ffreestanding",
        "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
    )
    run("cmake", "--build", tmp_path)
    listed = run("arm-none-eabi-nm", tmp_path / "libkws.a", tmp_path / "libtinyedge_runtime.a")
    defined = set(re.findall(r" [TtDdRrBb] (\w+)", listed))
    needed = set(re.findall(r" U (\w+)", listed)) - defined
    assert needed <= {"memcpy", "memset", "memmove"} | {name for name in needed if "aeabi" in name}


def compiles(sources: list[Path], folders: list[Path], out: Path) -> None:
    """As other tools compile: for this machine, and for one of RISC-V where zig is there."""
    flags = ["-std=gnu11", *STRICT, "-O2", *(f"-I{folder}" for folder in folders)]
    run("cc", *flags, "-fsyntax-only", *sources)
    if importlib.util.find_spec("ziglang"):
        zig = [sys.executable, "-m", "ziglang", "cc", "-target", "riscv32-freestanding"]
        known = [flag for flag in flags if flag != "-Wcast-align=strict"]
        run(*zig, *known, "-c", *sources, cwd=out)


def test_esp_idf_is_given_a_component(exported: Exported, tmp_path: Path) -> None:
    """Read as a script, as ESP-IDF does at first."""
    require_program("cmake", "cc")
    folder = exported.folder / "kws"
    (tmp_path / "scan.cmake").write_text(
        "function(idf_component_register)\n"
        '  cmake_parse_arguments(GIVEN "" "" "SRCS;INCLUDE_DIRS" ${ARGN})\n'
        f'  file(WRITE {tmp_path}/given "${{GIVEN_SRCS}}\n${{GIVEN_INCLUDE_DIRS}}")\n'
        "endfunction()\n"
        f"set(ESP_PLATFORM 1)\ninclude({folder}/CMakeLists.txt)\n"
    )
    run("cmake", "-P", tmp_path / "scan.cmake")
    sources, folders = (
        [folder / name for name in line.split(";")]
        for line in (tmp_path / "given").read_text().splitlines()
    )
    assert set(sources) == {folder / "kws.c", *exported.runtime("kws")}
    compiles(sources, folders, tmp_path)


def test_platformio_is_given_a_library(exported: Exported, tmp_path: Path) -> None:
    require_program("cc")
    folder = exported.folder / "kws"
    build = json.loads((folder / "library.json").read_text())["build"]
    patterns = [entry.removeprefix("+<").removesuffix(">") for entry in build["srcFilter"]]
    sources = sorted(path for pattern in patterns for path in folder.glob(pattern))
    assert set(sources) == {folder / "kws.c", *exported.runtime("kws")}
    compiles(sources, [folder / flag.removeprefix("-I") for flag in build["flags"]], tmp_path)


def test_tools_of_cmsis_are_given_a_pack(exported: Exported, tmp_path: Path) -> None:
    """Its elements are those that PACK.xsd demands; files and folders compile for a Cortex-M."""
    require_program("arm-none-eabi-gcc")
    folder = exported.folder / "kws"
    pack = ET.fromstring((folder / "tinyedge.kws.pdsc").read_bytes())  # noqa: S314 - our own
    assert pack.tag == "package"
    assert re.fullmatch(r"1\.7\.\d+", pack.attrib["schemaVersion"])
    assert {"vendor", "name", "description", "url", "releases"} <= {part.tag for part in pack}
    assert f"{pack.findtext('vendor')}.{pack.findtext('name')}" == "tinyedge.kws"
    assert (folder / str(pack.findtext("license"))).is_file()
    version = pack.find("releases/release")
    (component,) = pack.findall("components/component")
    assert version is not None
    assert component.attrib["Cversion"] == version.attrib["version"]
    assert len(component.attrib["Csub"]) <= 32
    named = [(file.attrib, folder / file.attrib["name"]) for file in component.iter("file")]
    assert all(path.exists() for _, path in named)
    headers = [path.parent for kind, path in named if kind["category"] == "header"]
    folders = headers + [path for kind, path in named if kind["category"] == "include"]
    sources = [path for kind, path in named if kind["category"] == "source"]
    (template,) = (path for kind, path in named if kind.get("attr") == "template")
    assert set(sources) == {folder / "kws.c", *exported.runtime("kws"), template}
    flags = ["-mcpu=cortex-m4", "-mthumb", "-std=c99", *STRICT, "-O2"]
    run(
        "arm-none-eabi-gcc",
        *flags,
        *(f"-I{each}" for each in folders),
        "-c",
        *sources,
        cwd=tmp_path,
    )


def test_a_description_of_a_pack_with_the_longest_name(
    model: ConvertedModel, tmp_path: Path
) -> None:
    name = "n" * 63
    export_c_library(model, tmp_path / "long", name, "test")
    pack = ET.fromstring((tmp_path / "long" / f"tinyedge.{name}.pdsc").read_bytes())  # noqa: S314
    (component,) = pack.findall("components/component")
    assert component.attrib["Csub"] == "n" * 32


def test_the_example_of_twenty_lines_classifies(exported: Exported, tmp_path: Path) -> None:
    require_program("cc")
    example = exported.folder / "kws" / "examples" / "classify.c"
    lines = [line for line in example.read_text().splitlines() if line.strip()]
    assert len(lines) <= 24  # two of them comments, and a declaration
    graph = GRAPHS["kws"]
    logits = reference.run(graph.graph, graph.inputs(SAMPLES)).reshape(SAMPLES, -1)
    classes = ", ".join(map(str, logits.argmax(axis=1)))
    (tmp_path / "main.c").write_text(
        '#include "vectors.h"\nint classify(const int8_t *sample);\n'
        f"int main(void)\n{{\n    static const int classes[] = {{{classes}}};\n"
        "    for (int i = 0; i < SAMPLES; i++) {\n"
        "        if (classify(kws_samples[i]) != classes[i]) {\n            return 1 + i;\n"
        "        }\n    }\n    return 0;\n}\n"
    )
    units = [exported.folder / "kws" / "kws.c", *exported.runtime("kws"), example]
    program = tmp_path / "program"
    run("cc", *C99, *SANITIZERS, *exported.includes, *units, tmp_path / "main.c", "-o", program)
    run(program)


def test_zephyr_gives_its_flags_to_both(exported: Exported, tmp_path: Path) -> None:
    require_program("cmake", "cc")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(application LANGUAGES C)\n"
        "add_library(zephyr_interface INTERFACE)\n"
        "target_compile_definitions(zephyr_interface INTERFACE KERNEL)\n"
        'file(WRITE ${CMAKE_BINARY_DIR}/app.c "")\nadd_library(app ${CMAKE_BINARY_DIR}/app.c)\n'
        f"add_subdirectory({exported.folder / 'kws'} kws)\n"
        "target_link_libraries(app PRIVATE kws)\n"
    )
    build = tmp_path / "build"
    run("cmake", "-S", tmp_path, "-B", build, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    commands = json.loads((build / "compile_commands.json").read_text())
    assert len(commands) == 2 + len(exported.runtime("kws"))
    assert all("-DKERNEL" in command["command"] for command in commands)


def docs_block(language: str) -> str:
    """The first block of a language in docs/embedding.md."""
    found = re.search(rf"^```{language}\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found.group(1)


def test_five_lines_add_a_model_to_a_cmake_project(exported: Exported, tmp_path: Path) -> None:
    require_program("cmake", "cc")
    shutil.copytree(exported.folder / "kws", tmp_path / "kws")
    added, declared = docs_block("cmake"), docs_block("c")
    assert len([line for line in (added + declared).splitlines() if line.strip()]) == 5
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(product LANGUAGES C)\n"
        "add_executable(product main.c)\n" + added
    )
    (tmp_path / "main.c").write_text(
        declared + "int main(void)\n{\n"
        "    return kws_init(&model, &arena, sizeof arena, NULL, 0) || "
        "kws_invoke(&model, NULL, NULL);\n}\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    run(tmp_path / "build" / "product")


def test_the_readme_shows_a_program_that_compiles(exported: Exported) -> None:
    require_program("cc")
    readme = (exported.folder / "kws" / "README.md").read_text()
    (program,) = re.findall(r"^```c\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    command = ["cc", "-std=c99", *STRICT, *exported.includes, "-fsyntax-only", "-x", "c", "-"]
    subprocess.run(command, input=program, text=True, check=True)


def test_real_numbers_become_a_class(exported: Exported, tmp_path: Path) -> None:
    """By the program of the README, and by that of the documentation."""
    require_program("cc")
    graph = GRAPHS["vww"].graph
    shape = (SAMPLES, *graph.input_tensor.shape)
    scale = graph.input_tensor.quantization.scale
    samples = np.random.default_rng(5).normal(0, 60 * scale, shape).astype(np.float32)
    logits = reference.run(graph, graph.input_tensor.quantization.quantize(samples))
    classes = logits.reshape(SAMPLES, -1).argmax(axis=1)
    assert len(set(classes.tolist())) > 1
    readme = (exported.folder / "vww" / "README.md").read_text()
    (program,) = re.findall(r"^```c\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    calls = "\n".join(
        f"if (classify(samples[{i}]) != {c}) return 1;" for i, c in enumerate(classes)
    )
    rows = c_rows(samples.reshape(SAMPLES, -1))
    compile_with_vww(
        exported,
        tmp_path / "readme",
        f"{program}\nstatic const float samples[{SAMPLES}][VWW_INPUT_SIZE] = {rows};\n"
        f"int main(void)\n{{\nif (!setup()) return 2;\n{calls}\nreturn 0;\n}}\n",
    )
    run(tmp_path / "readme")

    whole = re.search(
        r"<!-- program -->\n```c\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL
    )
    assert whole
    text, found = re.subn(
        r"samples\[VWW_INPUT_SIZE\];",
        f"samples[] = {c_rows(samples[0].ravel())};",
        whole[1].replace("kws", "vww").replace("KWS", "VWW"),
    )
    assert found == 1
    compile_with_vww(exported, tmp_path / "docs", text)
    assert run(tmp_path / "docs").startswith(f"class {classes[0]}, logit ")


def compile_with_vww(exported: Exported, program: Path, text: str) -> None:
    """Compiles a ``main.c`` with the model, without a warning."""
    main = program.with_suffix(".c")
    main.write_text(text)
    sources = [main, exported.folder / "vww" / "vww.c", *exported.runtime("vww")]
    run("cc", "-std=c99", *STRICT, *exported.includes, *sources, "-o", program)


def test_the_readme_tells_where_a_model_comes_from_in_words(tmp_path: Path) -> None:
    source = {"file": "m.tflite", "sha256": "ab", "quantized_from": "m.keras"}
    graph = dataclasses.replace(GRAPHS["kws"].graph, source=source)
    converted = write_converted(graph, tmp_path / "m", "test")
    export_c_library(converted, tmp_path / "c", "kws", "test")
    sketch = arduino.library_files(converted, "kws")
    for readme in ((tmp_path / "c" / "README.md").read_text(), sketch["README.md"]):
        _, _, origin = readme.partition("\n## Origin\n\n")
        assert origin.startswith(
            "- Command: test\n- File: m.tflite\n- Quantized from: m.keras\n- SHA-256: ab\n- Model"
        )


def test_the_program_of_the_readme_goes_on_with_a_stream(tmp_path: Path) -> None:
    require_program("cc")
    graph = streaming_graph()
    folder = tmp_path / "stream"
    export_c_library(write_converted(graph, tmp_path / "m", "test"), folder, "stream", "test")
    readme = (folder / "README.md").read_text()
    (program,) = re.findall(r"^```c\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    shape = (8, *graph.input_tensor.shape)
    frames = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    expected = reference.run(graph, frames[np.newaxis])[0].reshape(8, -1)
    (tmp_path / "main.c").write_text(
        f"#include <string.h>\n{program}\n"
        f"static const int8_t frames[8][STREAM_INPUT_SIZE] = {c_rows(frames.reshape(8, -1))};\n"
        f"static const int8_t expected[8][STREAM_OUTPUT_SIZE] = {c_rows(expected)};\n"
        "int main(void)\n{\nint8_t output[STREAM_OUTPUT_SIZE];\nif (!setup()) { return 1; }\n"
        "for (int i = 0; i < 8; i++) {\nif (!infer(frames[i], output)) { return 2; }\n"
        "if (memcmp(output, expected[i], sizeof output)) { return 3; }\n}\nreturn 0;\n}\n"
    )
    units = [folder / "stream.c", *(folder / "runtime").glob("*.c"), tmp_path / "main.c"]
    includes = [f"-I{path}" for path in (folder, folder / "runtime")]
    run("cc", "-std=c99", *includes, *units, "-o", tmp_path / "program")
    run(tmp_path / "program")


def test_the_command_says_what_it_wrote(
    model: ConvertedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    count = model.graph.output_tensor.size
    labels.write_text("".join(f"class {i}\n" for i in range(count)))
    command = ("export", model.folder, "--format", "c", "--name", "kws", "-o", tmp_path / "e")
    record = run_json(capsys, *command, "--labels", labels)
    written = [path for path in (tmp_path / "e").rglob("*") if path.is_file()]
    assert record["files"] == sorted(str(p.relative_to(tmp_path / "e")) for p in written)
    assert record["name"] == "kws"
    assert '"class 1", \\' in (tmp_path / "e" / "kws.h").read_text()
    first = {path: path.read_bytes() for path in written}
    assert run_json(capsys, *command, "--labels", labels) == record
    assert {path: path.read_bytes() for path in written} == first
    labels.write_text("one\n")
    fault = failure(capsys, 2, *command, "--labels", labels)
    assert f"the model has {count} outputs" in fault["message"]


def test_the_stack_is_counted_where_it_is_asked_for(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require_program("arm-none-eabi-gcc")
    command = ("export", exported.folder / "vww-model", "--format", "c", "-o", tmp_path / "vww")
    run_json(capsys, *command, "--name", "vww", "--stack")
    header = (tmp_path / "vww" / "vww.h").read_text()
    (size,) = re.findall(r"^#define VWW_STACK_SIZE (\d+)u$", header, re.MULTILINE)
    readme = (tmp_path / "vww" / "README.md").read_text()
    assert f"-O2) | {size} |" in readme
    assert "--stack" in readme
    without = (exported.folder / "vww" / "vww.h").read_text()
    assert "STACK" not in without
    kept = re.sub(r"/\* The stack that any.*?_STACK_SIZE \d+u\n\n", "", header, flags=re.DOTALL)
    assert kept == without


def test_the_stack_of_an_avr_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_converted(GRAPHS["vww"].graph, tmp_path / "m", "test", options=CodeOptions("avr"))
    command = ("export", tmp_path / "m", "--format", "c", "-o", tmp_path / "e", "--stack")
    assert "--stack is for a Cortex-M" in failure(capsys, 2, *command)["message"]
    assert not (tmp_path / "e").exists()


def test_only_used_files_are_exported(exported: Exported) -> None:
    for name in NAMES:
        folder = exported.folder / name / "runtime"
        texts = [path.read_text() for path in folder.iterdir()]
        texts.append((exported.folder / name / f"{name}.c").read_text())
        texts.append((exported.folder / name / f"{name}.h").read_text())
        included = {header for text in texts for header in re.findall(r'#include "(.*)"', text)}
        headers = {path.name for path in folder.glob("*.h")}
        assert included - {f"{name}.h"} == headers
        assert all(text.startswith("/* SPDX-License-Identifier: Apache-2.0") for text in texts[:-2])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stdio", "is a header"),
        ("Pthread", "is a header"),
        ("te_mine", "names a part"),
        ("tinyedge", "names a part"),
        ("test", "is a target"),
        ("install", "is a target"),
        ("app", "part of an application of Zephyr"),
        ("Main", "part of a project of ESP-IDF"),
        ("sem", "is a function"),
        ("pthread_mutex", "is a function"),
        ("1st", "is no name"),
        ("_mine", "is no name"),
        ("a-b", "is no name"),
        ("n\ny", "is no name"),
        ("n" * 64, "is no name"),
    ],
)
def test_a_name_that_means_something_else_is_refused(
    name: str, said: str, model: ConvertedModel, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        export_c_library(model, tmp_path / "e", name, "test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ['*/ #include "x"', "a\\\nb", "`x` $(x)", "é\x1b"])
def test_a_models_name_does_not_become_code(text: str, tmp_path: Path) -> None:
    texts = []
    for index, each in enumerate(("harmless", text)):
        graph = dataclasses.replace(GRAPHS["kws"].graph, name=each, source={"file": each})
        folder = tmp_path / f"e{index}"
        model = write_converted(graph, tmp_path / f"m{index}", each)
        export_c_library(model, folder, "kws", each)
        texts.append({path.name: path.read_text() for path in folder.rglob("*.[cht]*")})
    for name in texts[0]:
        one, other = (each[name].splitlines() for each in texts)
        assert len(one) == len(other)
        for line in set(other) - set(one):
            assert line.isprintable()
            assert line.startswith(("/*", " *", "#", "The network", "- ", "#define KWS_MODEL_HASH"))


@given(st.text(max_size=20))
def test_labels_are_literals_of_the_same_bytes(label: str) -> None:
    encoded = label.encode("utf-8", "replace").decode()
    literal = c_string(encoded)
    assert literal.isascii()
    octal = re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), literal[1:-1])
    assert octal.encode("latin-1").decode() == encoded
