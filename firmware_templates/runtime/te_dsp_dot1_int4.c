/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of a column with weights of 4 bits, with the DSP extension. */
#include "te_cpu.h"
#include "te_dsp_dot.h"

#define MASK 0xf000f000u

#if defined(TE_DSP)

/* r4 sums channel a, r5 channel b; r3 is the mask. */
#define TE_WORD(first, second, word)                                                               \
    "and r12, r3, " word "\n"                                                                      \
    "smlad r4, " first ", r12, r4\n"                                                               \
    "and r12, r3, " word ", ror #4\n"                                                              \
    "smlad r5, " first ", r12, r5\n"                                                               \
    "and r12, r3, " word ", ror #8\n"                                                              \
    "smlad r4, " second ", r12, r4\n"                                                              \
    "and r12, r3, " word ", ror #12\n"                                                             \
    "smlad r5, " second ", r12, r5\n"
#define TE_STEP "ldm r0!, {r6, r7}\nldr r10, [r1], #4\n" TE_WORD("r6", "r7", "r10")
#define TE_TWO_STEPS                                                                               \
    "ldm r0!, {r6-r9}\nldm r1!, {r10, r11}\n" TE_WORD("r6", "r7", "r10") TE_WORD("r8", "r9", "r11")

__attribute__((naked, noinline)) const uint8_t *
te_dsp_dot1_int4(const uint32_t *columns __attribute__((unused)),
                 const uint8_t *weights __attribute__((unused)),
                 int32_t steps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__("push {r3-r11, lr}\n"
            "add r12, r0, r2, lsl #3\n"
            "mov r3, #0xf000f000\n"
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
            "4: asrs r4, r4, #12\n"
            "asrs r5, r5, #12\n"
            "mov r0, r1\n"
            "pop {r3}\n"
            "stm r3, {r4, r5}\n"
            "pop {r4-r11, pc}\n");
}

#else

const uint8_t *te_dsp_dot1_int4(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums)
{
    int32_t a = 0, b = 0;
    for (int32_t i = 0; i < steps; i++) {
        const uint32_t word = te_load_word(weights);
        weights += sizeof word;
        for (uint32_t bits = 0; bits < 16; bits += 8) {
            a = te_smlad(*columns, te_turned(word, bits) & MASK, a);
            b = te_smlad(*columns++, te_turned(word, bits + 4) & MASK, b);
        }
    }
    sums[0] = a >> 12;
    sums[1] = b >> 12;
    return weights;
}

#endif
