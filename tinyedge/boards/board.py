"""Reading and checking board descriptions."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from tinyedge.boards.cores import CORES, Core, CoreName
from tinyedge.errors import BoardError
from tinyedge.templates import data_folder

DEFAULT_BOARD = "netduinoplus2"

Hertz = Annotated[int, Field(gt=0, le=1_000_000_000)]
Address = Annotated[int, Field(ge=0, lt=2**32)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Region(_Record):
    """A memory: address and size in bytes."""

    origin: Address
    size: Annotated[int, Field(gt=0, le=2**30)]


class Memory(_Record):
    """Where code and data go."""

    flash: Region
    ram: Region

    @model_validator(mode="after")
    def _apart(self) -> Memory:
        first, second = sorted((self.flash, self.ram), key=lambda region: region.origin)
        if first.origin + first.size > second.origin:
            raise ValueError("flash and ram overlap")
        return self


class Clock(_Record):
    """The core's clock, in Hz."""

    sysclk_hz: Hertz


class Stm32Clock(Clock):
    """Crystal, PLL and prescalers, in Hz and as the reference manual names the factors."""

    hse_hz: Hertz
    pll_m: Annotated[int, Field(ge=2, le=63)]
    pll_n: Annotated[int, Field(ge=50, le=432)]
    pll_p: Literal[2, 4, 6, 8]
    pll_q: Annotated[int, Field(ge=2, le=15)]
    flash_wait_states: Annotated[int, Field(ge=0, le=15)]
    apb1_divider: Literal[1, 2, 4, 8, 16]
    apb2_divider: Literal[1, 2, 4, 8, 16]

    @model_validator(mode="after")
    def _adds_up(self) -> Stm32Clock:
        given = self.hse_hz * self.pll_n // (self.pll_m * self.pll_p)
        if given != self.sysclk_hz:
            raise ValueError(f"hse_hz * pll_n / (pll_m * pll_p) is {given}, not sysclk_hz")
        return self


class Nrf51Clock(Clock):
    """An nRF51 runs at 16 MHz, whatever its crystal."""

    sysclk_hz: Literal[16_000_000]


class Uart(_Record):
    """The serial port that the link uses: registers' address, interrupt, and bits per second."""

    base: Address
    irq: Annotated[int, Field(ge=0, le=239)]
    baud: Annotated[int, Field(ge=9600, le=4_000_000)]


class Stm32Uart(Uart):
    """A serial port of an STM32: bus, bit in the bus's enable register, pins."""

    peripheral: Annotated[str, Field(pattern=r"^L?P?US?ART\d+$")]
    apb: Literal[1, 2]
    enable_bit: Annotated[int, Field(ge=0, le=31)]
    tx: Annotated[str, Field(pattern=r"^P[A-K](\d|1[0-5])$")]
    rx: Annotated[str, Field(pattern=r"^P[A-K](\d|1[0-5])$")]
    alternate_function: Annotated[int, Field(ge=0, le=15)]

    @property
    def tx_port(self) -> int:
        """Index of the transmit pin's port, A = 0."""
        return ord(self.tx[1]) - ord("A")

    @property
    def tx_pin(self) -> int:
        """Number of the transmit pin in its port."""
        return int(self.tx[2:])

    @property
    def rx_port(self) -> int:
        """Index of the receive pin's port, A = 0."""
        return ord(self.rx[1]) - ord("A")

    @property
    def rx_pin(self) -> int:
        """Number of the receive pin in its port."""
        return int(self.rx[2:])


class Mps2Uart(Uart):
    """A CMSDK APB UART: ``clock_hz`` is the frequency of its bus."""

    clock_hz: Hertz

    @property
    def divider(self) -> int:
        """Clocks that a bit takes."""
        return round(self.clock_hz / self.baud)

    @model_validator(mode="after")
    def _divides(self) -> Mps2Uart:
        if not 16 <= self.divider < 2**20:
            raise ValueError(f"clock_hz / baud is {self.divider}, not from 16 to {2**20 - 1}")
        return self


