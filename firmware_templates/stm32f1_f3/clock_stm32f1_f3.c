/* Clock tree of an STM32F1 (reference manual RM0008) or STM32F3 (RM0316). */
#include "board.h"
#include "te_stm32.h"
#include "te_stm32_family.h"

#define RCC_CR REGISTER(0x40021000u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_CFGR REGISTER(0x40021004u)
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_SOURCE_HSE (1u << 16)
/* HSE / (1 + this): PLLXTPRE, which on an STM32F3 is the lowest bit of PREDIV. */
#define RCC_CFGR_HSE_DIVIDER ((BOARD_PLL_M - 1u) << 17)
#define RCC_CFGR_PLLMUL ((BOARD_PLL_N - 2u) << 18)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_LATENCY_MASK 7u
#define FLASH_ACR_PREFETCH (1u << 4)

/* Crystal -> PLL -> full speed. */
uint32_t te_clock_init(void)
{
    /* A boot loader may have left the PLL running, which cannot be set while it does. */
    RCC_CR |= RCC_CR_HSION;
    te_wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    RCC_CFGR = 0;
    te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, 0);
    RCC_CR &= ~(RCC_CR_PLLON | RCC_CR_HSEON);
    te_wait_for(&RCC_CR, RCC_CR_PLLRDY | RCC_CR_HSERDY, 0);

#if BOARD_HSE_BYPASS
    RCC_CR |= RCC_CR_HSEBYP;
#endif
    RCC_CR |= RCC_CR_HSEON;
    if (!te_wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        return HSI_HZ;
    }
    FLASH_ACR = FLASH_ACR_PREFETCH | BOARD_FLASH_WAIT_STATES;
    if (!te_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_FLASH_WAIT_STATES)) {
        return HSI_HZ;
    }
    RCC_CFGR = RCC_CFGR_SOURCE_HSE | RCC_CFGR_HSE_DIVIDER | RCC_CFGR_PLLMUL |
               te_apb_prescaler(BOARD_APB1_DIVIDER) << 8 | te_apb_prescaler(BOARD_APB2_DIVIDER) << 11;
    RCC_CR |= RCC_CR_PLLON;
    if (te_wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        RCC_CFGR |= RCC_CFGR_SW_PLL;
        if (te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL)) {
            return BOARD_SYSCLK_HZ;
        }
    }
    /* The serial port takes its clock to be undivided. */
    RCC_CFGR = 0;
    return HSI_HZ;
}
