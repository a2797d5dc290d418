/* The exit code: one more than the words of the counted stack that an inference leaves, found by painting. */
#include <stdint.h>

#include "kws.h"

#define PAINTED 8192u
#define PAINT 0xa5u

static kws_arena arena;
static kws_instance model;
static int8_t samples[KWS_INPUT_SIZE], logits[KWS_OUTPUT_SIZE];

int main(void);

/* Calls nothing but what is measured: the stack pointer at the call is the one that is read here. */
__attribute__((noinline)) static uint32_t peak(const kws_inputs *in, const kws_outputs *out)
{
    volatile uint8_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (uint32_t below = 1; below <= PAINTED; below++) {
        *(top - below) = PAINT;
    }
    kws_invoke(&model, in, out);
    uint32_t used = PAINTED;
    while (used > 0 && *(top - used) == PAINT) {
        used--;
    }
    return used;
}

int main(void)
{
#ifdef __ARM_FEATURE_MVE
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* CPACR: vectors */
#endif
    const kws_inputs in = {samples};
    const kws_outputs out = {logits};
    if (kws_init(&model, &arena, sizeof arena, NULL, 0) != TE_OK) {
        return 254;
    }
    const uint32_t used = peak(&in, &out);
    return used > KWS_STACK_SIZE ? 255 : (int)(1u + (KWS_STACK_SIZE - used) / 4u);
}
