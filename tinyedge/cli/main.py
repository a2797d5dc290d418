"""The command line: finds the command, runs it, turns errors into exit codes."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import FrameType

import click

import tinyedge
from tinyedge.cli.examples import EXAMPLES
from tinyedge.cli.groups import Group
from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output
from tinyedge.cli.renamed import new_name
from tinyedge.errors import (
    BugError,
    FileError,
    InterruptedByUserError,
    Terminated,
    TerminatedError,
    TinyEdgeError,
    UsageError,
)

SECTIONS = {
    "First steps": ("demo", "doctor"),
    "From a model to a board": ("convert", "check", "build", "flash", "export", "emulate"),
    "Samples and results": ("run", "sweep", "attack", "report"),
    "Claims": ("gate", "bundle", "verify"),
    "Memory": ("footprint", "arena", "resources"),
    "Training": ("train", "quantize"),
    "Boards and ports": ("boards", "devices", "monitor", "selftest"),
    "The shell": ("completion",),
}
"""The commands, as ``tinyedge --help`` groups them."""
COMMANDS = tuple(name for names in SECTIONS.values() for name in names)

EXIT_CODES = """\b
Exit codes: 0 ok, 1 a bug of tinyedge, 2 wrong usage, 3 bad model, board or data,
4 does not fit the board, 5 no or failing compiler or emulator, 6 device missing
or busy, 7 link failed, 8 host and device differ or a limit is exceeded,
130 interrupted, 143 terminated."""


class _Commands(Group):
    """Imports a command's module only when it is called, or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def sections(self, ctx: click.Context) -> dict[str, Sequence[str]]:  # noqa: ARG002
        return dict(SECTIONS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tinyedge.cli.{cmd_name}").command
        if cmd_name in EXAMPLES:
            command.epilog = EXAMPLES[cmd_name].epilog
        return command


@click.command(
    cls=_Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(tinyedge.__version__, prog_name="tinyedge")
@output_options
def cli() -> None:
    """Deeply quantized networks on microcontrollers, proven on the device itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; gives the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us has closed it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until we end
    output = Output(json="--json" in given, command=["tinyedge", *given])
    received: list[int] = []
    try:
        with _termination_as_interruption(received):
            result = cli.main(given, "tinyedge", standalone_mode=False, obj=output)
        return result if isinstance(result, int) else 0
    except TinyEdgeError as error:
        if error.hint == UsageError.default_hint and (named := _command_of(given)):
            error.hint = f"see 'tinyedge {named} --help'"
        return output.failed(error)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        usage = f"see '{context.command_path} --help'" if context else "see 'tinyedge --help'"
        message = _renamed(error) or error.format_message()
        return output.failed(UsageError(message, f"{_meant(message)}{usage}"))
    except (click.Abort, KeyboardInterrupt):
        if received:
            return output.failed(TerminatedError("terminated"))
        return output.failed(InterruptedByUserError("interrupted"))
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return output.failed(FileError.of(error))
    except Exception as error:  # noqa: BLE001 - the last resort: no traceback for users
        if output.verbosity > 0:
            traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        return output.failed(BugError(message))


@contextlib.contextmanager
def _termination_as_interruption(received: list[int]) -> Iterator[None]:
    """Lets SIGTERM end the work inside as Ctrl-C does: what is kept is said, the rest tidied up.

    Args:
        received: gets the signal.
    """
    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield  # no handler can be set, or whoever calls this has one
        return

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise Terminated

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _command_of(given: Sequence[str]) -> str | None:
    """Which command was called."""
    return next((word for word in given if word in COMMANDS), None)


def _renamed(error: click.ClickException) -> str | None:
    """Names the new option where an old name of it was given."""
    if not (isinstance(error, click.NoSuchOption) and error.ctx):
        return None
    renamed = new_name(error.ctx.info_name, error.option_name)
    return renamed and f"{error.option_name} is called {renamed} now"


def _meant(message: str) -> str:
    """Which choice may have been meant, if click's message lists any."""
    given, separator, choices = message.partition(" is not one of ")
    if not separator:
        return ""
    close = get_close_matches(given.split("'")[-2], re.findall(r"'([^']*)'", choices), 1)
    return f"did you mean '{close[0]}'? " if close else ""
