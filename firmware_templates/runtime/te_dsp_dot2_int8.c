/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of two columns with int8 weights, with the DSP extension. */
#include "te_cpu.h"
#include "te_dsp_dot.h"

#if defined(TE_DSP)

#define TE_STEP(at) TE_DSP_TWO_BY_FOUR(at) TE_DSP_TWO_BY_FOUR(at " + 8")

__attribute__((naked, noinline)) const uint8_t *
te_dsp_dot2_int8(const uint32_t *columns __attribute__((unused)),
                 const uint8_t *weights __attribute__((unused)),
                 int32_t steps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__("add r12, r0, r2, lsl #4\n" /* the end of the columns waits on the stack */
            "push {r3-r12, lr}\n"
            "rsb lr, r2, #0\n"
            "and lr, lr, #3\n"
            "sub r0, r0, lr, lsl #4\n"
            "sub r1, r1, lr, lsl #4\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "mov r8, r4\n"
            "mov r9, r4\n"
            "mov r10, r4\n"
            "mov r11, r4\n"
            "lsls r2, r2, #31\n" /* steps % 4: bit 1 in carry, bit 0 in the sign */
            "bcc 5f\n"
            "bmi 2f\n"
            "b 3f\n"
            "5: bmi.w 4f\n"
            "1:" TE_STEP("0") "2:" TE_STEP("16") "3:" TE_STEP("32") "4:" TE_STEP("48")
            "ldr lr, [sp, #36]\n"
            "add r0, r0, #64\n"
            "add r1, r1, #64\n"
            "cmp r0, lr\n"
            "bne.w 1b\n"
            "sub r8, r8, r4\n"
            "sub r9, r9, r5\n"
            "sub r10, r10, r6\n"
            "sub r11, r11, r7\n"
            "asr r8, r8, #8\n"
            "asr r9, r9, #8\n"
            "asr r10, r10, #8\n"
            "asr r11, r11, #8\n"
            "mov r0, r1\n"
            "pop {r3}\n"
            "strd r4, r5, [r3]\n"
            "strd r8, r9, [r3, #4 * " TE_TEXT(TE_DSP_CELLS) "]\n"
            "strd r6, r7, [r3, #8 * " TE_TEXT(TE_DSP_CELLS) "]\n"
            "strd r10, r11, [r3, #12 * " TE_TEXT(TE_DSP_CELLS) "]\n"
            "pop {r4-r12, pc}\n");
}

#else

const uint8_t *te_dsp_dot2_int8(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums)
{
    int32_t low[4] = {0}, lanes[4] = {0};
    for (int32_t i = 0; i < 2 * steps; i++) {
        for (int32_t pair = 0; pair < 2; pair++) {
            const uint32_t word = te_load_word(weights);
            weights += sizeof word;
            for (int32_t pixel = 0; pixel < 2; pixel++) {
                const int32_t at = 2 * pair + pixel;
                low[at] = te_smlad(columns[pixel], te_even_bytes(word), low[at]);
                lanes[at] = te_smlad(columns[pixel], word, lanes[at]);
            }
        }
        columns += 2;
    }
    for (int32_t at = 0; at < 4; at++) {
        int32_t *sum = sums + (at & 2) * TE_DSP_CELLS + (at & 1);
        sum[0] = low[at];
        sum[TE_DSP_CELLS] = (int32_t)((uint32_t)lanes[at] - (uint32_t)low[at]) >> 8;
    }
    return weights;
}

#endif
