"""Writes the published JSON Schema of a run's record, ``docs/schema/run-1.json``."""

from __future__ import annotations

import json
from pathlib import Path

from tinyedge.records.run import run_schema

PATH = Path(__file__).parents[1] / "docs" / "schema" / "run-1.json"


if __name__ == "__main__":
    PATH.write_text(json.dumps(run_schema(), indent=2) + "\n", encoding="utf-8")
    print(PATH)
