"""The properties of every board; those that differ by family are in ``families/``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tinyedge.boards.cores import CORES, Core
from tinyedge.boards.emulators import Emulator, SerialRegisters
from tinyedge.boards.flash_tools import FlashTool, UsbId, Word
from tinyedge.boards.units import Address, Hertz
from tinyedge.names import CoreName
from tinyedge.schema import Fault, Section, refuse


class Region(Section):
    """A memory: address and size in bytes."""

    origin: Address
    size: Annotated[int, Field(gt=0, le=2**30)]

    @property
    def end(self) -> int:
        """The first address behind."""
        return self.origin + self.size

    @model_validator(mode="after")
    def _ends(self) -> Region:
        if self.end > 2**32:
            refuse([Fault("size", self.size, f"up to {2**32 - self.origin} from this origin on")])
        return self


class OtherRegion(Region):
    """A memory beside flash and RAM: of the core's own, or a flash of its own chip."""

    kind: Literal["ram", "flash"] = "ram"


PLACED = {"arena": "ram", "state": "ram", "weights": "flash", "stack": "ram"}
"""Keys that a description can place, and where each goes by itself; a state goes with the arena."""


class Memory(Section):
    """Where code and data go.

    Attributes:
        flash: code, and constants that are placed nowhere else.
        ram: variables that are placed nowhere else.
        regions: other memories, by name.
        place: the memory of a key of ``PLACED``, or of an array of weights by its name in C.
    """

    flash: Region
    ram: Region
    regions: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,11}$")], OtherRegion],
        Field(default_factory=dict),
    ]
    place: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,126}$")], str],
        Field(default_factory=dict),
    ]

    def at(self, what: str) -> str:
        """Names the memory that a key of ``PLACED`` goes to."""
        by_itself = self.at("arena") if what == "state" else PLACED[what]
        return self.place.get(what, by_itself)

    def region(self, name: str) -> Region:
        """Gives a memory by its name, ``flash`` and ``ram`` among them."""
        return {"flash": self.flash, "ram": self.ram, **self.regions}[name]

    def is_flash(self, name: str) -> bool:
        """Whether a memory keeps what was written to it."""
        other = self.regions.get(name)
        return other.kind == "flash" if other else name == "flash"

    @property
    def other_images(self) -> dict[str, str]:
        """Names the file that a build writes beside its image, of every other flash."""
        return {name: f"firmware.{name}.bin" for name in self.regions if self.is_flash(name)}

    @property
    def arrays(self) -> dict[str, list[str]]:
        """Lists the arrays of weights that are placed one by one, by memory."""
        arrays: dict[str, list[str]] = {}
        for what, name in self.place.items():
            if what not in PLACED:
                arrays.setdefault(name, []).append(what)
        return arrays

    @property
    def copied(self) -> list[str]:
        """Lists the sections that start-up copies from flash, beside initial values."""
        sections = [f".weights_{name}" for name in self.arrays if not self.is_flash(name)]
        return sections + ([] if self.is_flash(self.at("weights")) else [".weights"])

    @property
    def zeroed(self) -> list[str]:
        """Lists the sections that start-up zeroes, beside those in RAM."""
        sections = [] if self.at("arena") == "ram" else [".arena"]
        return sections + ([] if self.at("state") == self.at("arena") else [".state"])

    @model_validator(mode="after")
    def _laid_out(self) -> Memory:
        refuse(self._faults())
        return self

    def _faults(self) -> Iterator[Fault]:
        flash, ram = self.flash, self.ram
        if ram.origin < flash.end and flash.origin < ram.end:
            apart = f"apart from flash, which is from 0x{flash.origin:08x} to 0x{flash.end - 1:08x}"
            yield Fault("ram.origin", ram.origin, apart)
        if flash.origin % 1024:
            yield Fault("flash.origin", flash.origin, "a multiple of 1024, for the vectors")
        if ram.end % 8:
            yield Fault("ram.size", ram.size, "a multiple of 8 behind the origin, for the stack")
        yield from self._region_faults()
        yield from self._place_faults()

    def _region_faults(self) -> Iterator[Fault]:
        known = {"flash": self.flash, "ram": self.ram}
        for name, region in self.regions.items():
            key = f"regions.{name}"
            if name in known:
                yield Fault(key, name, "another name: this one is taken")
                continue
            if region.origin == 0:
                yield Fault(f"{key}.origin", 0, "from 8 on: nothing in C lies at 0")
            for end in ("origin", "end"):
                if getattr(region, end) % 8:
                    yield Fault(f"{key}.{end}", getattr(region, end), "a multiple of 8")
            for other, taken in known.items():
                if region.origin < taken.end and taken.origin < region.end:
                    apart = (
                        f"apart from {other}, from 0x{taken.origin:08x} to 0x{taken.end - 1:08x}"
                    )
                    yield Fault(f"{key}.origin", region.origin, apart)
            known[name] = region

    def _place_faults(self) -> Iterator[Fault]:
        names = ["flash", "ram", *self.regions]
        for what, name in self.place.items():
            writable = what in PLACED and what != "weights"
            allowed = [each for each in names if not (writable and self.is_flash(each))]
            if name not in allowed:
                yield Fault(f"place.{what}", name, " or ".join(allowed))

    def faults_outside(self, flash: Region, ram: Region) -> Iterator[Fault]:
        """Lists the memories that lie outside a part's."""
        for key, region, part in (("flash", self.flash, flash), ("ram", self.ram, ram)):
            if not part.origin <= region.origin < part.end:
                allowed = f"from {part.origin} to {part.end - 1} (0x{part.origin:08x} on)"
                yield Fault(f"{key}.origin", region.origin, allowed)
            elif region.end > part.end:
                allowed = f"up to {part.end - region.origin} on this part"
                yield Fault(f"{key}.size", region.size, allowed)


