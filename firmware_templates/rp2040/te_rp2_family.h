/* An RP2040's registers that an RP2350 has elsewhere, or differently. */
#ifndef TE_RP2_FAMILY_H
#define TE_RP2_FAMILY_H

#define CLOCKS_BASE 0x40008000u
#define CLK_DIV_1 (1u << 8)
#define RESETS_BASE 0x4000c000u
#define RESETS_IO_BANK0 (1u << 5)
#define RESETS_PADS_BANK0 (1u << 8)
#define RESETS_PLL_SYS (1u << 12)
#define RESETS_UART (1u << (22u + BOARD_UART_NUMBER))
#define IO_BANK0_BASE 0x40014000u
#define PADS_BANK0_BASE 0x4001c000u
#define XOSC_BASE 0x40024000u
#define PLL_SYS_BASE 0x40028000u

/* The ring oscillator, which runs from reset on: 1.8 to 12 MHz, 6.5 MHz by its nominal value. */
#define ROSC_HZ 6500000u

#endif
