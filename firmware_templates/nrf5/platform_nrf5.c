/* Crystal and serial port of an nRF51 or nRF52, the UART without DMA that both have (reference manual
 * nRF51 Series v3.0, nRF52840 product specification v1.7). */
#include "board.h"
#include "te_cortex_m.h"
#include "te_nrf5.h"
#include "te_platform.h"
#include "te_receive.h"

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x40000100u)

/* Pins are numbered over both ports, 32 a port. */
#define GPIO_OUTSET(pin) REGISTER(0x50000508u + 0x300u * ((pin) / 32u))
#define GPIO_PIN_CNF(pin) REGISTER(0x50000700u + 0x300u * ((pin) / 32u) + 4u * ((pin) % 32u))
#define GPIO_PIN_CNF_OUTPUT 3u /* its input buffer disconnected */
#define GPIO_PIN_CNF_INPUT_PULLUP (3u << 2)

#define UART_TASKS_STARTRX REGISTER(BOARD_UART_BASE + 0x000u)
#define UART_TASKS_STARTTX REGISTER(BOARD_UART_BASE + 0x008u)
#define UART_EVENTS_RXDRDY REGISTER(BOARD_UART_BASE + 0x108u)
#define UART_EVENTS_TXDRDY REGISTER(BOARD_UART_BASE + 0x11cu)
#define UART_INTENSET REGISTER(BOARD_UART_BASE + 0x304u)
#define UART_INTENSET_RXDRDY (1u << 2)
#define UART_INTENCLR REGISTER(BOARD_UART_BASE + 0x308u)
#define UART_ENABLE REGISTER(BOARD_UART_BASE + 0x500u)
#define UART_ENABLE_ENABLED 4u
#define UART_ENABLE_DISABLED 0u
#define UART_PSELRTS REGISTER(BOARD_UART_BASE + 0x508u)
#define UART_PSELTXD REGISTER(BOARD_UART_BASE + 0x50cu)
#define UART_PSELCTS REGISTER(BOARD_UART_BASE + 0x510u)
#define UART_PSELRXD REGISTER(BOARD_UART_BASE + 0x514u)
#define UART_PSEL_DISCONNECTED 0xffffffffu
#define UART_RXD REGISTER(BOARD_UART_BASE + 0x518u)
#define UART_TXD REGISTER(BOARD_UART_BASE + 0x51cu)
#define UART_BAUDRATE REGISTER(BOARD_UART_BASE + 0x524u)
#define UART_CONFIG REGISTER(BOARD_UART_BASE + 0x56cu)
#define UART_CONFIG_8N1 0u /* and no flow control */

/* Polls until the crystal is given up, some tens of milliseconds. */
#define READY_POLLS 100000u

/* The internal oscillator, on which the chip starts, is too inaccurate for a serial port. */
static void clock_init(void)
{
    CLOCK_EVENTS_HFCLKSTARTED = 0;
    CLOCK_TASKS_HFCLKSTART = 1;
    for (uint32_t i = 0; i < READY_POLLS && !CLOCK_EVENTS_HFCLKSTARTED; i++) {
    }
}

/* A boot loader may have used the port, or the one with DMA that shares its registers. */
static void uart_init(void)
{
    UART_ENABLE = UART_ENABLE_DISABLED;
    UART_INTENCLR = 0xffffffffu;
    GPIO_OUTSET(BOARD_UART_TX_PIN) = 1u << BOARD_UART_TX_PIN % 32u; /* an idle line is high */
    GPIO_PIN_CNF(BOARD_UART_TX_PIN) = GPIO_PIN_CNF_OUTPUT;
    GPIO_PIN_CNF(BOARD_UART_RX_PIN) = GPIO_PIN_CNF_INPUT_PULLUP;
    UART_PSELRTS = UART_PSEL_DISCONNECTED;
    UART_PSELTXD = BOARD_UART_TX_PIN;
    UART_PSELCTS = UART_PSEL_DISCONNECTED;
    UART_PSELRXD = BOARD_UART_RX_PIN;
    UART_CONFIG = UART_CONFIG_8N1;
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
    te_family_init();
    uart_init();
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

uint32_t te_platform_tick_hz(void)
{
    return BOARD_SYSCLK_HZ;
}
