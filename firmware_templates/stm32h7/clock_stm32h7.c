/* Supply, voltage and clock tree of an STM32H7 (reference manuals RM0433, RM0399, RM0468). */
#include "board.h"
#include "te_stm32.h"
#include "te_stm32_family.h"

#define RCC_CR REGISTER(0x58024400u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIDIV_MASK (3u << 3)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CR_PLLS_ON (1u << 24 | 1u << 26 | 1u << 28)
#define RCC_CR_PLLS_RDY (1u << 25 | 1u << 27 | 1u << 29)
#define RCC_CFGR REGISTER(0x58024410u)
#define RCC_CFGR_SW_PLL1 3u
#define RCC_CFGR_SWS_MASK (7u << 3)
#define RCC_CFGR_SWS_PLL1 (3u << 3)
#define RCC_D1CFGR REGISTER(0x58024418u)
#define RCC_D2CFGR REGISTER(0x5802441cu)
#define RCC_D3CFGR REGISTER(0x58024420u)
#define RCC_PLLCKSELR REGISTER(0x58024428u)
#define RCC_PLLCKSELR_DIVM1_MASK (63u << 4)
#define RCC_PLLCKSELR_SOURCE_MASK 3u
#define RCC_PLLCKSELR_SOURCE_HSE 2u
#define RCC_PLLCFGR REGISTER(0x5802442cu)
#define RCC_PLLCFGR_PLL1_MASK 15u /* no fraction, the wide oscillator, the range of its input */
#define RCC_PLLCFGR_DIVP1EN (1u << 16)
#define RCC_PLL1DIVR REGISTER(0x58024430u)
#define RCC_PLL1DIVR_Q_AND_R_MASK 0x7f7f0000u /* not used */
#define RCC_D2CCIP2R REGISTER(0x58024454u)
#define RCC_D2CCIP2R_USART_MASK 63u
#define RCC_APB4ENR REGISTER(0x580244f4u)
#define RCC_APB4ENR_SYSCFGEN (1u << 1)

#define PWR_CSR1 REGISTER(0x58024804u)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3 REGISTER(0x5802480cu)
#define PWR_CR3_SUPPLY_MASK 0x3fu
#define PWR_CR3_AFTER_RESET_MASK 7u
#define PWR_CR3_AFTER_RESET 6u
#define PWR_D3CR REGISTER(0x58024818u)
#define PWR_D3CR_VOSRDY (1u << 13)
#define PWR_D3CR_VOS_MASK (3u << 14)

#define SYSCFG_PWRCR REGISTER(0x5800042cu)
#define SYSCFG_PWRCR_ODEN (1u << 0)

#define FLASH_ACR REGISTER(0x52002000u)
#define FLASH_ACR_LATENCY_MASK 15u

/* To the internal oscillator, undivided, with all buses at its speed and the serial ports at their
 * bus's: a boot loader may have left something else, and PLLs cannot be set while they run. */
static void start_over(void)
{
    RCC_CR = (RCC_CR | RCC_CR_HSION) & ~RCC_CR_HSIDIV_MASK;
    RCC_CFGR = 0;
    te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, 0);
    RCC_CR &= ~(RCC_CR_PLLS_ON | RCC_CR_HSEON);
    te_wait_for(&RCC_CR, RCC_CR_PLLS_RDY | RCC_CR_HSERDY, 0);
    RCC_D1CFGR = 0;
    RCC_D2CFGR = 0;
    RCC_D3CFGR = 0;
    RCC_D2CCIP2R &= ~RCC_D2CCIP2R_USART_MASK;
}

/* What supplies the core can be set once after power has come, and has to be what the board is wired
 * for: with anything else a part loses its supply. Another firmware's choice stays; what the core
 * then may do is unknown, so that it stays slow. */
static int choose_supply(void)
{
    if ((PWR_CR3 & PWR_CR3_AFTER_RESET_MASK) == PWR_CR3_AFTER_RESET) {
        PWR_CR3 = (PWR_CR3 & ~PWR_CR3_SUPPLY_MASK) | BOARD_SUPPLY;
    }
    return (PWR_CR3 & BOARD_SUPPLY_MASK) == BOARD_SUPPLY &&
           te_wait_for(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY);
}

