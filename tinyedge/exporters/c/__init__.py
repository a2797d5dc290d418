"""Packed C: weights as arrays, a static arena and straight-line model code."""

from tinyedge.exporters.c.export import CModel, export_c
from tinyedge.exporters.c.kernels import CodeOptions

__all__ = ["CModel", "CodeOptions", "export_c"]
