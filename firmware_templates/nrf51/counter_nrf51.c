/* The counter of an nRF51, whose Cortex-M0 has no SysTick: TIMER0 counts the 16 MHz that the core runs
 * at. */
#include "te_nrf5.h"
#include "te_platform.h"

#define TIMER0_TASKS_START REGISTER(0x40008000u)
#define TIMER0_TASKS_CAPTURE0 REGISTER(0x40008040u)
#define TIMER0_BITMODE REGISTER(0x40008508u)
#define TIMER0_BITMODE_32 3u
#define TIMER0_PRESCALER REGISTER(0x40008510u)
#define TIMER0_CC0 REGISTER(0x40008540u)

static uint32_t captured;
static uint32_t wraps;

void te_family_init(void)
{
    TIMER0_BITMODE = TIMER0_BITMODE_32;
    TIMER0_PRESCALER = 0;
    TIMER0_TASKS_START = 1;
}

/* Counts at most one wrap a call: what runs between two calls takes less than 268 s. */
uint64_t te_platform_ticks(void)
{
    TIMER0_TASKS_CAPTURE0 = 1;
    const uint32_t now = TIMER0_CC0;
    if (now < captured) {
        wraps++;
    }
    captured = now;
    return (uint64_t)wraps << 32 | now;
}
