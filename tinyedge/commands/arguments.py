"""What functions check of their arguments, as the command line does of options."""

from __future__ import annotations

from collections.abc import Sequence

from tinyedge.errors import UsageError


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuses an argument that is neither None nor one of the names allowed.

    Raises:
        UsageError: names those that are.
    """
    if value is not None and value not in allowed:
        raise UsageError(f"{name}={value!r}: one of {', '.join(allowed)}")


def whole(name: str, value: object, low: int, high: int | None = None) -> None:
    """Refuses an argument that is neither None nor a whole number of a range.

    Args:
        name: of the argument.
        value: that was given.
        low: the smallest that is allowed.
        high: the largest; none by default.

    Raises:
        UsageError: says what is allowed.
    """
    if value is None:
        return
    if type(value) is not int or value < low or (high is not None and value > high):
        span = f"from {low} on" if high is None else f"from {low} to {high}"
        raise UsageError(f"{name}={value!r}: a whole number {span}")