class Nrf51Uart(Uart):
    """The serial port of an nRF51: pins."""

    base: Literal[0x40002000]
    baud: Annotated[int, Field(ge=9600, le=1_000_000)]
    tx: Annotated[str, Field(pattern=r"^P0\.([12]?\d|3[01])$")]
    rx: Annotated[str, Field(pattern=r"^P0\.([12]?\d|3[01])$")]

    @property
    def tx_pin(self) -> int:
        """Number of the transmit pin."""
        return int(self.tx[3:])

    @property
    def rx_pin(self) -> int:
        """Number of the receive pin."""
        return int(self.rx[3:])

    @property
    def baudrate(self) -> int:
        """The register's value: ``baud / 16 MHz`` as a fraction of 2**32, in steps of 2**12."""
        return ((self.baud << 32) // 16_000_000 + 0x800) & ~0xFFF


class Dfu(_Record):
    """The DFU of the boot ROM: vendor and product of its USB device."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]


class FlashTool(_Record):
    """How the board's flash can be written."""

    dfu: Dfu | None = None


class Qemu(_Record):
    """How QEMU stands in: machine, serial port, and what a tick of the counter is worth.

    The counter is SysTick, on an nRF51 TIMER0; ``systick_hz`` is what it counts at.
    """

    machine: str
    serial: Annotated[int, Field(ge=0, le=7)]
    icount_shift: Annotated[int, Field(ge=0, le=10)]
    systick_hz: Hertz

    @property
    def ticks_per_instruction(self) -> float:
        """Ticks of the counter that pass in one instruction under ``-icount``."""
        return float(self.systick_hz << self.icount_shift) * 1e-9


class Unicorn(_Record):
    """How Unicorn stands in."""

    cpu: Literal["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"]


class Emulator(_Record):
    """The emulators that can stand in for the board."""

    qemu: Qemu | None = None
    unicorn: Unicorn | None = None


class Board(_Record):
    """A board, as its TOML file describes it; see ``docs/boards.md``."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,22}$")]
    title: str
    mcu: str
    family: str
    core: CoreName
    sources: Annotated[list[str], Field(min_length=1)]
    memory: Memory
    clock: Clock
    uart: Uart
    flash_tool: FlashTool = FlashTool()
    emulator: Emulator = Emulator()

    @property
    def instruction_set(self) -> Core:
        """What the core's compilers call it, and which instructions it has."""
        return CORES[self.core]

    @property
    def flash(self) -> Region:
        """Flash memory."""
        return self.memory.flash

    @property
    def ram(self) -> Region:
        """Main memory."""
        return self.memory.ram


class Stm32f4Board(Board):
    """A board with an STM32F405/407/415/417."""

    family: Literal["stm32f4"]
    core: Literal["cortex-m4"]
    clock: Stm32Clock
    uart: Stm32Uart


class Mps2Board(Board):
    """Arm's MPS2 or MPS3 with one of its FPGA images; also a smaller core's code on one."""

    family: Literal["mps2"]
    uart: Mps2Uart


class Nrf51Board(Board):
    """A board with an nRF51."""

    family: Literal["nrf51"]
    core: Literal["cortex-m0"]
    clock: Nrf51Clock
    uart: Nrf51Uart


_FAMILIES: TypeAdapter[Board] = TypeAdapter(
    Annotated[Stm32f4Board | Mps2Board | Nrf51Board, Field(discriminator="family")]
)


def board_names() -> list[str]:
    """Names of all boards that tinyedge brings along."""
    return sorted(path.stem for path in data_folder("boards").glob("*.toml"))


def read_board(path: Path) -> Board:
    """Reads one board file.

    Raises:
        BoardError: the file is missing or wrong; the message lists every fault with its key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardError(f"{path}: cannot be read as TOML: {error}") from error
    try:
        return _FAMILIES.validate_python(content)
    except ValidationError as error:
        # A fault's place begins with the family, unless that is the fault.
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'][1:])) or 'family'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise BoardError(f"{path}: {faults}") from error


def load_board(name: str) -> Board:
    """Loads a board by name, or from a ``.toml`` file.

    Raises:
        BoardError: there is no such board, or its description is wrong.
    """
    if name.endswith(".toml"):
        return read_board(Path(name))
    names = board_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        raise BoardError(
            f"unknown board '{name}'",
            hint=(f"did you mean '{close[0]}'? " if close else "") + f"known: {', '.join(names)}",
        )
    return read_board(data_folder("boards") / f"{name}.toml")
