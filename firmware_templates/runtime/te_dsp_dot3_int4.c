/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of three columns with weights of 4 bits, with the DSP extension. */
#include "te_cpu.h"
#include "te_dsp_dot.h"

#define MASK 0xf000f000u

#if defined(TE_DSP)

/* r4-r6 sum channel a, r7-r9 channel b, of three pixels; r3 is the mask. The end of the columns
 * waits on the stack, as all fourteen registers are in use. */
#define TE_HALF(a, b)                                                                              \
    "ldm r0!, {r10, r11, r12}\n"                                                                   \
    "and lr, r3, r2" a "\n"                                                                        \
    "smlad r4, r10, lr, r4\n"                                                                      \
    "smlad r5, r11, lr, r5\n"                                                                      \
    "smlad r6, r12, lr, r6\n"                                                                      \
    "and lr, r3, r2, ror #" b "\n"                                                                 \
    "smlad r7, r10, lr, r7\n"                                                                      \
    "smlad r8, r11, lr, r8\n"                                                                      \
    "smlad r9, r12, lr, r9\n"
#define TE_STEP "ldr r2, [r1], #4\n" TE_HALF("", "4") TE_HALF(", ror #8", "12")

__attribute__((naked, noinline)) const uint8_t *
te_dsp_dot3_int4(const uint32_t *columns __attribute__((unused)),
                 const uint8_t *weights __attribute__((unused)),
                 int32_t steps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__("add r12, r2, r2, lsl #1\n"
            "add r12, r0, r12, lsl #3\n"
            "push {r3-r12, lr}\n"
            "mov r3, #0xf000f000\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "mov r8, r4\n"
            "mov r9, r4\n"
            "lsls r2, r2, #31\n" /* steps % 4: bit 1 in carry, bit 0 in the sign */
            "bcc 5f\n"
            "bmi 2f\n"
            "b 3f\n"
            "5: bmi 4f\n"
            "1:" TE_STEP "2:" TE_STEP "3:" TE_STEP "4:" TE_STEP
            "ldr lr, [sp, #36]\n"
            "cmp r0, lr\n"
            "bne 1b\n"
            "asrs r4, r4, #12\n"
            "asrs r5, r5, #12\n"
            "asrs r6, r6, #12\n"
            "asrs r7, r7, #12\n"
            "asr r8, r8, #12\n"
            "asr r9, r9, #12\n"
            "mov r0, r1\n"
            "pop {r3}\n"
            "stm r3, {r4-r6}\n"
            "add r3, r3, #4 * " TE_TEXT(TE_DSP_CELLS) "\n"
            "stm r3, {r7-r9}\n"
            "pop {r4-r12, pc}\n");
}

#else

const uint8_t *te_dsp_dot3_int4(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums)
{
    int32_t a[TE_DSP_PIXELS] = {0}, b[TE_DSP_PIXELS] = {0};
    for (int32_t i = 0; i < steps; i++) {
        const uint32_t word = te_load_word(weights);
        weights += sizeof word;
        for (uint32_t bits = 0; bits < 16; bits += 8) {
            for (int32_t pixel = 0; pixel < TE_DSP_PIXELS; pixel++) {
                a[pixel] = te_smlad(*columns, te_turned(word, bits) & MASK, a[pixel]);
                b[pixel] = te_smlad(*columns++, te_turned(word, bits + 4) & MASK, b[pixel]);
            }
        }
    }
    for (int32_t pixel = 0; pixel < TE_DSP_PIXELS; pixel++) {
        sums[pixel] = a[pixel] >> 12;
        sums[TE_DSP_CELLS + pixel] = b[pixel] >> 12;
    }
    return weights;
}

#endif
