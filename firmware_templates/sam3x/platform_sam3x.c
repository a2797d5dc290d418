/* Clock tree, watchdog, counter and serial port of a SAM3X or SAM3A (data sheet Atmel-11057). */
#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define PMC_PCER0 REGISTER(0x400e0610u)
#define CKGR_MOR REGISTER(0x400e0620u)
#define CKGR_MOR_MOSCXTEN (1u << 0)
#define CKGR_MOR_MOSCRCEN (1u << 3) /* with 0 in MOSCRCF: 4 MHz */
#define CKGR_MOR_MOSCXTST (8u << 8) /* times eight slow clocks, 2 ms */
#define CKGR_MOR_KEY (0x37u << 16)
#define CKGR_MOR_MOSCSEL (1u << 24)
#define CKGR_PLLAR REGISTER(0x400e0628u)
#define CKGR_PLLAR_PLLACOUNT (63u << 8)
#define CKGR_PLLAR_ONE (1u << 29)
#define PMC_MCKR REGISTER(0x400e0630u)
#define PMC_MCKR_CSS_MASK 3u
#define PMC_MCKR_CSS_MAIN 1u
#define PMC_MCKR_CSS_PLLA 2u
#define PMC_MCKR_PRES_2 (1u << 4)
#define PMC_SR REGISTER(0x400e0668u)
#define PMC_SR_MOSCXTS (1u << 0)
#define PMC_SR_LOCKA (1u << 1)
#define PMC_SR_MCKRDY (1u << 3)
#define PMC_SR_MOSCSELS (1u << 16)
#define PMC_SR_MOSCRCS (1u << 17)

#define EEFC0_FMR REGISTER(0x400e0a00u)
#define EEFC1_FMR REGISTER(0x400e0c00u)

#define WDT_MR REGISTER(0x400e1a54u)
#define WDT_MR_WDDIS (1u << 15)

/* URXD and UTXD, of peripheral A, are on no other pins. */
#define PIOA_PDR REGISTER(0x400e0e04u)
#define PIOA_PUER REGISTER(0x400e0e64u)
#define PIOA_ABSR REGISTER(0x400e0e70u)
#define PIOA_UART_RX (1u << 8)
#define PIOA_UART_TX (1u << 9)

#define UART_CR REGISTER(BOARD_UART_BASE + 0x00u)
#define UART_CR_RESET ((1u << 2) | (1u << 3) | (1u << 8)) /* receiver, transmitter, status */
#define UART_CR_ENABLE ((1u << 4) | (1u << 6))            /* receiver, transmitter */
#define UART_MR REGISTER(BOARD_UART_BASE + 0x04u)
#define UART_MR_NO_PARITY (4u << 9)
#define UART_IER REGISTER(BOARD_UART_BASE + 0x08u)
#define UART_IDR REGISTER(BOARD_UART_BASE + 0x0cu)
#define UART_SR REGISTER(BOARD_UART_BASE + 0x14u)
#define UART_RXRDY (1u << 0)
#define UART_TXRDY (1u << 1)
#define UART_RHR REGISTER(BOARD_UART_BASE + 0x18u)
#define UART_THR REGISTER(BOARD_UART_BASE + 0x1cu)
#define UART_BRGR REGISTER(BOARD_UART_BASE + 0x20u)
#define UART_PTCR REGISTER(BOARD_UART_BASE + 0x120u)
#define UART_PTCR_DISABLE ((1u << 1) | (1u << 9))

/* The internal oscillator, which runs from reset on. */
#define RC_HZ 4000000u
/* Polls of a ready flag before a clock is given up, some tens of milliseconds. */
#define READY_POLLS 100000u

static uint32_t sysclk_hz;

static int wait_for(uint32_t flag)
{
    for (uint32_t i = 0; i < READY_POLLS; i++) {
        if (PMC_SR & flag) {
            return 1;
        }
    }
    return 0;
}

/* Crystal -> PLL -> half of it. The data sheet wants source and prescaler changed one by one. Where a
 * clock does not start (and in emulators, which have no clock tree) the internal oscillator stays. */
static uint32_t clock_init(void)
{
    const uint32_t oscillators =
        CKGR_MOR_KEY | CKGR_MOR_MOSCXTST | CKGR_MOR_MOSCRCEN | CKGR_MOR_MOSCXTEN;
    EEFC0_FMR = BOARD_FLASH_WAIT_STATES << 8;
    EEFC1_FMR = BOARD_FLASH_WAIT_STATES << 8;
    /* The boot ROM may have set a faster clock, which has to be left first. */
    PMC_MCKR = (PMC_MCKR & ~PMC_MCKR_CSS_MASK) | PMC_MCKR_CSS_MAIN;
    wait_for(PMC_SR_MCKRDY);
    PMC_MCKR = PMC_MCKR_CSS_MAIN;
    wait_for(PMC_SR_MCKRDY);
    CKGR_MOR = (CKGR_MOR & CKGR_MOR_MOSCSEL) | oscillators;
    wait_for(PMC_SR_MOSCRCS);
    CKGR_PLLAR = CKGR_PLLAR_ONE; /* a factor of 0 stops it */
    if (!wait_for(PMC_SR_MOSCXTS)) {
        CKGR_MOR = oscillators;
        return RC_HZ;
    }
    CKGR_MOR = oscillators | CKGR_MOR_MOSCSEL;
    if (!wait_for(PMC_SR_MOSCSELS)) {
        CKGR_MOR = oscillators;
        return RC_HZ;
    }
    CKGR_PLLAR =
        CKGR_PLLAR_ONE | (BOARD_PLL_MUL - 1u) << 16 | CKGR_PLLAR_PLLACOUNT | BOARD_PLL_DIV;
    if (!wait_for(PMC_SR_LOCKA)) {
        CKGR_MOR = oscillators;
        return RC_HZ;
    }
    PMC_MCKR = PMC_MCKR_PRES_2 | PMC_MCKR_CSS_MAIN;
    wait_for(PMC_SR_MCKRDY);
    PMC_MCKR = PMC_MCKR_PRES_2 | PMC_MCKR_CSS_PLLA;
    wait_for(PMC_SR_MCKRDY);
    return BOARD_SYSCLK_HZ;
}

static void uart_init(void)
{
    PMC_PCER0 = 1u << BOARD_UART_IRQ; /* peripherals are numbered as their interrupts are */
    PIOA_ABSR &= ~(PIOA_UART_RX | PIOA_UART_TX);
    PIOA_PUER = PIOA_UART_RX;
    PIOA_PDR = PIOA_UART_RX | PIOA_UART_TX;
    UART_IDR = 0xffffffffu; /* the boot ROM may have used the port */
    UART_PTCR = UART_PTCR_DISABLE;
    UART_CR = UART_CR_RESET;
    UART_MR = UART_MR_NO_PARITY;
    UART_BRGR = (sysclk_hz / 16u + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
    UART_IER = UART_RXRDY;
    te_enable_interrupt(BOARD_UART_IRQ);
    UART_CR = UART_CR_ENABLE;
}

void te_platform_init(void)
{
    WDT_MR = WDT_MR_WDDIS; /* it runs from reset on, and can be set once */
    sysclk_hz = clock_init();
    uart_init();
    te_systick_start();
}

void te_uart_receive(void)
{
    if (UART_SR & UART_RXRDY) {
        te_receive_put((uint8_t)UART_RHR);
    }
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (!(UART_SR & UART_TXRDY)) {
        }
        UART_THR = bytes[i];
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
