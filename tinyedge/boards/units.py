"""Numbers with a unit, as board descriptions hold them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Hertz = Annotated[int, Field(gt=0, le=1_000_000_000)]
Address = Annotated[int, Field(ge=0, lt=2**32)]
