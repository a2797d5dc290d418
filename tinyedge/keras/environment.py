"""The one place that imports TensorFlow, Keras and QKeras, with what they need to get along.

QKeras is written for Keras 2. With TensorFlow 2.16 and later that is the ``tf_keras`` package,
and ``TF_USE_LEGACY_KERAS`` has to be set before the first import of TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

from tinyedge.distribution import install_hint
from tinyedge.errors import MissingDependencyError

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keeps off stderr what TensorFlow's C++ libraries write, whatever their level.

    What fails inside still raises.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


try:
    with silent():
        import qkeras
        import tensorflow  # noqa: ICN001 - exported under its own name
        import tf_keras
except ImportError as error:
    raise MissingDependencyError(
        f"this needs TensorFlow and QKeras, and '{error.name}' is not installed",
        hint=install_hint("qkeras"),
    ) from error

tensorflow.get_logger().setLevel("ERROR")

__all__ = ["qkeras", "silent", "tensorflow", "tf_keras"]
