"""The one place that imports hls4ml, and keeps what it prints off the terminal.

It reads Keras 2 models through its own parser: its front door, ``convert_from_keras_model``, asks
the ``keras`` package for its version and takes ``tf_keras`` models for Keras 3 where both are
installed.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps hls4ml's remarks, which it prints, and its warnings to itself."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


try:
    with silence():
        import hls4ml
        import hls4ml.converters
        import hls4ml.model.graph
        import hls4ml.report
        import hls4ml.utils.config
        from hls4ml.model.types import XnorPrecisionType
except ImportError as error:
    raise MissingDependencyError(
        f"this needs hls4ml, and '{error.name}' is not installed",
        hint=install_hint("hls4ml"),
    ) from error

__all__ = ["XnorPrecisionType", "hls4ml", "silence"]
