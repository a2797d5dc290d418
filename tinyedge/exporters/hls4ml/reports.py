"""Reports that the vendor's tools leave in an hls4ml project, read by hls4ml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyedge.errors import ModelError
from tinyedge.exporters.hls4ml.environment import hls4ml, silence


def read_vendor_report(folder: Path) -> dict[str, Any] | None:
    """The figures of synthesis, simulation and implementation.

    Args:
        folder: of a project.

    Returns:
        By report (``CSynthesisReport``, ``VivadoSynthReport``, ...), then by figure; None where the
        tools have not run.

    Raises:
        ModelError: a report is there, and damaged.
    """
    if not any(folder.glob("*_prj/*/syn/report/*csynth.xml")):
        return None
    try:
        with silence():
            found = hls4ml.report.parse_vivado_report(str(folder)) or {}
    except Exception as error:  # the reader raises whatever a damaged file brings about
        raise ModelError(f"{folder}: the vendor's report cannot be read: {error}") from error
    return {name: figures for name, figures in found.items() if isinstance(figures, dict)} or None
