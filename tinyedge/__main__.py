"""The ``tinyedge`` program, also as ``python -m tinyedge``."""

from __future__ import annotations

import sys


def entry_point() -> None:
    """Runs the command line; Ctrl-C ends it cleanly while it is still being imported, too."""
    try:
        from tinyedge.cli.main import main

        code = main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    entry_point()
