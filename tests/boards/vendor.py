"""ST's own data of its parts, as two Python packages bring them.

``cmsis-svd`` 0.4 has ST's descriptions of registers, under ST's licence for development tools;
``modm-devices`` what ST's configurator knows of memories, interrupts, pins and frequencies, under
the MPL 2.0. No package brings register descriptions of the STM32F767, G4, H5, H735, H743, H747,
L432 and U5: ``stm32_registers.toml`` has what was read in ST's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

PACKAGES = [name for name in ("cmsis_svd", "modm_devices") if find_spec(name)]
"""Those that are installed."""

_SVDS = {
    "STM32F103": "STM32F103xx",
    "STM32F303": "STM32F303xE",
    "STM32F401": "STM32F401xE",
    "STM32F405": "STM32F40x",
    "STM32F407": "STM32F40x",
    "STM32F411": "STM32F411xx",
    "STM32F446": "STM32F446x",
    "STM32L475": "STM32L4x6",  # one reference manual, RM0351, is for both
    "STM32L476": "STM32L4x6",
}


def _number(node: ET.Element, tag: str) -> int:
    text = node.findtext(tag) or "0"
    return int(text, 16 if text.lower().startswith("0x") else 10)


class Registers:
    """Registers of a part.

    Attributes:
        bases: address of every peripheral, by its name.
        interrupts: by name.
        addresses: of every register, by ``PERIPHERAL.REGISTER``.
        reset: each one's value after reset.
        fields: offset and width of each one's fields.
    """

    def __init__(self, mcu: str) -> None:
        self.bases: dict[str, int] = {}
        self.interrupts: dict[str, int] = {}
        self.addresses: dict[str, int] = {}
        self.reset: dict[str, int] = {}
        self.fields: dict[str, dict[str, tuple[int, int]]] = {}
        if mcu[:9] in _SVDS:
            self._read_svd(_SVDS[mcu[:9]])
        else:
            self._read_excerpt(mcu[:9])

    def _read_excerpt(self, line: str) -> None:
        text = (Path(__file__).parent / "stm32_registers.toml").read_text()
        # Start-up touches the same registers in the files of both.
        same = {"STM32G431": "STM32G474", "STM32U585": "STM32U575"}
        registers = tomllib.loads(text)[same.get(line, line)]
        self.interrupts = registers.pop("interrupts")
        for name, register in registers.items():
            peripheral = name.partition(".")[0]
            address = self.addresses[name] = register["address"]
            self.bases[peripheral] = min(address, self.bases.get(peripheral, address))
            self.reset[name] = register["reset"]
            half = name.rpartition(".")[2]
            self.fields[name] = {
                # MODE8 and AFSEL8 of an H7 are called MODER8 and AFRH8 elsewhere.
                re.sub(r"^MODE(?=\d)", "MODER", field).replace("AFSEL", half): (at, bits)
                for field, (at, bits) in register["fields"].items()
            }
        # ST's files lack fields that RM0399 and RM0468 have, and give the H747's flash the reset
        # value of the power controller.
        if line in ("STM32H735", "STM32H747"):
            self.fields["PWR.CR3"] |= {"SDEXTHP": (3, 1), "SDLEVEL": (4, 2)}
            self.reset["FLASH.ACR"] = 0x37

    def _read_svd(self, svd: str) -> None:
        path = resources.files("cmsis_svd") / f"data/STMicro/{svd}.svd"
        root = ET.fromstring(path.read_bytes())  # noqa: S314 - a file of a pinned package
        peripherals = {str(node.findtext("name")): node for node in root.iter("peripheral")}
        for name, node in peripherals.items():
            self.bases[name.upper()] = _number(node, "baseAddress")
            for interrupt in node.findall("interrupt"):
                spelled = str(interrupt.findtext("name")).removesuffix("_IRQ")
                self.interrupts[spelled] = _number(interrupt, "value")
            described = peripherals.get(node.get("derivedFrom", ""), node)
            for register in described.iter("register"):
                self._add(name.upper(), register)
        # ST's file of the F405 and F407 lacks the field that RM0090 has.
        if "PWR.CR" in self.fields:
            self.fields["PWR.CR"].setdefault("VOS", (14, 2))

    def _add(self, peripheral: str, register: ET.Element) -> None:
        name = f"{peripheral}.{register.findtext('name')}"
        self.addresses[name] = self.bases[peripheral] + _number(register, "addressOffset")
        self.reset[name] = _number(register, "resetValue")
        fields: dict[str, tuple[int, int]] = {}
        for field in register.iter("field"):
            spelled = str(field.findtext("name"))
            fields[spelled] = (_number(field, "bitOffset"), _number(field, "bitWidth"))
            # Some files give PLLN0 to PLLN8, one bit each, for what is one number.
            if fields[spelled][1] == 1 and (split := re.fullmatch(r"(PLL[MNPQ]|SWS?)\d", spelled)):
                offset, width = fields.get(split[1], (32, 0))
                fields[split[1]] = (min(offset, fields[spelled][0]), width + 1)
        self.fields[name] = fields


class Device:
    """A part, by its full name, as ``STM32F446RE``.

    Attributes:
        memories: origin and size, by name.
        interrupts: by name.
        signals: the alternate function by which a pin has a signal, as ``("PA2", "USART2", "tx")``.
        pins: of the package.
        highest_hz: of the core.
        wait_states: up to which frequency each number of wait states goes, at full voltage.
    """

    def __init__(self, mcu: str) -> None:
        found = re.fullmatch(r"STM32([FGHLU]\d)(\d\d)([A-Z])([A-Z\d])", mcu)
        assert found, mcu
        part = dict(
            zip(("family", "name", "pin", "size"), map(str.lower, found.groups()), strict=True)
        )
        # Parts with so many pins come in a package without leads only, or as a ball grid.
        package = {"a": "i", "c": "u", "i": "k", "x": "h"}.get(part["pin"], "t")
        variant = "q" if part["family"] == "u5" else ""  # with a step-down converter, as the boards
        part |= {"package": package, "temperature": "6", "variant": variant, "core": "m7"}
        root = self._read(part)
        self.memories = {
            node.attrib["name"]: (int(node.attrib["start"], 0), int(node.attrib["size"]))
            for node in root.iter("memory")
            if not node.attrib["name"].endswith("_s")  # the same once more, for secure code
        }
        self.interrupts = {
            node.attrib["name"]: int(node.attrib["position"]) for node in root.iter("vector")
        }
        self.signals = {
            (
                f"P{gpio.attrib['port'].upper()}{gpio.attrib['pin']}",
                f"{signal.attrib['driver']}{signal.get('instance', '')}".upper(),
                signal.attrib["name"],
            ): int(signal.attrib["af"])
            for gpio in root.iter("gpio")
            for signal in gpio.iter("signal")
            if "af" in signal.attrib and "driver" in signal.attrib
        }
        # Pins of an STM32F1 have what is not remapped.
        for remap in root.iter("remap"):
            for signal in remap.iterfind("group[@id='0']/signal"):
                pin = f"P{signal.get('port', '').upper()}{signal.get('pin')}"
                driver = f"{remap.get('driver')}{remap.get('instance', '')}".upper()
                self.signals[pin, driver, str(signal.get("name"))] = 0
        self.pins = {node.attrib["name"].partition(" ")[0] for node in root.iter("pin")}
        self.highest_hz = int(next(root.iter("max-frequency")).attrib["value"])
        at_full_voltage = max(root.iter("latency"), key=lambda node: int(node.attrib["vcore-min"]))
        self.wait_states = [int(node.attrib["hclk-max"]) for node in at_full_voltage]

    @staticmethod
    def _read(part: dict[str, str]) -> ET.Element:
        folder = resources.files("modm_devices") / "resources/devices/stm32"
        files = (
            path for path in folder.iterdir() if path.name.startswith(f"stm32{part['family']}")
        )
        for path in files:
            root = ET.fromstring(path.read_bytes())  # noqa: S314 - a file of a pinned package
            device = next(root.iter("device"))
            keys = ("name", "pin", "size", "variant")
            if all(part[key] in device.attrib[key].split("|") for key in keys):
                _keep(device, part)
                return device
        raise LookupError(str(part))

    @property
    def flash(self) -> tuple[int, int]:
        """Origin and size of all banks."""
        banks = sorted(area for name, area in self.memories.items() if name.startswith("flash"))
        return banks[0][0], sum(size for _, size in banks)

    def ram_from(self, origin: int) -> int:
        """Bytes of RAM from an address on, over memories that join each other."""
        end = origin
        for start, size in sorted(self.memories.values()):
            end = start + size if start == end else end
        return end - origin


def _keep(node: ET.Element, part: dict[str, str]) -> None:
    """Drops what is not of a part."""
    for child in list(node):
        if all(part[key] in values for key, values in _conditions(child)):
            _keep(child, part)
        else:
            node.remove(child)


def _conditions(node: ET.Element) -> Iterator[tuple[str, list[str]]]:
    for key, value in node.attrib.items():
        if key.startswith("device-"):
            yield key.removeprefix("device-"), value.split("|")
