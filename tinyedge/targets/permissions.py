"""Whether users may open what is attached: groups, and udev's rules."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tinyedge.boards import Board
from tinyedge.targets.attached import STLINK_V2

try:
    import grp
except ImportError:  # Windows has no groups of this kind
    grp = None  # type: ignore[assignment]

RULES_FILE = Path("/etc/udev/rules.d/60-tinyedge.rules")
RULE_FOLDERS = tuple(
    Path(folder, "udev/rules.d")
    for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
INSTALL_RULES = (
    f"tinyedge doctor --udev-rules | sudo tee {RULES_FILE} && sudo udevadm control --reload"
)
PROCESSES = Path("/proc")

_GROUPS = ("dialout", "uucp")
"""To which serial devices belong: of Debian, Ubuntu and Fedora, and of Arch."""
_MATCH = re.compile(r'ATTRS?\{(idVendor|idProduct)\}=="([^"]*)"')


def serial_group() -> str:
    """The group that serial devices belong to on this machine."""
    known = {group.gr_name for group in grp.getgrall()} if grp else set()
    return next((name for name in _GROUPS if name in known), _GROUPS[0])


def in_group(name: str) -> bool:
    """Whether this process is in a group, or root; true where the system has no groups."""
    if not grp:
        return True
    try:
        return os.geteuid() == 0 or grp.getgrnam(name).gr_gid in os.getgroups()
    except KeyError:
        return False


def usb_ids(boards: Iterable[Board]) -> dict[str, list[str]]:
    """The USB devices by which boards are flashed or spoken to, each with the boards' names.

    An ST-Link that is no serial port too is taken to be an ST-Link/V2.
    """
    needed: dict[str, list[str]] = {}
    for board in boards:
        tools = board.flash_tool
        devices = [board.usb, tools.dfu.id if tools.dfu else None]
        devices.append(STLINK_V2 if tools.stlink and not board.usb else None)
        for device in filter(None, devices):
            needed.setdefault(device, []).append(board.name)
    return dict(sorted(needed.items()))


def udev_rules(boards: Sequence[Board]) -> str:
    """A file of rules that let the serial group, and who sits at the machine, open the boards.

    They also keep ModemManager from talking to their serial ports.
    """
    group = serial_group()
    access = f'MODE="0660", GROUP="{group}", TAG+="uaccess"'
    lines = [
        "# Written by 'tinyedge doctor --udev-rules', from its boards' descriptions. To install:",
        f"# {INSTALL_RULES}",
    ]
    for device, names in usb_ids(boards).items():
        vendor, _, product = device.partition(":")
        parent = f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"'
        lines += [
            "",
            f"# {', '.join(names)}",
            f'SUBSYSTEM=="usb", {parent.replace("ATTRS", "ATTR")}, {access}',
            f'SUBSYSTEM=="hidraw", {parent}, {access}',
            f'SUBSYSTEM=="tty", {parent}, {access}, ENV{{ID_MM_DEVICE_IGNORE}}="1"',
        ]
    return "\n".join(lines) + "\n"


def without_rule(devices: Iterable[str], folders: Sequence[Path] = RULE_FOLDERS) -> list[str]:
    """The USB devices that no udev rule of this machine is about.

    Args:
        devices: vendor:product of each.
        folders: where the rules lie.
    """
    patterns = [
        (found.get("idVendor", ""), found.get("idProduct", "*"))
        for line in _rules(folders)
        if (found := dict(_MATCH.findall(line)))
    ]
    return [device for device in devices if not any(_is_about(device, *each) for each in patterns)]


def _rules(folders: Sequence[Path]) -> Iterator[str]:
    """The lines of all rules that are no comments, continued ones put together."""
    for path in sorted({path for folder in folders for path in folder.glob("*.rules")}):
        with contextlib.suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
            yield from (line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _is_about(device: str, vendors: str, products: str) -> bool:
    vendor, _, product = device.partition(":")
    return all(
        any(fnmatchcase(value, pattern) for pattern in patterns.lower().split("|"))
        for value, patterns in ((vendor, vendors), (product, products))
    )


def modem_manager_runs(processes: Path = PROCESSES) -> bool:
    """Whether ModemManager runs, which talks to serial ports that appear, for some seconds."""
    for name in processes.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it may have ended
            if name.read_text(encoding="utf-8").strip() == "ModemManager":
                return True
    return False
