"""The cores: what compilers call them, and which instructions they have."""

from __future__ import annotations

from dataclasses import dataclass

from tinyedge.names import CORE_NAMES, CoreName


@dataclass(frozen=True)
class Core:
    """A core.

    Attributes:
        name: as Arm and gcc's ``-mcpu`` spell it; ``avr`` for 8-bit AVRs.
        zig: as zig's ``-mcpu`` spells it, with the extensions that zig takes for optional; None
            where zig does not compile for it.
        thumb2: 32-bit Thumb instructions, ``umull`` and hardware division among them (ARMv7-M and
            later); without them only ARMv6-M.
        dsp: the DSP extension: ``smlad``, ``sxtb16`` and other operations on packed halfwords.
        mve: Helium: integer vectors of 128 bits.
        flash_apart: flash is read by other instructions than RAM. Only the plain kernels do that;
            they also suit the few KB of RAM that such a core has.
    """

    name: CoreName
    zig: str | None
    thumb2: bool = True
    dsp: bool = False
    mve: bool = False
    flash_apart: bool = False

    @property
    def gcc(self) -> str:
        """As gcc's ``-mcpu`` spells it."""
        return self.name

    def has_kernels_of(self, other: Core) -> bool:
        """Whether the same kernels are chosen for both."""
        mine, others = (
            (core.thumb2, core.dsp, core.mve, core.flash_apart) for core in (self, other)
        )
        return mine == others


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        Core("cortex-m0", "cortex_m0", thumb2=False),
        Core("cortex-m3", "cortex_m3"),
        Core("cortex-m4", "cortex_m4", dsp=True),
        Core("cortex-m7", "cortex_m7", dsp=True),
        Core("cortex-m33", "cortex_m33+dsp", dsp=True),
        Core("cortex-m55", "cortex_m55+mve", dsp=True, mve=True),
        Core("avr", None, thumb2=False, flash_apart=True),
    )
}

assert set(CORES) == set(CORE_NAMES)
