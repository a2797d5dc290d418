#include "te_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SYSTICK_CTRL REGISTER(0xe000e010u)
#define SYSTICK_LOAD REGISTER(0xe000e014u)
#define SYSTICK_VAL REGISTER(0xe000e018u)
#define SYSTICK_RELOAD 0x00ffffffu

static volatile uint32_t wraps;

void SysTick_Handler(void);

void SysTick_Handler(void)
{
    wraps++;
}

void te_systick_start(void)
{
    SYSTICK_LOAD = SYSTICK_RELOAD;
    SYSTICK_VAL = 0;
    SYSTICK_CTRL = 7; /* processor clock, interrupt, enable */
}

uint64_t te_systick_ticks(void)
{
    uint32_t before, value;
    do {
        before = wraps;
        value = SYSTICK_VAL;
        __asm volatile("isb"); /* a wrap that was just counted is served before `wraps` is read */
    } while (before != wraps);
    return (uint64_t)before * (SYSTICK_RELOAD + 1u) + (SYSTICK_RELOAD - value);
}
