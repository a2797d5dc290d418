/* An RP2350's registers that an RP2040 has elsewhere, or differently. */
#ifndef TE_RP2_FAMILY_H
#define TE_RP2_FAMILY_H

#define CLOCKS_BASE 0x40010000u
#define CLK_DIV_1 (1u << 16)
#define RESETS_BASE 0x40020000u
#define RESETS_IO_BANK0 (1u << 6)
#define RESETS_PADS_BANK0 (1u << 9)
#define RESETS_PLL_SYS (1u << 14)
#define RESETS_UART (1u << (26u + BOARD_UART_NUMBER))
#define IO_BANK0_BASE 0x40028000u
#define PADS_BANK0_BASE 0x40038000u
#define XOSC_BASE 0x40048000u
#define PLL_SYS_BASE 0x40050000u

/* The ring oscillator, which runs from reset on; a nominal value. */
#define ROSC_HZ 11000000u

#endif
