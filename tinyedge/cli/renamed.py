"""Options that had other names: whoever still types one is told the new one."""

from __future__ import annotations

RENAMED = {
    "check": {"--inputs": "--data"},
    "export": {"--sample": "--data"},
    "run": {"--inputs": "--data", "--outputs": "--logits", "--suite": "--data"},
    "train": {"--data": "--data-folder"},
}
"""The new name of an option, by command and old name."""


def new_name(command: str | None, option: str) -> str | None:
    """Gives today's name of an option that a command lacks; None where it never was one."""
    return RENAMED.get(command or "", {}).get(option)
