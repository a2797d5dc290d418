"""``python -m tinyedge``."""

from tinyedge.cli.main import entry_point

entry_point()
