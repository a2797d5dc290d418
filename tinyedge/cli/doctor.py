"""``tinyedge doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.command("doctor")
@click.option(
    "--udev-rules",
    is_flag=True,
    help="Print rules that let users open the boards, as a file for /etc/udev/rules.d.",
)
@output_options
@click.pass_obj
def command(output: Output, *, udev_rules: bool) -> None:
    """Say what is installed, what is missing, and how to get it."""
    from rich.text import Text

    from tinyedge.commands.doctor import doctor

    record = doctor(udev_rules=udev_rules)
    if udev_rules:
        output.result(record, Text(record["rules"].rstrip()))
        return
    found = [_versioned(check) for check in record["checks"] if check["found"]]
    lines = [
        *(f"can {what}" for what, able in record["can"].items() if able),
        *(f"can NOT {what}" for what, able in record["can"].items() if not able),
        "serial ports: " + (", ".join(record["serial_ports"]) or "none"),
        *(f"{port} may be: {', '.join(names)}" for port, names in record["boards"].items()),
        *record["notes"],
    ]
    about = f"tinyedge {record['versions']['tinyedge']}, Python {record['versions']['python']}"
    output.result(
        record,
        Text(about),
        Text("\nInstalled"),
        _indented(", ".join(found)),
        *_missing(record["checks"]),
        Text("\n".join(["", *lines])),
    )


def _versioned(check: dict[str, Any]) -> str:
    return f"{_named(check)} {check['installed']}" if check["installed"] else _named(check)


def _named(check: dict[str, Any]) -> str:
    """The name of a check; groups and USB identifiers say that they are some."""
    kinds = {"group": "group ", "udev": "USB "}
    return f"{kinds.get(check['kind'], '')}{check['name']}"


def _indented(text: str) -> RenderableType:
    """Text that is broken between words."""
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, 2), expand=False)


def _missing(checks: list[dict[str, Any]]) -> list[RenderableType]:
    """Lists missing programs by the command that gets them: each command is named once."""
    from rich.text import Text

    remedies: dict[str, list[dict[str, Any]]] = {}
    for check in checks:
        if not check["found"]:
            remedies.setdefault(check["remedy"], []).append(check)
    if not remedies:
        return []
    parts: list[RenderableType] = [Text("\nMissing; needed only for what is named")]
    for remedy, lacking in remedies.items():
        names = ", ".join(_named(check) for check in lacking)
        parts.append(_indented(f"{names}: {_together([check['for'] for check in lacking])}"))
        parts.append(Text(f"    get it: {remedy}"))
    return parts


def _together(purposes: list[str]) -> str:
    """Purposes, those that begin with the same verb behind it once."""
    objects: dict[str, list[str]] = {}
    for purpose in dict.fromkeys(purposes):
        verb, _, rest = purpose.partition(" ")
        objects.setdefault(verb, []).append(rest)
    return "; ".join(f"{verb} {', '.join(rest)}".strip() for verb, rest in objects.items())
