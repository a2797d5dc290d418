"""All operators that can be imported."""

from tinyedge.importers.onnx import folding, layers, qoperators, quantizers
from tinyedge.importers.onnx.tracing import FOLDERS, HANDLERS

KNOWN = frozenset(HANDLERS) | frozenset(FOLDERS)
"""Their kinds, as ``OnnxNode.kind`` names them."""

__all__ = ["KNOWN", "folding", "layers", "qoperators", "quantizers"]
