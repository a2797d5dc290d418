/* Caches as the ARMv7-M Architecture Reference Manual (DDI 0403, B2.2 and B3.2) has them. */
#include "te_cache.h"

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SCB_CCR REGISTER(0xe000ed14u)
#define SCB_CCR_DC (1u << 16)
#define SCB_CCR_IC (1u << 17)
#define SCB_CCSIDR REGISTER(0xe000ed80u)
#define SCB_CSSELR REGISTER(0xe000ed84u)
#define SCB_CSSELR_L1_DATA 0u
#define SCB_ICIALLU REGISTER(0xe000ef50u)
#define SCB_DCISW REGISTER(0xe000ef60u)

#define DATA_BARRIER() __asm volatile("dsb" ::: "memory")
#define INSTRUCTION_BARRIER() __asm volatile("isb" ::: "memory")

/* By set and way: after a reset the lines hold anything. */
static void invalidate_data(void)
{
    SCB_CSSELR = SCB_CSSELR_L1_DATA;
    DATA_BARRIER();
    const uint32_t geometry = SCB_CCSIDR;
    const uint32_t set_shift = (geometry & 7u) + 4u; /* a line has 2^set_shift bytes */
    const uint32_t last_way = geometry >> 3 & 0x3ffu;
    const uint32_t last_set = geometry >> 13 & 0x7fffu;
    uint32_t way_shift = 32; /* ways are numbered in the top bits */
    for (uint32_t ways = last_way; ways > 0; ways >>= 1) {
        way_shift--;
    }
    for (uint32_t set = 0; set <= last_set; set++) {
        for (uint32_t way = 0; way <= last_way; way++) {
            SCB_DCISW = (way ? way << way_shift : 0) | set << set_shift;
        }
    }
    DATA_BARRIER();
}

void te_cache_enable(void)
{
    DATA_BARRIER();
    INSTRUCTION_BARRIER();
    if (!(SCB_CCR & SCB_CCR_IC)) {
        SCB_ICIALLU = 0;
        DATA_BARRIER();
        INSTRUCTION_BARRIER();
        SCB_CCR |= SCB_CCR_IC;
    }
    /* A boot loader may have left it on: what it holds must not be dropped then. */
    if (!(SCB_CCR & SCB_CCR_DC)) {
        invalidate_data();
        SCB_CCR |= SCB_CCR_DC;
    }
    DATA_BARRIER();
    INSTRUCTION_BARRIER();
}
