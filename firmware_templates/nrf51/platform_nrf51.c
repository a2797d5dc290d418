/* Crystal, counter and serial port of an nRF51 (reference manual nRF51 Series v3.0). Its Cortex-M0
 * has no SysTick: TIMER0 counts the 16 MHz that the core runs at. */
#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x40000100u)

#define GPIO_OUTSET REGISTER(0x50000508u)
#define GPIO_PIN_CNF(pin) REGISTER(0x50000700u + 4u * (pin))
#define GPIO_PIN_CNF_OUTPUT 3u /* its input buffer disconnected */
#define GPIO_PIN_CNF_INPUT 0u

#define UART_TASKS_STARTRX REGISTER(BOARD_UART_BASE + 0x000u)
#define UART_TASKS_STARTTX REGISTER(BOARD_UART_BASE + 0x008u)
#define UART_EVENTS_RXDRDY REGISTER(BOARD_UART_BASE + 0x108u)
#define UART_EVENTS_TXDRDY REGISTER(BOARD_UART_BASE + 0x11cu)
#define UART_INTENSET REGISTER(BOARD_UART_BASE + 0x304u)
#define UART_INTENSET_RXDRDY (1u << 2)
#define UART_ENABLE REGISTER(BOARD_UART_BASE + 0x500u)
#define UART_ENABLE_ENABLED 4u
#define UART_PSELTXD REGISTER(BOARD_UART_BASE + 0x50cu)
#define UART_PSELRXD REGISTER(BOARD_UART_BASE + 0x514u)
#define UART_RXD REGISTER(BOARD_UART_BASE + 0x518u)
#define UART_TXD REGISTER(BOARD_UART_BASE + 0x51cu)
#define UART_BAUDRATE REGISTER(BOARD_UART_BASE + 0x524u)

#define TIMER0_TASKS_START REGISTER(0x40008000u)
#define TIMER0_TASKS_CAPTURE0 REGISTER(0x40008040u)
#define TIMER0_BITMODE REGISTER(0x40008508u)
#define TIMER0_BITMODE_32 3u
#define TIMER0_PRESCALER REGISTER(0x40008510u)
#define TIMER0_CC0 REGISTER(0x40008540u)

/* Polls until the crystal is given up, some tens of milliseconds. */
#define READY_POLLS 100000u

static uint32_t captured;
static uint32_t wraps;

/* The internal oscillator, on which an nRF51 starts, is too inaccurate for a serial port. */
static void clock_init(void)
{
    CLOCK_EVENTS_HFCLKSTARTED = 0;
    CLOCK_TASKS_HFCLKSTART = 1;
    for (uint32_t i = 0; i < READY_POLLS && !CLOCK_EVENTS_HFCLKSTARTED; i++) {
    }
}

static void uart_init(void)
{
    GPIO_OUTSET = 1u << BOARD_UART_TX_PIN; /* an idle line is high */
    GPIO_PIN_CNF(BOARD_UART_TX_PIN) = GPIO_PIN_CNF_OUTPUT;
    GPIO_PIN_CNF(BOARD_UART_RX_PIN) = GPIO_PIN_CNF_INPUT;
    UART_PSELTXD = BOARD_UART_TX_PIN;
    UART_PSELRXD = BOARD_UART_RX_PIN;
    UART_BAUDRATE = BOARD_UART_BAUDRATE;
    UART_ENABLE = UART_ENABLE_ENABLED;
    UART_TASKS_STARTTX = 1;
    UART_INTENSET = UART_INTENSET_RXDRDY;
    te_enable_interrupt(BOARD_UART_IRQ);
    UART_TASKS_STARTRX = 1;
}

void te_platform_init(void)
{
    clock_init();
    uart_init();
    TIMER0_BITMODE = TIMER0_BITMODE_32;
    TIMER0_PRESCALER = 0;
    TIMER0_TASKS_START = 1;
}

void te_uart_receive(void)
{
    if (UART_EVENTS_RXDRDY) {
        UART_EVENTS_RXDRDY = 0; /* before the byte is read: reading lets the next one raise it again */
        te_receive_put((uint8_t)UART_RXD);
    }
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        UART_EVENTS_TXDRDY = 0;
        UART_TXD = bytes[i];
        while (!UART_EVENTS_TXDRDY) {
        }
    }
}

/* Counts at most one wrap a call: what runs between two calls takes less than 268 s. */
uint64_t te_platform_ticks(void)
{
    TIMER0_TASKS_CAPTURE0 = 1;
    const uint32_t now = TIMER0_CC0;
    if (now < captured) {
        wraps++;
    }
    captured = now;
    return (uint64_t)wraps << 32 | now;
}

uint32_t te_platform_tick_hz(void)
{
    return BOARD_SYSCLK_HZ;
}
