"""The ``tinyedge`` program, also as ``python -m tinyedge``."""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def entry_point() -> None:
    """Runs the command line; Ctrl-C ends it cleanly while it is still being imported, too."""
    try:
        from tinyedge.cli.main import main

        code = main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        code = _INTERRUPTED
    except ImportError:
        from tinyedge.distribution import other_distribution

        if other := other_distribution():  # whose files may have replaced ours
            print(f"error: {other}", file=sys.stderr)
            sys.exit(1)
        raise
    if code == _INTERRUPTED:
        # Where Ctrl-C fell into an exec() of somebody else's, Python remembers it, and would end by
        # the signal instead of with the code. Its next exec() makes it forget.
        exec("")  # noqa: S102 - empty
    sys.exit(code)


if __name__ == "__main__":
    entry_point()
