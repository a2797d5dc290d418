/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of three columns with int8 weights, with the DSP extension. */
#include "te_cpu.h"
#include "te_dsp_dot.h"

#if defined(TE_DSP)

/* Fourteen registers are in use, one more than a compiler gives to inline assembly: r4-r6 sum the
 * low bytes, r7-r9 the lanes, of three pixels. The end of the columns waits on the stack. */
#define TE_HALF(lanes)                                                                             \
    "ldm r0!, {r10, r11, r12}\n"                                                                   \
    "sxtb16 lr, " lanes "\n"                                                                       \
    "smlad r7, r10, " lanes ", r7\n"                                                               \
    "smlad r8, r11, " lanes ", r8\n"                                                               \
    "smlad r9, r12, " lanes ", r9\n"                                                               \
    "smlad r4, r10, lr, r4\n"                                                                      \
    "smlad r5, r11, lr, r5\n"                                                                      \
    "smlad r6, r12, lr, r6\n"
#define TE_STEP "ldm r1!, {r2, r3}\n" TE_HALF("r2") TE_HALF("r3")

__attribute__((naked, noinline)) const uint8_t *
te_dsp_dot3_int8(const uint32_t *columns __attribute__((unused)),
                 const uint8_t *weights __attribute__((unused)),
                 int32_t steps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__("add r12, r2, r2, lsl #1\n"
            "add r12, r0, r12, lsl #3\n"
            "push {r3-r12, lr}\n"
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
            "sub r7, r7, r4\n"
            "sub r8, r8, r5\n"
            "sub r9, r9, r6\n"
            "asr r7, r7, #8\n"
            "asr r8, r8, #8\n"
            "asr r9, r9, #8\n"
            "mov r0, r1\n"
            "pop {r3}\n"
            "stm r3, {r4-r6}\n"
            "add r3, r3, #4 * " TE_TEXT(TE_DSP_CELLS) "\n"
            "stm r3, {r7-r9}\n"
            "pop {r4-r12, pc}\n");
}

#else

const uint8_t *te_dsp_dot3_int8(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums)
{
    int32_t low[TE_DSP_PIXELS] = {0}, lanes[TE_DSP_PIXELS] = {0};
    for (int32_t i = 0; i < 2 * steps; i++) {
        const uint32_t word = te_load_word(weights);
        weights += sizeof word;
        for (int32_t pixel = 0; pixel < TE_DSP_PIXELS; pixel++) {
            low[pixel] = te_smlad(*columns, te_even_bytes(word), low[pixel]);
            lanes[pixel] = te_smlad(*columns++, word, lanes[pixel]);
        }
    }
    for (int32_t pixel = 0; pixel < TE_DSP_PIXELS; pixel++) {
        sums[pixel] = low[pixel];
        sums[TE_DSP_CELLS + pixel] =
            (int32_t)((uint32_t)lanes[pixel] - (uint32_t)low[pixel]) >> 8;
    }
    return weights;
}

#endif
