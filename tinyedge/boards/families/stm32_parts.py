"""The limits of STM32 parts, which a board's description has to keep.

From their data sheets, at 2.7 V and above; ``tests/boards/test_vendor_data.py`` compares with ST's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

_MHZ = 1_000_000
_KB = 1024

FLASH_ORIGIN = 0x08000000
RAM_ORIGIN = 0x20000000
AXI_SRAM_ORIGIN = 0x24000000

FLASH_SIZES = {
    letter: size * _KB
    for letter, size in {
        "8": 64,
        "B": 128,
        "C": 256,
        "D": 384,
        "E": 512,
        "G": 1024,
        "I": 2048,
    }.items()
}
"""By what follows the letter of a part's number of pins."""


@dataclass(frozen=True)
class SerialPort:
    """A USART or UART: its pins, and the alternate function that connects them.

    ``rx_functions`` has receive pins with another. Pins of an STM32F1 have none: 0 stands for them.
    """

    alternate_function: int
    tx: tuple[str, ...]
    rx: tuple[str, ...]
    rx_functions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A line of parts, as STM32F405.

    Attributes:
        ram: bytes from ``ram_origin`` on, of the largest part.
        sysclk, apb1, apb2: the highest frequencies in Hz; without over-drive all are lower, in
            proportion.
        without_over_drive: the highest ``sysclk`` that needs no over-drive, where there is one;
            with an STM32H7 that takes the core's voltage from scale 1 to scale 0.
        voltage_scale: the field VOS of the power controller at full speed, where it has one.
        pll_n: the least factor of the PLL.
        vco: the least and the highest frequency of the PLL's oscillator in Hz.
        wait_states: the highest frequency in Hz of the flash's bus with 0, 1, 2, … wait states.
        serial: the serial ports.
        supplies: of the core, as bits 0 to 5 of the power controller's CR3, by name; those that
            cannot supply it at full speed are in ``slow_supplies``.
        supply_mask: those of these bits that the part has.
        divided_once: whether the PLL's output may be what its oscillator has.
    """

    ram: int
    sysclk: int
    apb1: int
    apb2: int
    vco: tuple[int, int]
    wait_states: tuple[int, ...]
    serial: Mapping[str, SerialPort]
    voltage_scale: int = 0
    pll_n: int = 0
    without_over_drive: int | None = None
    ram_origin: int = RAM_ORIGIN
    supplies: Mapping[str, int] = field(default_factory=dict)
    slow_supplies: tuple[str, ...] = ()
    supply_mask: int = 0
    divided_once: bool = False


def _steps(hz: int) -> tuple[int, ...]:
    return tuple(hz * (states + 1) for states in range(8))


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

_H7_SERIAL = {
    "USART1": SerialPort(7, ("PA9", "PB6"), ("PA10", "PB7")),
    "USART2": SerialPort(7, ("PA2", "PD5"), ("PA3", "PD6")),
    "USART3": SerialPort(7, ("PB10", "PC10", "PD8"), ("PB11", "PC11", "PD9")),
    "USART6": SerialPort(7, ("PC6", "PG14"), ("PC7", "PG9")),
}
_F7_SERIAL = _H7_SERIAL | {
    "USART6": SerialPort(8, ("PC6", "PG14"), ("PC7", "PG9")),
}
_LDO = 0b000010
_SMPS = 0b000100
_SMPS_SUPPLIES = {
    "ldo": _LDO,
    "smps": _SMPS,
    "smps-1v8-ldo": 0b010000 | _SMPS | _LDO,
    "smps-2v5-ldo": 0b100000 | _SMPS | _LDO,
}
"""RM0399 and RM0468, supply configuration control: directly, or the step-down converter, or that at
1.8 V or 2.5 V with the regulator behind it."""

_F405 = Part(
    ram=128 * _KB,
    sysclk=168 * _MHZ,
    apb1=42 * _MHZ,
    apb2=84 * _MHZ,
    voltage_scale=1,
    vco=(100 * _MHZ, 432 * _MHZ),
    wait_states=_steps(30 * _MHZ),
    serial=_F4_MORE_SERIAL,
)
_L476 = Part(
    ram=96 * _KB,
    sysclk=80 * _MHZ,
    apb1=80 * _MHZ,
    apb2=80 * _MHZ,
    voltage_scale=1,
    vco=(64 * _MHZ, 344 * _MHZ),
    wait_states=_steps(16 * _MHZ),
    serial=_L4_SERIAL,
)
_F767 = Part(
    ram=512 * _KB,
    sysclk=216 * _MHZ,
    apb1=54 * _MHZ,
    apb2=108 * _MHZ,
    without_over_drive=180 * _MHZ,
    voltage_scale=3,
    vco=(100 * _MHZ, 432 * _MHZ),
    wait_states=_steps(30 * _MHZ),
    serial=_F7_SERIAL,
)
_H743 = Part(
    ram=512 * _KB,
    ram_origin=AXI_SRAM_ORIGIN,
    sysclk=480 * _MHZ,
    apb1=120 * _MHZ,
    apb2=120 * _MHZ,
    without_over_drive=400 * _MHZ,
    voltage_scale=3,
    vco=(192 * _MHZ, 960 * _MHZ),
    wait_states=(70 * _MHZ, 140 * _MHZ, 210 * _MHZ, 225 * _MHZ, 240 * _MHZ),
    serial=_H7_SERIAL,
    supplies={"ldo": _LDO},
    supply_mask=0b000011,
)

_F103 = Part(
    ram=20 * _KB,
    sysclk=72 * _MHZ,
    apb1=36 * _MHZ,
    apb2=72 * _MHZ,
    vco=(16 * _MHZ, 72 * _MHZ),
    wait_states=(24 * _MHZ, 48 * _MHZ, 72 * _MHZ),
    serial={
        "USART1": SerialPort(0, ("PA9",), ("PA10",)),
        "USART2": SerialPort(0, ("PA2",), ("PA3",)),
        "USART3": SerialPort(0, ("PB10",), ("PB11",)),
    },
)
_F303 = replace(
    _F103,
    ram=64 * _KB,
    serial={
        "USART1": SerialPort(7, ("PA9", "PB6", "PC4"), ("PA10", "PB7", "PC5")),
        "USART2": SerialPort(7, ("PA2", "PB3", "PD5"), ("PA3", "PB4", "PD6")),
        "USART3": SerialPort(7, ("PB10", "PC10", "PD8"), ("PB11", "PC11", "PD9")),
    },
)
_G474 = Part(
    ram=96 * _KB,
    sysclk=170 * _MHZ,
    apb1=170 * _MHZ,
    apb2=170 * _MHZ,
    voltage_scale=1,
    vco=(96 * _MHZ, 344 * _MHZ),
    wait_states=_steps(34 * _MHZ),  # in boost mode, which firmware enters
    serial={
        "USART1": SerialPort(7, ("PA9", "PB6", "PC4"), ("PA10", "PB7", "PC5")),
        "USART2": SerialPort(7, ("PA2", "PB3", "PD5"), ("PA3", "PB4", "PD6")),
        "USART3": SerialPort(7, ("PB10", "PC10", "PD8"), ("PB11", "PC11", "PD9")),
    },
)

_H563 = Part(
    ram=640 * _KB,
    sysclk=250 * _MHZ,
    apb1=250 * _MHZ,
    apb2=250 * _MHZ,
    voltage_scale=3,
    vco=(192 * _MHZ, 836 * _MHZ),
    wait_states=(42 * _MHZ, 84 * _MHZ, 126 * _MHZ, 168 * _MHZ, 210 * _MHZ, 250 * _MHZ),
    serial={
        "USART1": SerialPort(7, ("PA9", "PB6"), ("PA10", "PB7")),
        "USART2": SerialPort(7, ("PA2", "PD5"), ("PA3", "PD6")),
        "USART3": SerialPort(7, ("PB10", "PC10", "PD8"), ("PC4", "PC11", "PD9")),
        "USART6": SerialPort(7, ("PC6", "PG14"), ("PC7", "PG9")),
    },
)
# PG9 and PG10 are left out: they have a supply of their own, which firmware does not switch on.
_U575 = Part(
    ram=768 * _KB,
    sysclk=160 * _MHZ,
    apb1=160 * _MHZ,
    apb2=160 * _MHZ,
    voltage_scale=3,
    vco=(128 * _MHZ, 544 * _MHZ),
    wait_states=_steps(32 * _MHZ),
    serial={
        "USART1": SerialPort(7, ("PA9", "PB6"), ("PA10", "PB7")),
        "USART2": SerialPort(7, ("PA2", "PD5"), ("PA3", "PA15", "PD6"), {"PA15": 3}),
        "USART3": SerialPort(7, ("PB10", "PC10", "PD8"), ("PB11", "PC11", "PD9")),
    },
)

PARTS: dict[str, dict[str, Part]] = {
    "stm32f1": {"STM32F103": _F103},
    "stm32f3": {"STM32F303": _F303},
    "stm32f4": {
        "STM32F401": Part(
            ram=96 * _KB,
            sysclk=84 * _MHZ,
            apb1=42 * _MHZ,
            apb2=84 * _MHZ,
            voltage_scale=2,
            vco=(192 * _MHZ, 432 * _MHZ),
            pll_n=192,
            wait_states=_steps(30 * _MHZ),
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
            wait_states=_steps(30 * _MHZ),
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
            wait_states=_steps(30 * _MHZ),
            serial=_F4_MORE_SERIAL,
        ),
    },
    "stm32f7": {"STM32F767": _F767},
    "stm32h5": {"STM32H563": _H563},
    "stm32u5": {"STM32U575": _U575, "STM32U585": _U575},
    "stm32h7": {
        # At up to 520 MHz: 550 MHz take an option bit (CPUFREQ_BOOST) that is off as delivered, and
        # with which the memories lose their error correction.
        "STM32H735": Part(
            ram=320 * _KB,
            ram_origin=AXI_SRAM_ORIGIN,
            sysclk=520 * _MHZ,
            apb1=137_500_000,
            apb2=137_500_000,
            voltage_scale=0,
            vco=(192 * _MHZ, 836 * _MHZ),
            wait_states=(70 * _MHZ, 140 * _MHZ, 210 * _MHZ, 275 * _MHZ),
            serial=_H7_SERIAL,
            supplies=_SMPS_SUPPLIES,
            supply_mask=0b111111,
            divided_once=True,
        ),
        "STM32H743": _H743,
        # In over-drive the step-down converter alone would give more than the core bears.
        "STM32H747": replace(
            _H743, supplies=_SMPS_SUPPLIES, slow_supplies=("smps",), supply_mask=0b111111
        ),
    },
    "stm32g4": {"STM32G431": replace(_G474, ram=22 * _KB), "STM32G474": _G474},
    "stm32l4": {
        "STM32L432": replace(
            _L476,
            ram=48 * _KB,
            serial={
                "USART1": SerialPort(7, ("PA9", "PB6"), ("PA10", "PB7")),
                "USART2": SerialPort(7, ("PA2",), ("PA3", "PA15"), {"PA15": 3}),
            },
        ),
        "STM32L475": _L476,
        "STM32L476": _L476,
    },
}
"""By family, and by the beginning of the name that ``mcu`` gives."""
