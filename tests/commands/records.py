"""Records of functions beside those of commands."""

from __future__ import annotations

import json
from typing import Any


def as_printed(record: dict[str, Any]) -> dict[str, Any]:
    """A function's record as ``--json`` prints it."""
    return {"version": 1, "status": "ok", **json.loads(json.dumps(record))}
