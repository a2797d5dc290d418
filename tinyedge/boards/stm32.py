"""What STM32 parts can do: limits that a board's description has to keep.

From their data sheets, at 2.7 V and above; ``tests/boards/test_vendor_data.py`` compares with ST's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MHZ = 1_000_000
_KB = 1024

FLASH_ORIGIN = 0x08000000
RAM_ORIGIN = 0x20000000

FLASH_SIZES = {
    letter: size * _KB
    for letter, size in {"B": 128, "C": 256, "D": 384, "E": 512, "G": 1024}.items()
}
"""By the letter that follows a part's number of pins."""


@dataclass(frozen=True)
class SerialPort:
    """A USART or UART: its pins, and the alternate function that connects them."""

    alternate_function: int
    tx: tuple[str, ...]
    rx: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A line of parts, as STM32F405.

    Attributes:
        ram: bytes from ``RAM_ORIGIN`` on, of the largest part.
        sysclk, apb1, apb2: the highest frequencies in Hz.
        without_over_drive: the highest ``sysclk`` that needs no over-drive, where there is one.
        voltage_scale: the field VOS of the power controller at full speed.
        pll_n: the least factor of the PLL.
        vco: the least and the highest frequency of the PLL's oscillator in Hz.
        wait_state: what one more wait state of the flash allows, in Hz.
        serial: the serial ports.
    """

    ram: int
    sysclk: int
    apb1: int
    apb2: int
    voltage_scale: int
    vco: tuple[int, int]
    wait_state: int
    serial: Mapping[str, SerialPort]
    pll_n: int = 0
    without_over_drive: int | None = None


_F4_SERIAL = {
    "USART1": SerialPort(7, ("PA9", "PB6"), ("PA10", "PB7")),
    "USART2": SerialPort(7, ("PA2", "PD5"), ("PA3", "PD6")),
    "USART6": SerialPort(8, ("PC6",), ("PC7",)),
}
_F4_MORE_SERIAL = _F4_SERIAL | {
    "USART3": SerialPort(7, ("PB10", "PC10", "PD8"), ("PB11", "PC11", "PD9")),
    "UART4": SerialPort(8, ("PA0", "PC10"), ("PA1", "PC11")),
    "UART5": SerialPort(8, ("PC12",), ("PD2",)),
}
_L4_SERIAL = {
    "USART1": SerialPort(7, ("PA9", "PB6"), ("PA10", "PB7")),
    "USART2": SerialPort(7, ("PA2", "PD5"), ("PA3", "PD6")),
    "USART3": SerialPort(7, ("PB10", "PC4", "PC10", "PD8"), ("PB11", "PC5", "PC11", "PD9")),
    "UART4": SerialPort(8, ("PA0", "PC10"), ("PA1", "PC11")),
    "UART5": SerialPort(8, ("PC12",), ("PD2",)),
}

_F405 = Part(
    ram=128 * _KB,
    sysclk=168 * _MHZ,
    apb1=42 * _MHZ,
    apb2=84 * _MHZ,
    voltage_scale=1,
    vco=(100 * _MHZ, 432 * _MHZ),
    wait_state=30 * _MHZ,
    serial=_F4_MORE_SERIAL,
)
_L476 = Part(
    ram=96 * _KB,
    sysclk=80 * _MHZ,
    apb1=80 * _MHZ,
    apb2=80 * _MHZ,
    voltage_scale=1,
    vco=(64 * _MHZ, 344 * _MHZ),
    wait_state=16 * _MHZ,
    serial=_L4_SERIAL,
)

PARTS: dict[str, dict[str, Part]] = {
    "stm32f4": {
        "STM32F401": Part(
            ram=96 * _KB,
            sysclk=84 * _MHZ,
            apb1=42 * _MHZ,
            apb2=84 * _MHZ,
            voltage_scale=2,
            vco=(192 * _MHZ, 432 * _MHZ),
            pll_n=192,
            wait_state=30 * _MHZ,
            serial=_F4_SERIAL,
        ),
        "STM32F405": _F405,
        "STM32F407": _F405,
        "STM32F411": Part(
            ram=128 * _KB,
            sysclk=100 * _MHZ,
            apb1=50 * _MHZ,
            apb2=100 * _MHZ,
            voltage_scale=3,
            vco=(100 * _MHZ, 432 * _MHZ),
            wait_state=30 * _MHZ,
            serial=_F4_SERIAL,
        ),
        "STM32F415": _F405,
        "STM32F417": _F405,
        "STM32F446": Part(
            ram=128 * _KB,
            sysclk=180 * _MHZ,
            apb1=45 * _MHZ,
            apb2=90 * _MHZ,
            without_over_drive=168 * _MHZ,
            voltage_scale=3,
            vco=(100 * _MHZ, 432 * _MHZ),
            wait_state=30 * _MHZ,
            serial=_F4_MORE_SERIAL,
        ),
    },
    "stm32l4": {"STM32L475": _L476, "STM32L476": _L476},
}
"""By family, and by the beginning of the name that ``mcu`` gives."""
