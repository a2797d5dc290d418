"""A converted model as a C library to embed: its code, the runtime that it uses, a CMake target."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinyedge
from tinyedge.boards.cores import CORES
from tinyedge.errors import UsageError
from tinyedge.exporters.c import CodeOptions
from tinyedge.exporters.c.export import c_identifiers
from tinyedge.exporters.c.library import CLibrary, export_library
from tinyedge.exporters.converted import ConvertedModel
from tinyedge.firmware.export.folder import with_manifest, write_folder
from tinyedge.templates import data_folder, render_template
from tinyedge.toolchains.compilers import arm_gcc
from tinyedge.toolchains.stack import FLAGS, LIBRARY_STACK, count_stack

LONGEST_NAME = 63
NAME_HINT = "--name NAME gives the library another"
_NAME = re.compile(f"[A-Za-z][A-Za-z0-9_]{{0,{LONGEST_NAME - 1}}}")
_PREFIXES = ("te_", "tinyedge")
"""The prefix of the runtime."""

_HEADERS = re.compile(
    "aio|alloca|assert|complex|cpio|ctype|dirent|dlfcn|elf|endian|errno|error|fcntl|features|fenv|"
    "float|fmtmsg|fnmatch|ftw|getopt|glob|grp|iconv|ifaddrs|inttypes|io|iso646|langinfo|libgen|"
    "libintl|limits|link|locale|malloc|math|memory|mntent|monetary|mqueue|ndbm|netdb|newlib|new|"
    "nl_types|poll|pthread|pwd|regex|resolv|sched|search|semaphore|setjmp|shadow|signal|spawn|"
    "stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|"
    "stropts|syscall|sysexits|syslog|tar|termio|termios|tgmath|thread|threads|time|trace|ucontext|"
    "ulimit|unistd|utime|utmpx|values|version|wait|wchar|wctype|windows|wordexp"
)
"""Headers of C, C++ and POSIX, which a model's of the same name would hide."""

_C_FUNCTIONS = re.compile(r"cnd|mtx|posix_spawn\w*|pthread_\w+|res|sem")
"""Prefixes of C and POSIX before ends that are ours: ``sem_init``."""

_TARGETS = re.compile("all|clean|depend|edit_cache|help|install|package|rebuild_cache|test")
"""The targets of CMake and make themselves."""

_PARTS = {"app": "an application of Zephyr", "main": "a project of ESP-IDF"}
"""The targets and components of others."""

_TEMPLATES = ("CMakeLists.txt", "LICENSE.txt", "README.md", "library.json")
_INCLUDE = re.compile(r'^#include "(\w+\.h)"$', re.MULTILINE)


@dataclass(frozen=True)
class Library:
    """A library that was written.

    Attributes:
        name: what its functions and files are called by.
        files: paths in its folder, sorted.
    """

    name: str
    files: tuple[str, ...]


def export_c_library(
    model: ConvertedModel,
    folder: Path,
    name: str | None,
    command: str,
    labels: tuple[str, ...] = (),
    *,
    stack: bool = False,
) -> Library:
    """Writes the library's folder, all of it or nothing.

    Args:
        model: what ``convert`` wrote.
        folder: see ``write_folder``.
        name: of functions, macros and files; that of the model by default.
        command: the command line that asks for it.
        labels: names of the classes; none where they are not known.
        stack: whether the stack is counted, for the core that the model was converted for.

    Raises:
        UsageError: the name is none of a library, or means something else in C or CMake; there are
            labels for several outputs, or more or fewer of them than classes; or ``stack`` goes
            with a model for an AVR.
        ToolchainError: see ``count_stack``.
        FileError: the folder holds something of the user's; see ``write_folder``.
        OSError: something cannot be written.
    """
    chosen = c_identifiers([model.graph.name])[model.graph.name] if name is None else name
    check_library_name(chosen)
    if labels:
        _check_labels(model, labels)
    files = library_files(model, chosen, command, labels, stack=stack)
    facts = {"format": "c", "name": chosen, "model": model.graph.name, "command": command}
    written = with_manifest(files, facts)
    write_folder(folder, written)
    return Library(chosen, tuple(sorted(written)))


def _check_labels(model: ConvertedModel, labels: tuple[str, ...]) -> None:
    results = model.graph.results
    if len(results) > 1:
        raise UsageError(f"labels are for models with one output; this one has {len(results)}")
    if len(labels) != results[0].size:
        raise UsageError(f"{len(labels)} labels are given; the model has {results[0].size} outputs")


def check_library_name(name: str) -> None:
    """Refuses a name that no function can have, or that C, CMake or the runtime use already."""
    lowered = check_c_name(name, _PREFIXES, _HEADERS)
    if _TARGETS.fullmatch(lowered):
        raise UsageError(f"'{name}' is a target of every CMake project", NAME_HINT)
    if lowered in _PARTS:
        raise UsageError(f"'{name}' is a part of {_PARTS[lowered]}", NAME_HINT)


