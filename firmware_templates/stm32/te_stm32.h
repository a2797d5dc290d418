/* What the families of STM32 share; registers that differ are in each one's te_stm32_family.h. */
#ifndef TE_STM32_H
#define TE_STM32_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Polls of a ready flag before a clock is given up, some tens of milliseconds. */
#define READY_POLLS 100000u

/* Of the family: brings the core to BOARD_SYSCLK_HZ, and tells the frequency that it reached. Where
 * a clock does not start (and in emulators, which have no clock tree) that is HSI_HZ. */
uint32_t te_clock_init(void);

static inline int te_wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < READY_POLLS; i++) {
        if ((*reg & mask) == value) {
            return 1;
        }
    }
    return 0;
}

/* Encodes an APB divider (1, 2, 4, 8, 16) as RCC_CFGR wants it. */
static inline uint32_t te_apb_prescaler(uint32_t divider)
{
    uint32_t code = 3;
    while (divider > 1) {
        divider /= 2;
        code++;
    }
    return code > 3 ? code : 0;
}

#endif
