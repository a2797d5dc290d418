"""The facts that flashing tools need of a board: one section of its TOML file for each tool."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from tinyedge.names import FlashToolName
from tinyedge.schema import Section

UsbId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
Word = Annotated[str, Field(pattern=r"^\w[\w.:-]*$")]
"""A name that a program takes as one argument, and for no option."""


class ArduinoCliTool(Section):
    """arduino-cli: ``fqbn``, the board's name there; its core has to be installed."""

    fqbn: Annotated[str, Field(pattern=r"^\w[\w.-]*(:\w[\w.=,-]*){2,3}$")]


class AvrdudeTool(Section):
    """avrdude: its names of the boot loader and the part, and the boot loader's bits a second."""

    programmer: Word
    part: Word
    baud: Annotated[int, Field(ge=1200, le=4_000_000)]


class BossacTool(Section):
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


class DfuTool(Section):
    """The DFU of a boot ROM or boot loader.

    Attributes:
        id: vendor and product of its USB device.
        dfuse: it has ST's extension, and is told the address; else it knows where firmware goes.
    """

    id: UsbId
    dfuse: bool = True


class DriveTool(Section):
    """A drive that takes a file for the flash: of a debug probe, or of a boot loader.

    Attributes:
        label: of the drive.
        format: of the file.
        uf2_family: which boards take the file, for ``uf2``.
    """

    label: Annotated[str, Field(pattern=r"^[\w -]{1,11}$")]
    format: Literal["bin", "hex", "uf2"] = "bin"
    uf2_family: Annotated[int, Field(ge=0, lt=2**32)] | None = None


class OpenOcdTool(Section):
    """A debug probe that OpenOCD drives: its configuration of the board."""

    config: Annotated[str, Field(pattern=r"^[a-z]+/[\w.-]+\.cfg$")]


class PyocdTool(Section):
    """A debug probe that pyOCD drives: its name of the part."""

    target: Word


class StlinkTool(Section):
    """An ST-Link that stlink-tools' ``st-flash`` drives; it recognizes the part."""


class FlashTool(Section):
    """How the board's flash can be written: a section a tool, the preferred one first."""

    arduino_cli: Annotated[ArduinoCliTool | None, Field(alias="arduino-cli")] = None
    avrdude: AvrdudeTool | None = None
    bossac: BossacTool | None = None
    dfu: DfuTool | None = None
    drive: DriveTool | None = None
    openocd: OpenOcdTool | None = None
    pyocd: PyocdTool | None = None
    stlink: StlinkTool | None = None

    _names: tuple[FlashToolName, ...] = PrivateAttr(default=())

    @property
    def names(self) -> tuple[FlashToolName, ...]:
        """The tools that the file has a section for, in its order."""
        return self._names

    @model_validator(mode="wrap")
    @classmethod
    def _in_order(cls, content: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        tools = check(content)
        if isinstance(content, dict):
            tools._names = tuple(content)  # noqa: SLF001 - its own
        return tools
