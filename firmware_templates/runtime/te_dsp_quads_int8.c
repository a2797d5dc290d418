/* SPDX-License-Identifier: Apache-2.0 */
/* Four rows by columns of int8, sums and scaling in one loop, with the DSP extension. */
#include "te_conv2d_dsp_s8.h"

#define CHANNELS 4
#define PIXELS 2

/* What the sums of four channels become: `pairs` of neighbouring pixels, a word of outputs each. The
 * second pixel is written first, so that with `next` 0 only the first one stays. */
#if defined(TE_DSP)

#define TE_STEP(at) ".irp half, 0, 8\n" TE_DSP_TWO_BY_FOUR(at " + \\half") ".endr\n"
/* One output of te_scaled: r2 bias, r3 mantissa, r12 rounding, lr the shift. What rounds a negative
 * number away from zero is taken off by the sign of its factor: where that rounds to zero, `rounding`
 * is more than one and the shift drops the difference. */
#define TE_FINISH(sum, by)                                                                         \
    "add " sum ", r2, " sum ", " by "\n"                                                           \
    "sub r0, r12, " sum ", lsr #31\n"                                                              \
    "smmlar " sum ", " sum ", r3, r0\n"                                                            \
    "asr " sum ", " sum ", lr\n"                                                                   \
    "ssat " sum ", #8, " sum "\n"
#define TE_CHANNEL(at, first, second, by)                                                          \
    "ldr r2, [r1, #16 * " at "]\n"                                                                 \
    "ldr r3, [r1, #16 * " at " + 4]\n"                                                             \
    "ldr r12, [r1, #16 * " at " + 8]\n"                                                            \
    "ldrb lr, [r1, #16 * " at " + 14]\n" TE_FINISH(first, by) TE_FINISH(second, by)

/* On the stack: the end of the columns, the arguments in registers, those behind them. */
__attribute__((naked, noinline)) static void
make_pairs(const uint32_t *columns __attribute__((unused)),
           const uint8_t *weights __attribute__((unused)), int32_t steps __attribute__((unused)),
           const te_scale *scales __attribute__((unused)), int8_t *output __attribute__((unused)),
           int32_t next __attribute__((unused)), int32_t pairs __attribute__((unused)))
{
    __asm__("push {r0-r11, lr}\n"
            "1: ldr r2, [sp, #8]\n"
            "ldr r1, [sp, #4]\n"
            "add r12, r0, r2, lsl #4\n"
            "str r12, [sp]\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "mov r8, r4\n"
            "mov r9, r4\n"
            "mov r10, r4\n"
            "mov r11, r4\n"
            "ands r2, r2, #3\n"
            "beq 2f\n"
            "rsb lr, r2, #4\n"
            "sub r0, r0, lr, lsl #4\n"
            "sub r1, r1, lr, lsl #4\n"
            "cmp r2, #2\n"
            "bhi 3f\n"
            "beq.w 4f\n"
            "b 5f\n"
            "2:" TE_STEP("0") "3:" TE_STEP("16") "4:" TE_STEP("32") "5:" TE_STEP("48")
            "ldr lr, [sp]\n"
            "add r0, r0, #64\n"
            "add r1, r1, #64\n"
            "cmp r0, lr\n"
            "bne.w 2b\n"
            "ldr r1, [sp, #12]\n"
            "sub r8, r8, r4\n"
            "sub r9, r9, r5\n"
            "sub r10, r10, r6\n"
            "sub r11, r11, r7\n" TE_CHANNEL("0", "r4", "r5", "lsl #1")
                TE_CHANNEL("1", "r8", "r9", "asr #7") TE_CHANNEL("2", "r6", "r7", "lsl #1")
                    TE_CHANNEL("3", "r10", "r11", "asr #7")
            "ldr r0, [sp, #52]\n"
            "ldr r2, [sp, #56]\n"
            "ldr r3, [sp, #60]\n"
            "bfi r4, r8, #8, #8\n"
            "bfi r5, r9, #8, #8\n"
            "bfi r4, r6, #16, #8\n"
            "bfi r5, r7, #16, #8\n"
            "bfi r4, r10, #24, #8\n"
            "bfi r5, r11, #24, #8\n"
            "str r5, [r0, r2]\n"
            "str r4, [r0]\n"
            "add r0, r0, r2, lsl #1\n"
            "subs r3, r3, #1\n"
            "str r0, [sp, #52]\n"
            "str r3, [sp, #60]\n"
            "ldr r0, [sp]\n"
            "bne.w 1b\n"
            "add sp, sp, #16\n"
            "pop {r4-r11, pc}\n");
}

#else

static void make_pairs(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                       const te_scale *scales, int8_t *output, int32_t next, int32_t pairs)
{
    for (; pairs > 0; pairs--) {
        uint32_t sums[CHANNELS][PIXELS] = {{0}};
        for (int32_t i = 0; i < 2 * steps; i++) {
            for (int32_t channel = 0; channel < CHANNELS; channel += 2) {
                const uint32_t word = te_load_word(weights + 4 * (2 * i + channel / 2));
                for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
                    uint32_t *sum = &sums[channel][pixel], *lanes = &sums[channel + 1][pixel];
                    *sum = (uint32_t)te_smlad(columns[pixel], te_even_bytes(word), (int32_t)*sum);
                    *lanes = (uint32_t)te_smlad(columns[pixel], word, (int32_t)*lanes);
                }
            }
            columns += PIXELS;
        }
        for (int32_t pixel = PIXELS - 1; pixel >= 0; pixel--) {
            for (int32_t channel = 0; channel < CHANNELS; channel++) {
                uint32_t sum = sums[channel][pixel];
                if (channel % 2 == 1) {
                    sum = (uint32_t)((int32_t)(sum - sums[channel - 1][pixel]) >> 8);
                }
                const uint32_t shifted = TE_SCALE_STEP * sum + (uint32_t)scales[channel].bias;
                output[pixel * next + channel] =
                    te_scaled(&scales[channel], 0, TE_SCALE_PLAIN, (int32_t)shifted);
            }
        }
        output += PIXELS * next;
    }
}

#endif

void te_dsp_quads_int8(const te_conv2d_dsp *layer, const uint32_t *words, int32_t cells,
                       int8_t *output)
{
    const int32_t channels = layer->output.channels, steps = layer->steps;
    const int32_t zero_point = layer->activation.output_offset;
    const int32_t pairs = cells / PIXELS;
    const uint8_t *weights = layer->packed;
    for (int32_t first = 0; first < channels; first += CHANNELS) {
        te_scale scales[CHANNELS];
        for (int32_t i = 0; i < CHANNELS; i++) {
            scales[i] = te_scale_unstepped(&layer->scale, zero_point, first + i);
        }
        if (pairs > 0) {
            make_pairs(words, weights, steps, scales, output + first, channels, pairs);
        }
        if (cells % PIXELS != 0) {
            make_pairs(words + pairs * steps * 2 * PIXELS, weights, steps, scales,
                       output + first + pairs * PIXELS * channels, 0, 1);
        }
        weights += steps * TE_DSP_STEP * CHANNELS;
    }
}
