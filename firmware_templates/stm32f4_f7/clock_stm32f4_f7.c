/* Clock tree of an STM32F4 (reference manuals RM0090, RM0368, RM0383, RM0390) or STM32F7 (RM0410). */
#include "board.h"
#include "te_stm32.h"
#include "te_stm32_family.h"

#define RCC_CR REGISTER(0x40023800u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_PLLCFGR_SOURCE_HSE (1u << 22)
#define RCC_PLLCFGR_RESERVED (15u << 28) /* on an STM32F446 or F7 PLLR, which must not be 0 */
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS_MASK (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB1ENR_PWREN (1u << 28)

/* PWR_CR1 and PWR_CSR1 of an STM32F7. */
#define PWR_CR REGISTER(0x40007000u)
#define PWR_CR_VOS_MASK (3u << 14)
#define PWR_CR_ODEN (1u << 16)
#define PWR_CR_ODSWEN (1u << 17)
#define PWR_CSR REGISTER(0x40007004u)
#define PWR_CSR_VOSRDY (1u << 14)
#define PWR_CSR_ODRDY (1u << 16)
#define PWR_CSR_ODSWRDY (1u << 17)

#define FLASH_ACR REGISTER(0x40023c00u)
#define FLASH_ACR_LATENCY_MASK 15u

/* To the internal oscillator, and the PLL off: a boot loader may have left it running,
 * and neither it nor the voltage scale can be set while it does. */
static void start_over(void)
{
    RCC_CR |= RCC_CR_HSION;
    RCC_CFGR = 0;
    te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, 0);
    RCC_CR &= ~(RCC_CR_PLLON | RCC_CR_HSEON);
    te_wait_for(&RCC_CR, RCC_CR_PLLRDY | RCC_CR_HSERDY, 0);
}

#if BOARD_OVER_DRIVE
static int over_drive(void)
{
    PWR_CR |= PWR_CR_ODEN;
    if (!te_wait_for(&PWR_CSR, PWR_CSR_ODRDY, PWR_CSR_ODRDY)) {
        return 0;
    }
    PWR_CR |= PWR_CR_ODSWEN;
    return te_wait_for(&PWR_CSR, PWR_CSR_ODSWRDY, PWR_CSR_ODSWRDY);
}
#endif

/* Crystal -> PLL -> full speed. */
uint32_t te_clock_init(void)
{
    start_over();
#if BOARD_HSE_BYPASS
    RCC_CR |= RCC_CR_HSEBYP;
#endif
    RCC_CR |= RCC_CR_HSEON;
    if (!te_wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY)) {
        return HSI_HZ;
    }
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR; /* the peripheral needs some cycles: reading back takes them */
    PWR_CR = (PWR_CR & ~PWR_CR_VOS_MASK) | BOARD_VOLTAGE_SCALE << 14;
    RCC_PLLCFGR = (RCC_PLLCFGR & RCC_PLLCFGR_RESERVED) | BOARD_PLL_M | BOARD_PLL_N << 6 |
                  (BOARD_PLL_P / 2u - 1u) << 16 | RCC_PLLCFGR_SOURCE_HSE | BOARD_PLL_Q << 24;
    RCC_CR |= RCC_CR_PLLON;
    /* The voltage changes only now that the PLL is on. */
    if (!te_wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY) ||
        !te_wait_for(&PWR_CSR, PWR_CSR_VOSRDY, PWR_CSR_VOSRDY)) {
        return HSI_HZ;
    }
#if BOARD_OVER_DRIVE
    if (!over_drive()) {
        return HSI_HZ;
    }
#endif
    FLASH_ACR = FLASH_ACR_ACCELERATORS | BOARD_FLASH_WAIT_STATES;
    if (!te_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_FLASH_WAIT_STATES)) {
        return HSI_HZ;
    }
    RCC_CFGR = te_apb_prescaler(BOARD_APB1_DIVIDER) << 10 |
               te_apb_prescaler(BOARD_APB2_DIVIDER) << 13;
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    return te_wait_for(&RCC_CFGR, RCC_CFGR_SWS_MASK, RCC_CFGR_SWS_PLL) ? BOARD_SYSCLK_HZ : HSI_HZ;
}
