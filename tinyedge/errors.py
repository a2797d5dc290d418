"""Every error a user can meet: one class an exit code, each with a hint what to do."""

from __future__ import annotations


class TinyEdgeError(Exception):
    """Base of all errors that are the fault of an input, an option or the surroundings.

    Attributes:
        exit_code: what the command line exits with; documented in ``docs/cli.md``.
        code: a stable identifier for ``--json``.
        hint: what the user can do about it, or an empty string.
    """

    exit_code = 1
    code = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BugError(TinyEdgeError):
    """Anything that should not have happened."""

    exit_code = 1
    code = "bug"


class InterruptedByUserError(TinyEdgeError):
    """Ctrl-C."""

    exit_code = 130
    code = "interrupted"


class FileError(TinyEdgeError):
    """A file or folder that cannot be read or written."""

    exit_code = 2
    code = "file"


class UsageError(TinyEdgeError):
    """Options that do not go together."""

    exit_code = 2
    code = "usage"


class ModelError(TinyEdgeError):
    """A model that is missing, damaged or holds something unsupported."""

    exit_code = 3
    code = "model"


class BoardError(TinyEdgeError):
    """A board description that is missing or wrong."""

    exit_code = 3
    code = "board"


class DataError(TinyEdgeError):
    """Input arrays or data sets that are missing, damaged or of the wrong shape."""

    exit_code = 3
    code = "data"


class DoesNotFitError(TinyEdgeError):
    """A model that needs more flash or RAM than the board has."""

    exit_code = 4
    code = "does-not-fit"


class ToolchainError(TinyEdgeError):
    """A compiler or an emulator that is missing or fails."""

    exit_code = 5
    code = "toolchain"


class MissingDependencyError(ToolchainError):
    """An optional Python package that this command needs is not installed."""

    code = "missing-dependency"


class DeviceError(TinyEdgeError):
    """A serial port that is missing, ambiguous or busy."""

    exit_code = 6
    code = "device"


class LinkError(TinyEdgeError):
    """The conversation with the device failed."""

    exit_code = 7
    code = "link"


class ThresholdError(TinyEdgeError):
    """A result that misses a threshold the user asked for, or host and device that differ."""

    exit_code = 8
    code = "threshold"
