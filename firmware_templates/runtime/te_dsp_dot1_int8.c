/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of a column with int8 weights, with the DSP extension. */
#include "te_cpu.h"
#include "te_dsp_dot.h"

#if defined(TE_DSP)

/* r4 sums the low bytes, r5 the lanes. */
#define TE_WORD(column, lanes)                                                                     \
    "sxtb16 r3, " lanes "\n"                                                                       \
    "smlad r5, " column ", " lanes ", r5\n"                                                        \
    "smlad r4, " column ", r3, r4\n"
#define TE_STEP "ldm r0!, {r6, r7}\nldm r1!, {r10, r11}\n" TE_WORD("r6", "r10") TE_WORD("r7", "r11")
#define TE_TWO_STEPS                                                                               \
    "ldm r0!, {r6-r9}\nldm r1!, {r10-r12, lr}\n" TE_WORD("r6", "r10") TE_WORD("r7", "r11")         \
        TE_WORD("r8", "r12") TE_WORD("r9", "lr")

__attribute__((naked, noinline)) const uint8_t *
te_dsp_dot1_int8(const uint32_t *columns __attribute__((unused)),
                 const uint8_t *weights __attribute__((unused)),
                 int32_t steps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__("push {r3-r11, lr}\n"
            "add r12, r0, r2, lsl #3\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "lsls r2, r2, #31\n" /* steps % 4: bit 1 in carry, bit 0 in the sign */
            "mov r2, r12\n"
            "bpl 3f\n" TE_STEP "3: bcs 2f\n"
            "cmp r0, r2\n"
            "beq 4f\n"
            "1:" TE_TWO_STEPS "2:" TE_TWO_STEPS
            "cmp r0, r2\n"
            "bne 1b\n"
            "4: subs r5, r5, r4\n"
            "asrs r5, r5, #8\n"
            "mov r0, r1\n"
            "pop {r3}\n"
            "stm r3, {r4, r5}\n"
            "pop {r4-r11, pc}\n");
}

#else

const uint8_t *te_dsp_dot1_int8(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums)
{
    int32_t low = 0, lanes = 0;
    for (int32_t i = 0; i < 2 * steps; i++) {
        const uint32_t word = te_load_word(weights);
        weights += sizeof word;
        low = te_smlad(*columns, te_even_bytes(word), low);
        lanes = te_smlad(*columns++, word, lanes);
    }
    sums[0] = low;
    sums[1] = (int32_t)((uint32_t)lanes - (uint32_t)low) >> 8;
    return weights;
}

#endif