def check_c_name(
    name: str, prefixes: tuple[str, ...], headers: re.Pattern[str], files: Container[str] = ()
) -> str:
    """Refuses a library's name that no function can have, or that something else has.

    Args:
        name: of the library.
        prefixes: what the library's own names begin with.
        headers: of others, which one of the name would hide.
        files: of the library, without their endings.

    Returns:
        The name in small letters: file systems may not tell capitals from others.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a library; allowed: a letter, then up to "
            f"{LONGEST_NAME - 1} letters, digits and _",
            NAME_HINT,
        )
    lowered = name.lower()
    if lowered in files:
        raise UsageError(f"'{name}' is the name of a file of the library", NAME_HINT)
    if lowered.startswith(prefixes):
        raise UsageError(f"'{name}': what begins so names a part of the library", NAME_HINT)
    if headers.fullmatch(lowered):
        raise UsageError(f"'{name}.h' is a header that others bring", NAME_HINT)
    if _C_FUNCTIONS.fullmatch(lowered):
        raise UsageError(f"'{name}_init' is a function of the C library", NAME_HINT)
    return lowered


def library_files(
    model: ConvertedModel,
    name: str,
    command: str,
    labels: tuple[str, ...] = (),
    *,
    stack: bool = False,
) -> dict[str, str]:
    """The library's files by their path in it; see ``export_c_library``."""
    library, runtime = library_sources(model, name, labels)
    code = library.files
    counted = _counted(model, name, {**code, **runtime}) if stack else {}
    if counted:
        header = render_template("library/model.h.j2", {**library.context, **counted})
        code = code | {f"{name}.h": header}
    inputs, results = model.graph.inputs, model.graph.results
    classifies = len(inputs) == len(results) == 1 and results[0].size > 1
    context = {
        **library.context,
        **counted,
        "classifies": classifies,
        "title": model.graph.name,
        "hash": model.graph.hash,
        "command": command,
        "version": tinyedge.__version__,
        "sources": [path for path in runtime if path.endswith(".c")],
    }
    files = {path: render_template(f"library/{path}.j2", context) for path in _TEMPLATES}
    files[f"tinyedge.{name}.pdsc"] = render_template("library/model.pdsc.j2", context)
    if classifies and not library.context["state_size"]:
        files["examples/classify.c"] = render_template("library/classify.c.j2", context)
    files |= code
    return files | {f"runtime/{path}": text for path, text in runtime.items()}


def _counted(model: ConvertedModel, name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """The templates' values of the stack, counted for the core that the model was converted for."""
    core = str(model.manifest["core"])
    if CORES[core].flash_apart:
        raise UsageError(f"--stack is for a Cortex-M; {model.folder} was converted for {core}")
    return {
        "stack": count_stack(arm_gcc(core), core, files, f"{name}.c"),
        "stack_flags": " ".join(FLAGS),
        "library_stack": LIBRARY_STACK,
    }


def library_sources(
    model: ConvertedModel, name: str, labels: tuple[str, ...] = ()
) -> tuple[CLibrary, dict[str, str]]:
    """The code of a model, and the files of the runtime that it uses, by name.

    Args:
        model: what ``convert`` wrote.
        name: of functions, macros and files.
        labels: names of the classes; none where they are not known.
    """
    options = CodeOptions(model.manifest["core"], model.manifest["optimize"])
    runtime = _runtime()
    runtime_id = hashlib.sha256("".join(runtime.values()).encode()).hexdigest()[:8]
    library = export_library(model.graph, options, name, runtime_id, labels)
    runtime["te_api.h"] = render_template("library/te_api.h.j2", {"runtime_id": runtime_id})
    used = _used(runtime, [*library.files.values()], library.runtime_sources)
    return library, {path: runtime[path] for path in used}


def _runtime() -> dict[str, str]:
    """All files of the runtime that a library may use, but ``te_api.h``, by name."""
    templates = data_folder("firmware_templates")
    paths = [
        *(templates / "runtime").glob("*.[ch]"),
        *(templates / "library").glob("*.[ch]"),
        *(templates / "harness").glob("te_crc32.[ch]"),
    ]
    named = sorted(paths, key=lambda path: path.name)
    return {path.name: path.read_text(encoding="utf-8") for path in named}


def _used(runtime: dict[str, str], texts: list[str], sources: tuple[str, ...]) -> list[str]:
    """The sources, and all headers of the runtime that they or the texts include; sorted."""
    used: set[str] = set()
    wanted = set(sources)
    for text in texts:
        wanted.update(_INCLUDE.findall(text))
    while new := {name for name in wanted - used if name in runtime}:
        used |= new
        wanted = {header for name in new for header in _INCLUDE.findall(runtime[name])}
    return sorted(used)
