"""``tinyedge completion``, and what shells are offered."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from tinyedge.cli.options import output_options
from tinyedge.cli.output import Output

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_TINYEDGE_COMPLETE"
"""Environment variable by which a shell requests completions."""


@add_completion_class
class _Bash(BashComplete):
    """click's, but a folder is completed without a space behind its slash."""

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
        [[ $value == */ ]] && compopt -o nospace
    done
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@output_options
@click.pass_obj
def command(output: Output, shell: str) -> None:
    """Print a script that completes commands, options, boards, attacks and files by Tab."""
    from click.shell_completion import get_completion_class

    from tinyedge.cli.main import cli

    found = get_completion_class(shell)
    assert found
    completer = found(cli, {}, "tinyedge", VARIABLE)
    script = completer.source_template % completer.source_vars()
    if not output.json:
        click.echo(script)
    output.result({"shell": shell, "script": script})


def complete_files(incomplete: str, suffixes: tuple[str, ...]) -> list[CompletionItem]:
    """Files whose names end so, and the folders on the way to them."""
    if os.environ.get(VARIABLE, "").startswith("zsh"):
        return [CompletionItem(incomplete, type="file")]  # which sets a space behind all else
    head, _, begun = incomplete.rpartition("/")
    before = f"{head}/" if "/" in incomplete else ""
    folder = Path(before or ".").expanduser()
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    offered = [
        entry
        for entry in entries
        if entry.name.startswith(begun) and (begun or not entry.name.startswith("."))
    ]
    return [
        CompletionItem(f"{before}{entry.name}{'/' if entry.is_dir() else ''}")
        for entry in offered
        if entry.is_dir() or entry.name.endswith(suffixes)
    ]


def complete_boards(
    context: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Boards by name, and ``.toml`` files."""
    from tinyedge.templates import data_folder

    names = sorted(path.stem for path in data_folder("boards").glob("*.toml"))
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found + complete_files(incomplete, (".toml",)) if incomplete else found


def complete_attacks(
    context: click.Context,  # noqa: ARG001 - click's signature
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Attacks by name, the last of a list separated by commas."""
    from tinyedge.attacks.settings import ATTACKS

    before, comma, begun = incomplete.rpartition(",")
    taken = before.split(",")
    return [
        CompletionItem(f"{before}{comma}{name}")
        for name in ("all", *ATTACKS)
        if name.startswith(begun) and name not in taken
    ]
