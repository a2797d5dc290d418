"""A process that lacks the modules that Windows lacks still converts, builds and opens a port."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require
from tests.link.native import dense_model

MISSING = ("fcntl", "termios", "pty", "tty", "resource", "pwd", "grp")
SCRIPT = f"""
import sys
sys.modules.update(dict.fromkeys({MISSING!r}))
import importlib, pkgutil
import tinyedge
"""


def run(body: str, *arguments: object) -> str:
    """The output of a program that begins by taking the modules away."""
    command = [sys.executable, "-c", SCRIPT + body, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_of_a_command_imports() -> None:
    shown = run("""
from tinyedge.errors import MissingDependencyError
named = ("api", "cli", "commands", "firmware", "link", "places", "records", "reports", "targets")
done = 0
for module in pkgutil.walk_packages(tinyedge.__path__, "tinyedge."):
    if module.name.split(".")[1] in named:
        try:
            importlib.import_module(module.name)
        except MissingDependencyError:
            continue
        done += 1
print(done > 100)
""")
    assert shown == "True\n"


def test_a_model_is_converted_and_runs(tmp_path: Path) -> None:
    graph = dense_model(tmp_path / "made", 16).folder / "graph.npz"
    shown = run(
        """
from tinyedge.cli.main import main
source, target = sys.argv[1:]
assert main(["convert", source, "-o", target]) == 0
import numpy as np
model = tinyedge.load(target)
shape = model.converted.graph.input_tensor.shape
result = model.run(np.zeros((2, *shape), np.int8))
print("differing", result.mismatches)
""",
        graph,
        tmp_path / "out",
    )
    assert shown.endswith("differing 0\n")


@pytest.mark.needs_tool
def test_firmware_is_built_with_zig(tmp_path: Path) -> None:
    require(["zig"] if importlib.util.find_spec("ziglang") else [], "zig")
    folder = dense_model(tmp_path / "made", 16).folder
    shown = run(
        """
firmware = tinyedge.load(sys.argv[1]).build("netduinoplus2", compiler="zig")
print(firmware.elf.is_file())
""",
        folder,
    )
    assert shown == "True\n"


def test_a_port_of_another_machine_opens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        shown = run(
            """
from tinyedge.link.line import open_line
line = open_line(sys.argv[1], 115200)
line.write(b"hello")
print(line.read(0.1))
line.close()
""",
            port,
        )
        connection, _ = server.accept()
        with connection:
            assert connection.recv(5) == b"hello"
    assert shown == "b''\n"
