/* Counter and serial port of an STM32. */
#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_stm32.h"
#include "te_stm32_family.h"
#include "te_systick.h"

#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_STATUS_ORE (1u << 3)
#define USART_STATUS_RXNE (1u << 5)
#define USART_STATUS_TXE (1u << 7)

static uint32_t sysclk_hz;

static void uart_init(void)
{
    const uint32_t clock = sysclk_hz == BOARD_SYSCLK_HZ ? BOARD_UART_CLOCK_HZ : sysclk_hz;
    te_output_init(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_TX_ALTERNATE_FUNCTION);
    te_input_init(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_RX_ALTERNATE_FUNCTION);
    RCC_APBENR(BOARD_UART_APB) |= 1u << BOARD_UART_ENABLE_BIT;
    (void)RCC_APBENR(BOARD_UART_APB);
    USART_BRR = (clock + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
    USART_CR1 = USART_CR1_UE | USART_CR1_RXNEIE | USART_CR1_TE | USART_CR1_RE;
    te_enable_interrupt(BOARD_UART_IRQ);
}

void te_platform_init(void)
{
    TE_CORE_INIT();
    sysclk_hz = te_clock_init();
    uart_init();
    te_systick_start();
}

void te_uart_receive(void)
{
    /* An overrun raises the interrupt too. */
    if (USART_STATUS & (USART_STATUS_RXNE | USART_STATUS_ORE)) {
        te_receive_put((uint8_t)USART_RECEIVED);
        USART_CLEAR_OVERRUN();
    }
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (!(USART_STATUS & USART_STATUS_TXE)) {
        }
        USART_SENT = bytes[i];
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
