"""The resources that an hls4ml project takes on an FPGA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyedge.commands.arguments import AnyPath
from tinyedge.commands.notes import noted
from tinyedge.exporters.hls4ml.project import read_project
from tinyedge.exporters.hls4ml.reports import read_vendor_report


@noted()
def resources(folder: AnyPath) -> dict[str, Any]:
    """Reads the estimates of an hls4ml project, and the report of the vendor's tools.

    Args:
        folder: what ``tinyedge convert --to hls4ml`` wrote.

    Returns:
        ``folder``; ``estimates``: by layer; ``vendor``: figures by report, None where the tools
        have not run.

    Raises:
        ModelError: the folder is no such project, or damaged.
        MissingDependencyError: hls4ml is not installed.
    """
    place = Path(folder)
    project = read_project(place)
    return {
        "folder": str(place),
        "estimates": project.record["resources"],
        "vendor": read_vendor_report(place),
    }
