"""Packed C: weights as arrays, a static arena and straight-line model code."""

from tinyedge.exporters.c.export import CModel, export_c

__all__ = ["CModel", "export_c"]
