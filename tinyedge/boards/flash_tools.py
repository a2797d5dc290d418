"""What the tools that write a board's flash have to know of it: a section each of its TOML file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

UsbId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
Word = Annotated[str, Field(pattern=r"^\w[\w.:-]*$")]
"""A name that a program takes as one argument, and for no option."""

ToolName = Literal["arduino-cli", "avrdude", "bossac", "dfu", "drive", "openocd", "pyocd", "stlink"]


class _Tool(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ArduinoCliTool(_Tool):
    """arduino-cli: ``fqbn``, the board's name there; its core has to be installed."""

    fqbn: Annotated[str, Field(pattern=r"^\w[\w.-]*(:\w[\w.=,-]*){2,3}$")]


class AvrdudeTool(_Tool):
    """avrdude: its names of the boot loader and the part, and the boot loader's bits a second."""

    programmer: Word
    part: Word
    baud: Annotated[int, Field(ge=1200, le=4_000_000)]


class BossacTool(_Tool):
    """BOSSA, of Arduino boards whose boot loader speaks SAM-BA.

    Attributes:
        offset: where the flash begins for it, in bytes.
        touch_1200: opening the port at 1200 baud, and closing it, starts the boot loader.
        boot_from_flash: the part has to be told to start from its flash, not from its boot ROM.
        verify: the boot loader can read the flash.
    """

    offset: Annotated[int, Field(ge=0, lt=2**32)] = 0
    touch_1200: bool = False
    boot_from_flash: bool = False
    verify: bool = True


class DfuTool(_Tool):
    """The DFU of a boot ROM or boot loader.

    Attributes:
        id: vendor and product of its USB device.
        dfuse: it has ST's extension, and is told the address; else it knows where firmware goes.
    """

    id: UsbId
    dfuse: bool = True


class DriveTool(_Tool):
    """A drive that takes a file for the flash: of a debug probe, or of a boot loader.

    Attributes:
        label: of the drive.
        format: of the file.
        uf2_family: which boards take the file, for ``uf2``.
    """

    label: Annotated[str, Field(pattern=r"^[\w -]{1,11}$")]
    format: Literal["bin", "hex", "uf2"] = "bin"
    uf2_family: Annotated[int, Field(ge=0, lt=2**32)] | None = None


class OpenOcdTool(_Tool):
    """A debug probe that OpenOCD drives: its configuration of the board."""

    config: Annotated[str, Field(pattern=r"^[a-z]+/[\w.-]+\.cfg$")]


class PyocdTool(_Tool):
    """A debug probe that pyOCD drives: its name of the part."""

    target: Word


class StlinkTool(_Tool):
    """An ST-Link that stlink-tools' ``st-flash`` drives; it recognizes the part."""
