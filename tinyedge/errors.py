"""Every error a user can meet: one class an exit code, each with a hint what to do."""

from __future__ import annotations

from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the same work as Ctrl-C in the same way."""


class TinyEdgeError(Exception):
    """Base of all errors that are the fault of an input, an option or the surroundings.

    Attributes:
        exit_code: what the command line exits with; documented in ``docs/cli.md``.
        code: a stable identifier for ``--json``.
        default_hint: what to do about errors of this class in general.
        hint: what the user can do about this one.
    """

    exit_code = 1
    code = "error"
    default_hint = ""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.default_hint


class BugError(TinyEdgeError):
    """Anything that should not have happened."""

    exit_code = 1
    code = "bug"
    default_hint = "a bug of tinyedge; -v shows the traceback"


class InterruptedByUserError(TinyEdgeError):
    """Ctrl-C."""

    exit_code = 130
    code = "interrupted"


class TerminatedError(TinyEdgeError):
    """SIGTERM."""

    exit_code = 143
    code = "terminated"


class FileError(TinyEdgeError):
    """A file or folder that cannot be read or written."""

    exit_code = 2
    code = "file"
    default_hint = "name a file or folder you may write"

    @classmethod
    def of(cls, error: OSError) -> FileError:
        """Gives the system's message, behind the name of the file that it is about."""
        where = f"{error.filename}: " if error.filename else ""
        return cls(f"{where}{error.strerror or error}")


class BusyError(FileError):
    """A folder that another training writes to."""

    code = "busy"
    default_hint = "wait for it, or name another folder with -o"


class UsageError(TinyEdgeError):
    """Options that do not go together."""

    exit_code = 2
    code = "usage"
    default_hint = "see 'tinyedge --help'"


class ModelError(TinyEdgeError):
    """A model that is missing, damaged or holds something unsupported."""

    exit_code = 3
    code = "model"
    default_hint = "docs/models.md lists what can be imported"


class BoardError(TinyEdgeError):
    """A board description that is missing or wrong."""

    exit_code = 3
    code = "board"
    default_hint = "docs/boards.md lists every key"


class ConfigError(TinyEdgeError):
    """A training run's TOML file that is missing or wrong."""

    exit_code = 3
    code = "config"
    default_hint = "docs/training.md lists every key"


class DivergedError(TinyEdgeError):
    """A training whose loss or weights are no finite numbers any more."""

    exit_code = 3
    code = "diverged"
    default_hint = "lower training.learning_rate, and train into a new folder"


class DataError(TinyEdgeError):
    """Input arrays or data sets that are missing, damaged or of the wrong shape."""

    exit_code = 3
    code = "data"
    default_hint = "docs/cli.md says how files have to look"


class DoesNotFitError(TinyEdgeError):
    """A model that needs more flash or RAM than the board has."""

    exit_code = 4
    code = "does-not-fit"
    default_hint = "narrower layers, fewer bits a weight, or a larger board"


class ToolchainError(TinyEdgeError):
    """A compiler or an emulator that is missing or fails."""

    exit_code = 5
    code = "toolchain"
    default_hint = "'tinyedge doctor' says what is installed and what is missing"


class MissingDependencyError(ToolchainError):
    """An optional Python package that this command needs is not installed."""

    code = "missing-dependency"


class DeviceError(TinyEdgeError):
    """A serial port that is missing, ambiguous or busy."""

    exit_code = 6
    code = "device"
    default_hint = "'tinyedge doctor' lists the serial ports of this machine"


class LinkError(TinyEdgeError):
    """The conversation with the device failed."""

    exit_code = 7
    code = "link"
    default_hint = "is the board powered, flashed by tinyedge, and on this port?"


class OtherModelError(LinkError):
    """A device that answers, and holds another model."""


class ClusterError(TinyEdgeError):
    """A cluster that cannot be reached, has no workers, or workers of other versions."""

    exit_code = 7
    code = "cluster"
    default_hint = "docs/cluster.md says how scheduler and workers are started"


class FirmwareFaultError(LinkError):
    """The firmware has stopped with a fault."""

    code = "fault"
    default_hint = "reset the board; what it had answered before is kept"


class ThresholdError(TinyEdgeError):
    """A result that misses a threshold the user asked for, or host and device that differ.

    Attributes:
        record: the result, as the command's function would have given it; None where there is none.
    """

    exit_code = 8
    code = "threshold"
    default_hint = "convert and build again; if they still differ, it is a bug of tinyedge"
    record: dict[str, Any] | None = None

    def of(self, record: dict[str, Any]) -> ThresholdError:
        """The same error, which carries the result that misses the threshold."""
        self.record = record
        return self
