/* Voltage and clock tree of an STM32U575 or U585 (reference manual RM0456). */
#include "board.h"
#include "te_stm32.h"
#include "te_stm32_family.h"

#define RCC_CR REGISTER(0x46020c00u)
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR1 REGISTER(0x46020c1cu)
#define RCC_CFGR1_SW_HSI 1u
#define RCC_CFGR1_SW_PLL1 3u
#define RCC_CFGR1_SWS_MASK (3u << 2)
#define RCC_CFGR1_SWS_HSI (1u << 2)
#define RCC_CFGR1_SWS_PLL1 (3u << 2)
#define RCC_CFGR2 REGISTER(0x46020c20u)
#define RCC_PLL1CFGR REGISTER(0x46020c28u)
#define RCC_PLL1CFGR_SOURCE_HSI 2u /* and 0 in PLL1MBOOST: the booster takes 16 MHz as they are */
#define RCC_PLL1CFGR_PLL1REN (1u << 18)
#define RCC_PLL1DIVR REGISTER(0x46020c34u)
#define RCC_PLL1DIVR_P_AND_Q_MASK 0x007ffe00u /* not used */
#define RCC_AHB3ENR REGISTER(0x46020c94u)
#define RCC_AHB3ENR_PWREN (1u << 2)
#define RCC_CCIPR1 REGISTER(0x46020ce0u)
#define RCC_CCIPR1_USART_MASK 0x3ffu

#define PWR_VOSR REGISTER(0x4602080cu)
#define PWR_VOSR_BOOSTRDY (1u << 14)
#define PWR_VOSR_VOSRDY (1u << 15)
#define PWR_VOSR_BOOSTEN (1u << 18)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN (1u << 8)

/* To the internal oscillator of 16 MHz, with all buses at its speed and the serial ports at their
 * bus's: a boot loader may have left the PLL running, which cannot be set while it does. */
static void start_over(void)
{
    RCC_CR |= RCC_CR_HSION;
    te_wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    RCC_CFGR1 = RCC_CFGR1_SW_HSI;
    te_wait_for(&RCC_CFGR1, RCC_CFGR1_SWS_MASK, RCC_CFGR1_SWS_HSI);
    RCC_CFGR2 = 0;
    RCC_CR &= ~RCC_CR_PLL1ON;
    te_wait_for(&RCC_CR, RCC_CR_PLL1RDY, 0);
    RCC_CCIPR1 &= ~RCC_CCIPR1_USART_MASK;
}

/* The voltage first; its booster, which 55 MHz and more take, has its clock from the PLL's source. */
static int start_pll(void)
{
    PWR_VOSR = BOARD_VOLTAGE_SCALE << 16;
    if (!te_wait_for(&PWR_VOSR, PWR_VOSR_VOSRDY, PWR_VOSR_VOSRDY)) {
        return 0;
    }
    RCC_PLL1CFGR = RCC_PLL1CFGR_SOURCE_HSI | BOARD_PLL_RANGE << 2 | (BOARD_PLL_M - 1u) << 8 |
                   RCC_PLL1CFGR_PLL1REN;
    RCC_PLL1DIVR = (RCC_PLL1DIVR & RCC_PLL1DIVR_P_AND_Q_MASK) | (BOARD_PLL_N - 1u) |
                   (BOARD_PLL_R - 1u) << 24;
    PWR_VOSR |= PWR_VOSR_BOOSTEN;
    if (!te_wait_for(&PWR_VOSR, PWR_VOSR_BOOSTRDY, PWR_VOSR_BOOSTRDY)) {
        return 0;
    }
    RCC_CR |= RCC_CR_PLL1ON;
    return te_wait_for(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
}

/* Internal 16 MHz oscillator -> PLL -> full speed. */
uint32_t te_clock_init(void)
{
    /* The part starts with 4 MHz and a voltage at which 16 MHz take a wait state: more do no harm. */
    FLASH_ACR = FLASH_ACR_PRFTEN | BOARD_FLASH_WAIT_STATES;
    te_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_FLASH_WAIT_STATES);
    start_over();
    RCC_AHB3ENR |= RCC_AHB3ENR_PWREN;
    (void)RCC_AHB3ENR; /* the peripheral needs some cycles: reading back takes them */
    if (!start_pll()) {
        return HSI_HZ;
    }
    RCC_CFGR2 = te_apb_prescaler(BOARD_APB1_DIVIDER) << 4 |
                te_apb_prescaler(BOARD_APB2_DIVIDER) << 8;
    RCC_CFGR1 = RCC_CFGR1_SW_PLL1;
    if (te_wait_for(&RCC_CFGR1, RCC_CFGR1_SWS_MASK, RCC_CFGR1_SWS_PLL1)) {
        return BOARD_SYSCLK_HZ;
    }
    start_over();
    return HSI_HZ;
}
