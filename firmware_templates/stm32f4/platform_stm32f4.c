/* Clock tree, counter and serial port of an STM32F405/407/415/417 (reference manual RM0090). */
#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define RCC_CR REGISTER(0x40023800u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_PLLCFGR_SOURCE_HSE (1u << 22)
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_AHB1ENR REGISTER(0x40023830u)
/* APB1 is at 0x40, APB2 at 0x44. */
#define RCC_APBENR(apb) REGISTER(0x4002383cu + 4u * (apb))

#define FLASH_ACR REGISTER(0x40023c00u)
#define FLASH_ACR_LATENCY_MASK 7u
#define FLASH_ACR_PREFETCH_AND_CACHES (7u << 8)

#define GPIO_MODER(port) REGISTER(0x40020000u + 0x400u * (port))
#define GPIO_PUPDR(port) REGISTER(0x4002000cu + 0x400u * (port))
#define GPIO_AFR(port, pin) REGISTER(0x40020020u + 0x400u * (port) + 4u * ((pin) / 8u))

#define USART_SR REGISTER(BOARD_UART_BASE + 0x00u)
#define USART_SR_ORE (1u << 3)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)
#define USART_DR REGISTER(BOARD_UART_BASE + 0x04u)
#define USART_BRR REGISTER(BOARD_UART_BASE + 0x08u)
#define USART_CR1 REGISTER(BOARD_UART_BASE + 0x0cu)
#define USART_CR1_ENABLE ((1u << 13) | (1u << 5) | (1u << 3) | (1u << 2)) /* UE, RXNEIE, TE, RE */

#define HSI_HZ 16000000u
/* Polls of a ready flag before a clock is given up, some tens of milliseconds. */
#define READY_POLLS 100000u

static uint32_t sysclk_hz = HSI_HZ;

static int wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < READY_POLLS; i++) {
        if ((*reg & mask) == value) {
            return 1;
        }
    }
    return 0;
}

/* Encodes an APB divider (1, 2, 4, 8, 16) as RCC_CFGR wants it. */
static uint32_t apb_prescaler(uint32_t divider)
{
    uint32_t code = 3;
    while (divider > 1) {
        divider /= 2;
        code++;
    }
    return code > 3 ? code : 0;
}

/* Crystal -> PLL -> full speed. Where the crystal does not start (and in emulators, which have no
 * clock tree), the internal 16 MHz oscillator stays. */
static void clock_init(void)
{
    /* A boot loader may have left the PLL running, which cannot be set while it does. */
    RCC_CR |= RCC_CR_HSION;
    RCC_CFGR = 0;
    wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, 0);
    RCC_CR &= ~RCC_CR_PLLON;
    wait_for(&RCC_CR, RCC_CR_PLLRDY, 0);

    RCC_CR |= RCC_CR_HSEON;
    if (!wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        return;
    }
    RCC_PLLCFGR = BOARD_PLL_M | BOARD_PLL_N << 6 | (BOARD_PLL_P / 2u - 1u) << 16 |
                  RCC_PLLCFGR_SOURCE_HSE | BOARD_PLL_Q << 24;
    RCC_CR |= RCC_CR_PLLON;
    if (!wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        return;
    }
    FLASH_ACR = FLASH_ACR_PREFETCH_AND_CACHES | BOARD_FLASH_WAIT_STATES;
    if (!wait_for(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_FLASH_WAIT_STATES)) {
        return;
    }
    RCC_CFGR = apb_prescaler(BOARD_APB1_DIVIDER) << 10 | apb_prescaler(BOARD_APB2_DIVIDER) << 13 |
               RCC_CFGR_SW_PLL;
    if (wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL)) {
        sysclk_hz = BOARD_SYSCLK_HZ;
    }
}

static void alternate_function_init(uint32_t port, uint32_t pin)
{
    RCC_AHB1ENR |= 1u << port;
    (void)RCC_AHB1ENR; /* the peripheral needs some cycles: reading back takes them */
    GPIO_AFR(port, pin) = (GPIO_AFR(port, pin) & ~(15u << (pin % 8u * 4u))) |
                          BOARD_UART_ALTERNATE_FUNCTION << (pin % 8u * 4u);
    GPIO_PUPDR(port) = (GPIO_PUPDR(port) & ~(3u << (pin * 2u))) | 1u << (pin * 2u);
    GPIO_MODER(port) = (GPIO_MODER(port) & ~(3u << (pin * 2u))) | 2u << (pin * 2u);
}

static void uart_init(void)
{
    const uint32_t divider = BOARD_UART_APB == 2 ? BOARD_APB2_DIVIDER : BOARD_APB1_DIVIDER;
    const uint32_t clock = sysclk_hz == BOARD_SYSCLK_HZ ? BOARD_SYSCLK_HZ / divider : sysclk_hz;
    alternate_function_init(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN);
    alternate_function_init(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN);
    RCC_APBENR(BOARD_UART_APB) |= 1u << BOARD_UART_ENABLE_BIT;
    (void)RCC_APBENR(BOARD_UART_APB);
    USART_BRR = (clock + BOARD_UART_BAUD / 2u) / BOARD_UART_BAUD;
    USART_CR1 = USART_CR1_ENABLE;
    te_enable_interrupt(BOARD_UART_IRQ);
}

void te_platform_init(void)
{
    clock_init();
    uart_init();
    te_systick_start();
}

static void receive(void)
{
    /* An overrun raises the interrupt too, and is cleared by reading both registers. */
    if (USART_SR & (USART_SR_RXNE | USART_SR_ORE)) {
        te_receive_put((uint8_t)USART_DR);
    }
}

void te_uart_handler(void)
{
    receive();
}

/* The interrupt comes first where there is one; an emulator without interrupts is polled. */
void te_platform_poll(void)
{
    te_mask_interrupts();
    receive();
    te_sleep_unless(te_receive_pending());
    te_unmask_interrupts();
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (!(USART_SR & USART_SR_TXE)) {
        }
        USART_DR = bytes[i];
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
