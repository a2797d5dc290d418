/* Voltage and clock tree of an STM32H563 (reference manual RM0481). */
#include "board.h"
#include "te_stm32.h"
#include "te_stm32_family.h"

#define RCC_CR REGISTER(0x44020c00u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_CR_HSIDIV_MASK (3u << 3)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_HSEEXT (1u << 20) /* what comes is a digital signal */
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CR_PLLS_ON (1u << 24 | 1u << 26 | 1u << 28)
#define RCC_CR_PLLS_RDY (1u << 25 | 1u << 27 | 1u << 29)
#define RCC_CFGR1 REGISTER(0x44020c1cu)
#define RCC_CFGR1_SW_PLL1 3u
#define RCC_CFGR1_SWS_MASK (3u << 3)
#define RCC_CFGR1_SWS_PLL1 (3u << 3)
#define RCC_CFGR2 REGISTER(0x44020c20u)
#define RCC_PLL1CFGR REGISTER(0x44020c28u)
#define RCC_PLL1CFGR_SOURCE_HSE 3u
#define RCC_PLL1CFGR_PLL1PEN (1u << 16)
#define RCC_PLL1DIVR REGISTER(0x44020c34u)
#define RCC_PLL1DIVR_Q_AND_R_MASK 0x7f7f0000u /* not used */
#define RCC_CCIPR1 REGISTER(0x44020cd8u)
#define RCC_CCIPR1_USART_MASK 0x3fffffffu

#define PWR_VOSCR REGISTER(0x44020810u)
#define PWR_VOSSR REGISTER(0x44020814u)
#define PWR_VOSSR_VOSRDY (1u << 3)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)

/* To the internal oscillator, undivided, with all buses at its speed and the serial ports at their
 * bus's: a boot loader may have left something else, and PLLs cannot be set while they run. */
static void start_over(void)
{
    RCC_CR |= RCC_CR_HSION;
    te_wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    RCC_CR &= ~RCC_CR_HSIDIV_MASK;
    RCC_CFGR1 = 0;
    te_wait_for(&RCC_CFGR1, RCC_CFGR1_SWS_MASK, 0);
    RCC_CFGR2 = 0;
    RCC_CR &= ~(RCC_CR_PLLS_ON | RCC_CR_HSEON);
    te_wait_for(&RCC_CR, RCC_CR_PLLS_RDY | RCC_CR_HSERDY, 0);
    RCC_CCIPR1 &= ~RCC_CCIPR1_USART_MASK;
}

static int start_crystal(void)
{
#if BOARD_HSE_BYPASS
    RCC_CR |= RCC_CR_HSEBYP | RCC_CR_HSEEXT;
#endif
    RCC_CR |= RCC_CR_HSEON;
    return te_wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY);
}

static int start_pll(void)
{
    RCC_PLL1CFGR = RCC_PLL1CFGR_SOURCE_HSE | BOARD_PLL_RANGE << 2 | BOARD_PLL_M << 8 |
                   RCC_PLL1CFGR_PLL1PEN;
    RCC_PLL1DIVR = (RCC_PLL1DIVR & RCC_PLL1DIVR_Q_AND_R_MASK) | (BOARD_PLL_N - 1u) |
                   (BOARD_PLL_P - 1u) << 9;
    RCC_CR |= RCC_CR_PLL1ON;
    return te_wait_for(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
}

/* Crystal -> PLL -> full speed. */
uint32_t te_clock_init(void)
{
    start_over();
    PWR_VOSCR = BOARD_VOLTAGE_SCALE << 4;
    if (!te_wait_for(&PWR_VOSSR, PWR_VOSSR_VOSRDY, PWR_VOSSR_VOSRDY) || !start_crystal() ||
        !start_pll()) {
        return HSI_HZ;
    }
    FLASH_ACR = FLASH_ACR_PRFTEN | BOARD_FLASH_PROGRAMMING_DELAY << 4 | BOARD_FLASH_WAIT_STATES;
    if (!te_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_FLASH_WAIT_STATES)) {
        return HSI_HZ;
    }
    /* APB3 as APB1. */
    const uint32_t apb = te_apb_prescaler(BOARD_APB1_DIVIDER);
    RCC_CFGR2 = apb << 4 | te_apb_prescaler(BOARD_APB2_DIVIDER) << 8 | apb << 12;
    RCC_CFGR1 = RCC_CFGR1_SW_PLL1;
    if (te_wait_for(&RCC_CFGR1, RCC_CFGR1_SWS_MASK, RCC_CFGR1_SWS_PLL1)) {
        return BOARD_SYSCLK_HZ;
    }
    start_over();
    return HSI_HZ;
}
