"""A CMake project for arm-none-eabi-gcc, with presets and settings for VS Code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinyedge.boards import Board
from tinyedge.firmware.export.source import LINKER_SCRIPT, FirmwareSource
from tinyedge.targets.flashing import TOOLS
from tinyedge.targets.flashing.tool import Job

_PRESET = "firmware"
_PORT = "${PORT}"


def cmake_project(source: FirmwareSource) -> dict[str, str]:
    """All files by their paths in the project's folder."""
    compiler, board = source.compiler, source.board
    libraries = [flag for flag in compiler.link_flags if flag.startswith("-l")]
    tool, flash = _flash_commands(board)
    context = {
        "preset": _PRESET,
        "linker_script": LINKER_SCRIPT,
        "target_flags": compiler.command[1:],
        "compiler": compiler.command[0],
        "link_flags": [flag for flag in compiler.link_flags if flag not in libraries],
        "libraries": [library.removeprefix("-l") for library in libraries],
        "flash": [[_quoted(argument) for argument in command] for command in flash],
        "flash_tool": tool,
        "port": any(_PORT in command for command in flash),
    }
    files = source.source_files() | {
        name: source.render(f"cmake/{name}.j2", **context)
        for name in ("CMakeLists.txt", "cmake/arm-none-eabi-gcc.cmake", "README.md")
    }
    settings = {
        "CMakePresets.json": _presets(flash=bool(flash)),
        ".vscode/settings.json": {
            "cmake.useCMakePresets": "always",
            "C_Cpp.default.compileCommands": "${workspaceFolder}/build/compile_commands.json",
        },
        ".vscode/extensions.json": {
            "recommendations": ["ms-vscode.cmake-tools", "marus25.cortex-debug"]
        },
        ".vscode/tasks.json": {"version": "2.0.0", "tasks": _tasks(flash=bool(flash))},
        ".vscode/launch.json": {"version": "0.2.0", "configurations": _launches(board)},
    }
    files |= {name: json.dumps(content, indent=4) + "\n" for name, content in settings.items()}
    return files | {".gitignore": "/build/\n"}


def _flash_commands(board: Board) -> tuple[str, list[list[str]]]:
    """The first of the board's tools that a build system can run, and its commands."""
    job = Job(board, Path("firmware.bin"), port=_PORT)
    for name in board.flash_tool.names:
        if commands := TOOLS[name].unattended(job):
            return TOOLS[name].program, commands
    return "", []


def _quoted(argument: str) -> str:
    """An argument for CMake; only ``PORT`` is a variable in it."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _presets(*, flash: bool) -> dict[str, Any]:
    targets = [("flash", ["flash"])] if flash else []
    build = {"name": _PRESET, "configurePreset": _PRESET}
    return {
        "version": 3,
        "cmakeMinimumRequired": {"major": 3, "minor": 21, "patch": 0},
        "configurePresets": [
            {
                "name": _PRESET,
                "generator": "Ninja",
                "binaryDir": "${sourceDir}/build",
                "toolchainFile": "${sourceDir}/cmake/arm-none-eabi-gcc.cmake",
            }
        ],
        "buildPresets": [build, *({**build, "name": name, "targets": of} for name, of in targets)],
    }


def _tasks(*, flash: bool) -> list[dict[str, Any]]:
    steps = {
        "configure": f"cmake --preset {_PRESET}",
        "build": f"cmake --build --preset {_PRESET}",
    }
    if flash:
        steps["flash"] = "cmake --build --preset flash"
    tasks: list[dict[str, Any]] = []
    for label, command in steps.items():
        task: dict[str, Any] = {"label": label, "type": "shell", "command": command}
        if tasks:
            task |= {"dependsOn": "configure", "problemMatcher": "$gcc"}
        if label == "build":
            task["group"] = {"kind": "build", "isDefault": True}
        tasks.append(task)
    return tasks


def _launches(board: Board) -> list[dict[str, Any]]:
    """Debugging by the board's probe, and in QEMU, where there are any."""
    tools, qemu = board.flash_tool, board.emulator.qemu
    servers: list[tuple[str, dict[str, Any]]] = []
    if tools.openocd:
        servers.append(("openocd", {"configFiles": [tools.openocd.config]}))
    if tools.pyocd:
        servers.append(("pyocd", {"targetId": tools.pyocd.target}))
    if qemu:
        servers.append(("qemu", {"machine": qemu.machine, "cpu": board.core}))
    return [
        {
            "name": f"{board.title} ({server})",
            "type": "cortex-debug",
            "request": "launch",
            "servertype": server,
            "cwd": "${workspaceFolder}",
            "executable": "${workspaceFolder}/build/firmware.elf",
            "device": board.mcu,
            "runToEntryPoint": "main",
            "preLaunchTask": "build",
            **options,
        }
        for server, options in servers
    ]
