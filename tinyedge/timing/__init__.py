"""Cycles from counts: what firmware does, address by address, priced by a core's timings."""

from tinyedge.timing.counts import Counts, Segment, read_segments
from tinyedge.timing.instructions import Code, Instruction, Kind
from tinyedge.timing.models import MODELS, TimingModel, timing_model, variants

__all__ = [
    "MODELS",
    "Code",
    "Counts",
    "Instruction",
    "Kind",
    "Segment",
    "TimingModel",
    "read_segments",
    "timing_model",
    "variants",
]