static int raise_voltage(void)
{
    PWR_D3CR = (PWR_D3CR & ~PWR_D3CR_VOS_MASK) | BOARD_VOLTAGE_SCALE << 14;
    if (!te_wait_for(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY)) {
        return 0;
    }
#if BOARD_OVER_DRIVE
    /* From scale 1 to scale 0. */
    RCC_APB4ENR |= RCC_APB4ENR_SYSCFGEN;
    (void)RCC_APB4ENR; /* the peripheral needs some cycles: reading back takes them */
    SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
    (void)SYSCFG_PWRCR;
    return te_wait_for(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
#else
    return 1;
#endif
}

static int start_crystal(void)
{
#ifdef BOARD_HSE_ENABLE_PORT
    RCC_GPIOENR |= 1u << BOARD_HSE_ENABLE_PORT;
    (void)RCC_GPIOENR;
    GPIO_BSRR(BOARD_HSE_ENABLE_PORT) = 1u << BOARD_HSE_ENABLE_PIN;
    GPIO_MODER(BOARD_HSE_ENABLE_PORT) =
        (GPIO_MODER(BOARD_HSE_ENABLE_PORT) & ~(3u << (BOARD_HSE_ENABLE_PIN * 2u))) |
        1u << (BOARD_HSE_ENABLE_PIN * 2u);
#endif
#if BOARD_HSE_BYPASS
    RCC_CR |= RCC_CR_HSEBYP;
#endif
    RCC_CR |= RCC_CR_HSEON;
    return te_wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY);
}

static int start_pll(void)
{
    RCC_PLLCKSELR =
        (RCC_PLLCKSELR & ~(RCC_PLLCKSELR_DIVM1_MASK | RCC_PLLCKSELR_SOURCE_MASK)) |
        BOARD_PLL_M << 4 | RCC_PLLCKSELR_SOURCE_HSE;
    RCC_PLLCFGR = (RCC_PLLCFGR & ~RCC_PLLCFGR_PLL1_MASK) | BOARD_PLL_RANGE << 2 |
                  RCC_PLLCFGR_DIVP1EN;
    RCC_PLL1DIVR = (RCC_PLL1DIVR & RCC_PLL1DIVR_Q_AND_R_MASK) | (BOARD_PLL_N - 1u) |
                   (BOARD_PLL_P - 1u) << 9;
    RCC_CR |= RCC_CR_PLL1ON;
    return te_wait_for(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
}

/* Encodes the divider of the AXI bus and the AHBs: 8 is 2, 9 is 4. */
static uint32_t ahb_prescaler(void)
{
    return BOARD_AHB_DIVIDER > 1u ? te_apb_prescaler(BOARD_AHB_DIVIDER) + 4u : 0;
}

/* Crystal -> PLL -> full speed. */
uint32_t te_clock_init(void)
{
    start_over();
    if (!choose_supply() || !raise_voltage() || !start_crystal() || !start_pll()) {
        return HSI_HZ;
    }
    FLASH_ACR = BOARD_FLASH_PROGRAMMING_DELAY << 4 | BOARD_FLASH_WAIT_STATES;
    if (!te_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_FLASH_WAIT_STATES)) {
        return HSI_HZ;
    }
    /* APB3 and APB4 as APB1: all of them have the same highest frequency. */
    const uint32_t apb = te_apb_prescaler(BOARD_APB1_DIVIDER);
    RCC_D1CFGR = ahb_prescaler() | apb << 4;
    RCC_D2CFGR = apb << 4 | te_apb_prescaler(BOARD_APB2_DIVIDER) << 8;
    RCC_D3CFGR = apb << 4;
    RCC_CFGR = RCC_CFGR_SW_PLL1;
    if (te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL1)) {
        return BOARD_SYSCLK_HZ;
    }
    start_over();
    return HSI_HZ;
}
