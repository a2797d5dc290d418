"""Keeps a place of labgrid until its standard input is closed, by whatever end of who asked.

A process of its own, in a session of its own: Ctrl-C does not reach it, and a program that is
killed releases what it had acquired. It prints one line of JSON, what labgrid exports of the place
or an ``error``, and another one if the place cannot be released.

    python -m tinyedge.targets.labgrid_keeper LABGRID-CLIENT PLACE FOLDER
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_EXPORT_DEADLINE_S = 30.0
_POLL_S = 0.05
_CALL_DEADLINE_S = 60.0


class _RefusedError(Exception):
    """labgrid says no."""


def environment(place: str) -> str:
    """Gives a labgrid environment: a place, and the driver of its serial port, as YAML."""
    drivers: list[dict[str, dict[str, str]]] = [{"SerialDriver": {}}]
    target = {"resources": [{"RemotePlace": {"name": place}}], "drivers": drivers}
    return json.dumps({"targets": {"board": target}})


def last_words(stderr: str) -> str:
    """Gives labgrid's last complaint, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("labgrid-client:", "Server error"))]
    return (told or lines or ["no message"])[-1].removeprefix("labgrid-client: ")


def _call(client: str, place: str, *arguments: str) -> None:
    # An environment of the user's would have all its places acquired.
    ours = {name: value for name, value in os.environ.items() if name != "LG_ENV"}
    ended = subprocess.run(
        [client, "-p", place, *arguments],
        capture_output=True,
        check=False,
        env=ours,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=_CALL_DEADLINE_S,
    )
    if ended.returncode:
        raise _RefusedError(last_words(ended.stderr))


@contextlib.contextmanager
def _exported(client: str, place: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Gives labgrid's exports of the place; tunnels that it opens last as long as the body."""
    config, found = folder / "environment.yaml", folder / "exported.json"
    config.write_text(environment(place), encoding="utf-8")
    command = [client, "-c", str(config), "-p", place, "export", "--format", "json", str(found)]
    with (folder / "export.log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            deadline = time.monotonic() + _EXPORT_DEADLINE_S
            while not found.is_file():
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise _RefusedError(last_words(log.read()))
                time.sleep(_POLL_S)
            yield json.loads(found.read_text(encoding="utf-8"))
        finally:
            process.terminate()
            try:
                process.wait(_CALL_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _tell(**what: Any) -> None:
    with contextlib.suppress(OSError, ValueError):  # who asked may be gone
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def keep(client: str, place: str, folder: Path) -> int:
    """Acquires, exports, waits and releases; gives the exit status."""
    try:
        _call(client, place, "acquire")
    except (OSError, subprocess.TimeoutExpired, _RefusedError) as error:
        _tell(error=str(error))
        return 1
    try:
        with _exported(client, place, folder) as found:
            _tell(exported=found)
            sys.stdin.read()
    except (OSError, ValueError, _RefusedError) as error:
        _tell(error=str(error))
    try:
        _call(client, place, "release")
    except (OSError, subprocess.TimeoutExpired, _RefusedError) as error:
        _tell(error=f"cannot be released: {error}")
        return 1
    return 0


if __name__ == "__main__":
    _client, _place, _folder = sys.argv[1:]
    sys.exit(keep(_client, _place, Path(_folder)))