class Clock(Section):
    """The core's clock, in Hz."""

    sysclk_hz: Hertz


class SerialPort(Section):
    """The serial port that the link uses: bits per second."""

    baud: Annotated[int, Field(ge=9600, le=4_000_000)]

    def is_near(self, rate: float) -> bool:
        """Whether a rate is within 2 % of ``baud``, which both ends of a line bear."""
        return abs(rate - self.baud) <= self.baud / 50


class Uart(SerialPort):
    """A serial port by its registers' address and interrupt."""

    base: Address
    irq: Annotated[int, Field(ge=0, le=239)]


class PlatformIo(Section):
    """PlatformIO's names of the board and of the platform that has it."""

    platform: Word
    board: Word


class Board(Section):
    """A board, as its TOML file describes it; see ``docs/boards.md``.

    Attributes:
        serial_registers: of the serial port, where Unicorn can stand in for the family.
    """

    serial_registers: ClassVar[SerialRegisters | None] = None

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,22}$")]
    title: str
    mcu: str
    family: str
    core: CoreName
    also_called: Annotated[list[Word], Field(default_factory=list)]
    sources: Annotated[list[str], Field(min_length=1)]
    memory: Memory
    clock: Clock
    uart: SerialPort
    usb: UsbId | None = None
    flash_tool: FlashTool = FlashTool()
    platformio: PlatformIo | None = None
    emulator: Emulator = Emulator()

    @field_validator("name")
    @classmethod
    def _named_after_its_file(cls, name: str, info: ValidationInfo) -> str:
        if info.context and name != info.context["path"].stem:
            refuse([Fault("", name, f"{info.context['path'].stem!r}, as its file is called")])
        return name

    @model_validator(mode="after")
    def _emulated(self) -> Self:
        unicorn = self.emulator.unicorn
        if unicorn and not self.serial_registers:
            refuse([Fault("emulator.unicorn.cpu", unicorn.cpu, f"nothing in family {self.family}")])
        if self.core == "avr" and (self.memory.regions or self.memory.place):
            refuse([Fault("memory.place", self.memory.place, "nothing in family avr")])
        simavr = self.emulator.simavr
        if simavr and self.family != "avr":
            refuse([Fault("emulator.simavr.mcu", simavr.mcu, "nothing but in family avr")])
        for name, family in (("rp2040js", "rp2040"), ("avr8js", "avr")):
            if getattr(self.emulator, name) and self.family != family:
                refuse([Fault("family", self.family, f"{family!r} with emulator.{name}")])
        return self

    @property
    def platform(self) -> tuple[str, ...]:
        """The folders of its platform code."""
        return (self.family,)

    @property
    def linker_script(self) -> str:
        """The template of its linker script."""
        return "cortex_m/linker.ld.j2"

    @property
    def minimum_stack(self) -> int:
        """Bytes of RAM that a firmware keeps for its stack."""
        return 2048

    @property
    def stack_in_ram(self) -> int:
        """Bytes of ``ram`` that are kept for the stack: none where it is placed elsewhere."""
        return self.minimum_stack if self.memory.at("stack") == "ram" else 0

    @property
    def constants_size(self) -> int:
        """Bytes of flash in which constants can lie."""
        return self.flash.size

    @property
    def instruction_set(self) -> Core:
        """The core's name for compilers, and the instructions it has."""
        return CORES[self.core]

    @property
    def timing(self) -> str:
        """The core whose timings it has; a Cortex-M0+ runs what is made for a Cortex-M0."""
        return self.core

    @property
    def flash(self) -> Region:
        """Flash memory."""
        return self.memory.flash

    @property
    def ram(self) -> Region:
        """Main memory."""
        return self.memory.ram
