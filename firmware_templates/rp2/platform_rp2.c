/* Clock tree, counter and serial port of an RP2040 (data sheet RP-008371-DS) or RP2350 (RP-008373-DS). */
#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_rp2_family.h"
#include "te_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
/* What is written here is cleared in the register. */
#define CLEAR_BITS(address) REGISTER((address) + 0x3000u)

#define RESETS_RESET (RESETS_BASE + 0x00u)
#define RESETS_RESET_DONE (RESETS_BASE + 0x08u)

#define SELECTED(source) (1u << (source))
#define CLK_REF_CTRL (CLOCKS_BASE + 0x30u)
#define CLK_REF_CTRL_SRC_MASK 3u
#define CLK_REF_CTRL_XOSC 2u
#define CLK_REF_DIV REGISTER(CLOCKS_BASE + 0x34u)
#define CLK_REF_SELECTED (CLOCKS_BASE + 0x38u)
#define CLK_SYS_CTRL (CLOCKS_BASE + 0x3cu)
#define CLK_SYS_CTRL_AUX 1u /* with 0 in AUXSRC: the PLL */
#define CLK_SYS_DIV REGISTER(CLOCKS_BASE + 0x40u)
#define CLK_SYS_SELECTED (CLOCKS_BASE + 0x44u)
#define CLK_PERI_CTRL REGISTER(CLOCKS_BASE + 0x48u)
#define CLK_PERI_CTRL_ENABLE (1u << 11) /* with 0 in AUXSRC: the core's clock */

#define XOSC_CTRL REGISTER(XOSC_BASE + 0x00u)
#define XOSC_CTRL_1_15_MHZ 0xaa0u
#define XOSC_CTRL_ENABLE (0xfabu << 12)
#define XOSC_STATUS (XOSC_BASE + 0x04u)
#define XOSC_STATUS_STABLE (1u << 31)
#define XOSC_STARTUP REGISTER(XOSC_BASE + 0x0cu)
#define XOSC_STARTUP_DELAY (BOARD_CRYSTAL_HZ / 1000u / 256u + 1u) /* 1 ms, in 256 of its cycles */

#define PLL_SYS_CS (PLL_SYS_BASE + 0x00u)
#define PLL_SYS_CS_REFDIV_1 1u
#define PLL_SYS_CS_LOCK (1u << 31)
#define PLL_SYS_PWR (PLL_SYS_BASE + 0x04u)
#define PLL_SYS_PWR_PD ((1u << 0) | (1u << 5)) /* PLL and its oscillator */
#define PLL_SYS_PWR_POSTDIVPD (1u << 3)
#define PLL_SYS_PWR_ALL (PLL_SYS_PWR_PD | PLL_SYS_PWR_POSTDIVPD | (1u << 2))
#define PLL_SYS_FBDIV_INT REGISTER(PLL_SYS_BASE + 0x08u)
#define PLL_SYS_PRIM REGISTER(PLL_SYS_BASE + 0x0cu)

#define PADS_GPIO(pin) REGISTER(PADS_BANK0_BASE + 0x04u + 4u * (pin))
#define PADS_GPIO_OUTPUT 0x56u  /* 4 mA, Schmitt trigger, input enabled, pull-down, connected */
#define PADS_GPIO_PULL_UP 0x5au /* the same with a pull-up */
#define IO_GPIO_CTRL(pin) REGISTER(IO_BANK0_BASE + 0x04u + 8u * (pin))
#define IO_GPIO_CTRL_UART 2u

/* A PL011 (Arm DDI0183). */
#define UART_DR REGISTER(BOARD_UART_BASE + 0x00u)
#define UART_FR REGISTER(BOARD_UART_BASE + 0x18u)
#define UART_FR_RXFE (1u << 4)
#define UART_FR_TXFF (1u << 5)
#define UART_IBRD REGISTER(BOARD_UART_BASE + 0x24u)
#define UART_FBRD REGISTER(BOARD_UART_BASE + 0x28u)
#define UART_LCR_H REGISTER(BOARD_UART_BASE + 0x2cu)
#define UART_LCR_H_8N1_FIFO ((3u << 5) | (1u << 4))
#define UART_CR REGISTER(BOARD_UART_BASE + 0x30u)
#define UART_CR_ENABLE ((1u << 0) | (1u << 8) | (1u << 9)) /* itself, transmitter, receiver */
#define UART_IFLS REGISTER(BOARD_UART_BASE + 0x34u)
#define UART_IFLS_EIGHTH 0u
#define UART_IMSC REGISTER(BOARD_UART_BASE + 0x38u)
/* Bytes in the FIFO: an eighth of it, or fewer that nothing has followed for 32 bits. */
#define UART_IMSC_RX ((1u << 4) | (1u << 6))

/* Polls of a ready flag before a clock is given up, some tens of milliseconds. */
#define READY_POLLS 100000u

