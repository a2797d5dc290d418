/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products for cores with the DSP extension: `smlad` multiplies two pairs of 16-bit lanes.
 *
 * Columns (the products of one sum) come in steps of four. The activations of a step are two words,
 * columns (0, 2) and (1, 3) in their lanes, as `sxtb16` gives them. Output channels come in pairs
 * a, b; a pair's weights lie together, step by step. */
#ifndef TE_DSP_DOT_H
#define TE_DSP_DOT_H

#include <stdint.h>

#define TE_DSP_STEP 4
#define TE_DSP_PIXELS 3
#define TE_DSP_CELLS 16

/* A macro's value as text, for assembly. */
#define TE_TEXT(macro) TE_TEXT_OF(macro)
#define TE_TEXT_OF(value) #value

/* Gives the products of one pair of channels with one or three pixels, or of two pairs with two:
 * those of channel c in sums[c * TE_DSP_CELLS + pixel], for one pixel in sums[c]; and the address
 * behind the weights. The words of several pixels alternate. `steps` is at least 1. */
typedef const uint8_t *(*te_dsp_dot)(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                     int32_t *sums);

/* 8 bits: a column's two weights are a lane a + 256 * b of 16 bits. The lane is multiplied as it
 * is, and so is its low byte; the difference is 256 times the sum of b, exact in 24 bits. */
const uint8_t *te_dsp_dot3_int8(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums);
/* Two pairs, whose words alternate. */
const uint8_t *te_dsp_dot2_int8(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums);
const uint8_t *te_dsp_dot1_int8(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums);

/* 8 bits, where a lane of both does not fit in 16 bits: of each step, a word of bytes of a, then one
 * of b. */
const uint8_t *te_dsp_dot3_int8_apart(const uint32_t *columns, const uint8_t *weights,
                                      int32_t steps, int32_t *sums);
const uint8_t *te_dsp_dot1_int8_apart(const uint32_t *columns, const uint8_t *weights,
                                      int32_t steps, int32_t *sums);

/* 4 bits: one word a step. Turned right by 0, 4, 8 and 12 bits, its bits 0xf000f000 are the weights
 * of a for columns (0, 2), of b for them, of a for (1, 3), of b for (1, 3), times 4096; the sums
 * are exact in 20 bits. */
const uint8_t *te_dsp_dot3_int4(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums);
const uint8_t *te_dsp_dot1_int4(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                                int32_t *sums);

/* Eight products of two pixels and four channels, as te_dsp_dot2_int8 and te_dsp_quads_int8 add them.
 * Fourteen registers are in use, one more than a compiler gives to inline assembly: of two pixels,
 * r4 and r5 sum the low bytes of the first pair of channels, r6 and r7 those of the second one,
 * r8-r11 likewise the lanes. Four single loads take less time than two of two words. */
#define TE_DSP_TWO_BY_FOUR(at)                                                                     \
    "ldr r2, [r1, #" at "]\n"                                                                      \
    "ldr r3, [r1, #" at " + 4]\n"                                                                  \
    "ldr r12, [r0, #" at "]\n"                                                                     \
    "ldr lr, [r0, #" at " + 4]\n"                                                                  \
    "smlad r8, r12, r2, r8\n"                                                                      \
    "smlad r9, lr, r2, r9\n"                                                                       \
    "smlad r10, r12, r3, r10\n"                                                                    \
    "smlad r11, lr, r3, r11\n"                                                                     \
    "sxtb16 r2, r2\n"                                                                              \
    "sxtb16 r3, r3\n"                                                                              \
    "smlad r4, r12, r2, r4\n"                                                                      \
    "smlad r5, lr, r2, r5\n"                                                                       \
    "smlad r6, r12, r3, r6\n"                                                                      \
    "smlad r7, lr, r3, r7\n"

#endif
