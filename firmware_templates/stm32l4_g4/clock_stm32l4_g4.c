/* Clock tree of an STM32L475 or L476 (reference manual RM0351), L432 (RM0394), G431 or G474 (RM0440). */
#include "board.h"
#include "te_stm32.h"
#include "te_stm32_family.h"

#define RCC_CR REGISTER(0x40021000u)
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR REGISTER(0x40021008u)
#define RCC_CFGR_SW_HSI 1u
#define RCC_CFGR_SW_PLL 3u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_HSI (1u << 2)
#define RCC_CFGR_SWS_PLL (3u << 2)
#define RCC_PLLCFGR REGISTER(0x4002100cu)
#define RCC_PLLCFGR_SOURCE_HSI 2u
#define RCC_PLLCFGR_PLLREN (1u << 24)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define RCC_APB1ENR1_PWREN (1u << 28)

#define PWR_CR1 REGISTER(0x40007000u)
#define PWR_CR1_VOS_MASK (3u << 9)
#define PWR_SR2 REGISTER(0x40007014u)
#define PWR_SR2_VOSF (1u << 10)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_PREFETCH_AND_CACHES (7u << 8)

/* Internal 16 MHz oscillator -> PLL -> full speed. */
uint32_t te_clock_init(void)
{
    RCC_CR |= RCC_CR_HSION;
    te_wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    RCC_CFGR = RCC_CFGR_SW_HSI;
    te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_HSI);
    /* A boot loader may have left the PLL running, which cannot be set while it does. */
    RCC_CR &= ~RCC_CR_PLLON;
    te_wait_for(&RCC_CR, RCC_CR_PLLRDY, 0);

    RCC_APB1ENR1 |= RCC_APB1ENR1_PWREN;
    (void)RCC_APB1ENR1; /* the peripheral needs some cycles: reading back takes them */
    PWR_CR1 = (PWR_CR1 & ~PWR_CR1_VOS_MASK) | BOARD_VOLTAGE_SCALE << 9;
    if (!te_wait_for(&PWR_SR2, PWR_SR2_VOSF, 0)) {
        return HSI_HZ;
    }
    TE_VOLTAGE_BOOST();
    RCC_PLLCFGR = RCC_PLLCFGR_SOURCE_HSI | (BOARD_PLL_M - 1u) << 4 | BOARD_PLL_N << 8 |
                  RCC_PLLCFGR_PLLREN | (BOARD_PLL_R / 2u - 1u) << 25;
    RCC_CR |= RCC_CR_PLLON;
    if (!te_wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        return HSI_HZ;
    }
    FLASH_ACR = (FLASH_ACR & FLASH_ACR_KEPT) | FLASH_ACR_PREFETCH_AND_CACHES | BOARD_FLASH_WAIT_STATES;
    if (!te_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_FLASH_WAIT_STATES)) {
        return HSI_HZ;
    }
    RCC_CFGR = te_apb_prescaler(BOARD_APB1_DIVIDER) << 8 |
               te_apb_prescaler(BOARD_APB2_DIVIDER) << 11 | RCC_CFGR_BEFORE_PLL | RCC_CFGR_SW_HSI;
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    if (!te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL)) {
        RCC_CFGR &= ~RCC_CFGR_BEFORE_PLL;
        return HSI_HZ;
    }
    TE_FULL_SPEED();
    return BOARD_SYSCLK_HZ;
}