static uint32_t sysclk_hz;

static int wait_for(uint32_t address, uint32_t flags)
{
    for (uint32_t i = 0; i < READY_POLLS; i++) {
        if ((REGISTER(address) & flags) == flags) {
            return 1;
        }
    }
    return 0;
}

static int leave_reset(uint32_t peripherals)
{
    CLEAR_BITS(RESETS_RESET) = peripherals;
    return wait_for(RESETS_RESET_DONE, peripherals);
}

/* Crystal -> PLL -> full speed. Where a clock does not start (and in emulators, which have no clock
 * tree) the ring oscillator stays. */
static uint32_t clock_init(void)
{
    /* A debugger may have started this with the PLL running, which is set while it is not used. */
    CLEAR_BITS(CLK_SYS_CTRL) = CLK_SYS_CTRL_AUX;
    wait_for(CLK_SYS_SELECTED, SELECTED(0));
    CLEAR_BITS(CLK_REF_CTRL) = CLK_REF_CTRL_SRC_MASK;
    wait_for(CLK_REF_SELECTED, SELECTED(0));
    CLK_SYS_DIV = CLK_DIV_1;
    CLK_REF_DIV = CLK_DIV_1;

    XOSC_STARTUP = XOSC_STARTUP_DELAY;
    XOSC_CTRL = XOSC_CTRL_ENABLE | XOSC_CTRL_1_15_MHZ;
    if (!wait_for(XOSC_STATUS, XOSC_STATUS_STABLE)) {
        return ROSC_HZ;
    }
    REGISTER(CLK_REF_CTRL) = CLK_REF_CTRL_XOSC;
    if (!wait_for(CLK_REF_SELECTED, SELECTED(CLK_REF_CTRL_XOSC))) {
        return ROSC_HZ;
    }
    if (!leave_reset(RESETS_PLL_SYS)) {
        return BOARD_CRYSTAL_HZ;
    }
    REGISTER(PLL_SYS_PWR) = PLL_SYS_PWR_ALL;
    REGISTER(PLL_SYS_CS) = PLL_SYS_CS_REFDIV_1;
    PLL_SYS_FBDIV_INT = BOARD_PLL_FBDIV;
    CLEAR_BITS(PLL_SYS_PWR) = PLL_SYS_PWR_PD;
    if (!wait_for(PLL_SYS_CS, PLL_SYS_CS_LOCK)) {
        return BOARD_CRYSTAL_HZ;
    }
    PLL_SYS_PRIM = BOARD_PLL_POSTDIV1 << 16 | BOARD_PLL_POSTDIV2 << 12;
    CLEAR_BITS(PLL_SYS_PWR) = PLL_SYS_PWR_POSTDIVPD;
    REGISTER(CLK_SYS_CTRL) = CLK_SYS_CTRL_AUX;
    return wait_for(CLK_SYS_SELECTED, SELECTED(CLK_SYS_CTRL_AUX)) ? BOARD_SYSCLK_HZ
                                                                  : BOARD_CRYSTAL_HZ;
}

static void uart_init(void)
{
    /* In 64ths: a bit takes 16 times as many of the port's clocks. */
    const uint32_t divider = (sysclk_hz * 4u + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
    CLK_PERI_CTRL = CLK_PERI_CTRL_ENABLE;
    leave_reset(RESETS_IO_BANK0 | RESETS_PADS_BANK0 | RESETS_UART);
    UART_CR = 0;
    UART_IBRD = divider / 64u;
    UART_FBRD = divider % 64u;
    UART_LCR_H = UART_LCR_H_8N1_FIFO; /* takes the divider over, too */
    UART_IFLS = UART_IFLS_EIGHTH;
    UART_IMSC = UART_IMSC_RX;
    UART_CR = UART_CR_ENABLE;
    PADS_GPIO(BOARD_UART_TX_PIN) = PADS_GPIO_OUTPUT;
    PADS_GPIO(BOARD_UART_RX_PIN) = PADS_GPIO_PULL_UP;
    IO_GPIO_CTRL(BOARD_UART_TX_PIN) = IO_GPIO_CTRL_UART;
    IO_GPIO_CTRL(BOARD_UART_RX_PIN) = IO_GPIO_CTRL_UART;
    te_enable_interrupt(BOARD_UART_IRQ);
}

void te_platform_init(void)
{
    sysclk_hz = clock_init();
    uart_init();
    te_systick_start();
}

void te_uart_receive(void)
{
    if (!(UART_FR & UART_FR_RXFE)) {
        te_receive_put((uint8_t)UART_DR);
    }
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (UART_FR & UART_FR_TXFF) {
        }
        UART_DR = bytes[i];
    }
}

uint64_t te_platform_ticks(void)
{
    return te_systick_ticks();
}

uint32_t te_platform_tick_hz(void)
{
    return sysclk_hz;
}
