/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products for two output columns at once: a word holds both columns' values, and one
 * multiplication by a weight adds to both 16-bit halves of a sum. */
#ifndef TE_PAIR_H
#define TE_PAIR_H

#include "te_cpu.h"

/* What both halves of a sum start from; the exporter proves that they stay in 0 to 0xffff. */
#define TE_PAIR_ZERO 0x80008000u

/* How the sums of one block of windows are found, channel by channel. */
typedef struct {
    int32_t row; /* words from one row to the next, and from the last one to the next channel */
    int32_t stride;
    int32_t height;
    int32_t width;
    int32_t weights; /* bytes from one channel to the next */
} te_pair_shape;

/* One or two windows in each of some channels, or three or four if they are `many`. Those that there are
 * not lie upon the last one. */
TE_INLINE void te_pair_sum(uint32_t *sums, int32_t count, int32_t many, const uint32_t *words,
                           const int8_t *weights, int32_t channels, const te_pair_shape *shape)
{
    const int32_t height = shape->height, width = shape->width, row = shape->row;
    const int32_t last = (count - 1) * shape->stride;
    const int32_t second = many ? shape->stride : last;
    const int32_t third = 2 * shape->stride;
    const int32_t skip = shape->weights - height * width;
    for (; channels > 0; channels--) {
        uint32_t a = TE_PAIR_ZERO, b = a, c = a, d = a;
        for (int32_t y = height; y > 0; y--) {
            const uint32_t *word = words;
            for (const int8_t *end = weights + width; weights != end; word++) {
                const uint32_t weight = (uint32_t)*weights++;
                a += weight * word[0];
                b += weight * word[second];
                if (many) {
                    c += weight * word[third];
                    d += weight * word[last];
                }
            }
            words += row;
        }
        sums[0] = a;
        sums[1] = b;
        if (many) {
            sums[2] = c;
            sums[3] = d;
        }
        sums += count;
        weights += skip;
    }
}

static TE_NOINLINE void te_pair_sum_few(uint32_t *sums, int32_t count, const uint32_t *words,
                                        const int8_t *weights, int32_t channels,
                                        const te_pair_shape *shape)
{
    te_pair_sum(sums, count, 0, words, weights, channels, shape);
}

static TE_NOINLINE void te_pair_sum_many(uint32_t *sums, int32_t count, const uint32_t *words,
                                         const int8_t *weights, int32_t channels,
                                         const te_pair_shape *shape)
{
    te_pair_sum(sums, count, 1, words, weights, channels, shape);
}

#if defined(TE_THUMB2)

/* The sums of four windows are r3 to r6, of three r3 to r5. Of a row of weights, two at a time: r7, which
 * some compilers keep for themselves, and five operands leave no more registers. */
#define TE_PAIR_ROW_OF_3(row, first, second)                                                       \
    "ldrsb r10, [%[weights], #3 * " #row " + 0]\n"                                                 \
    "ldrsb r11, [%[weights], #3 * " #row " + 1]\n"                                                 \
    "ldm %[words], {r6, r8, r9}\n"                                                                 \
    "mla r3, r10, r6, " first "\n"                                                                 \
    "mla r4, r10, r8, " second "\n"                                                                \
    "mla r5, r10, r9, r5\n"                                                                        \
    "ldrsb r10, [%[weights], #3 * " #row " + 2]\n"                                                 \
    "mla r3, r11, r8, r3\n"                                                                        \
    "mla r4, r11, r9, r4\n"                                                                        \
    "mla r3, r10, r9, r3\n"                                                                        \
    "ldrd r8, r9, [%[words], #12]\n"                                                               \
    "mla r4, r10, r8, r4\n"                                                                        \
    "mla r5, r11, r8, r5\n"                                                                        \
    "mla r5, r10, r9, r5\n"                                                                        \
    "add %[words], %[words], %[row]\n"
#define TE_PAIR_ROW_OF_4(row, first, second)                                                       \
    "ldrsb r10, [%[weights], #3 * " #row " + 0]\n"                                                 \
    "ldrsb r11, [%[weights], #3 * " #row " + 1]\n"                                                 \
    "ldrd r8, r9, [%[words]]\n"                                                                    \
    "mla r3, r10, r8, " first "\n"                                                                 \
    "mla r4, r10, r9, " second "\n"                                                                \
    "mla r3, r11, r9, r3\n"                                                                        \
    "ldrd r8, r9, [%[words], #8]\n"                                                                \
    "mla r5, r10, r8, r5\n"                                                                        \
    "mla r6, r10, r9, r6\n"                                                                        \
    "ldrsb r10, [%[weights], #3 * " #row " + 2]\n"                                                 \
    "mla r4, r11, r8, r4\n"                                                                        \
    "mla r5, r11, r9, r5\n"                                                                        \
    "mla r3, r10, r8, r3\n"                                                                        \
    "mla r4, r10, r9, r4\n"                                                                        \
    "ldrd r8, r9, [%[words], #16]\n"                                                               \
    "mla r6, r11, r8, r6\n"                                                                        \
    "mla r5, r10, r8, r5\n"                                                                        \
    "mla r6, r10, r9, r6\n"                                                                        \
    "add %[words], %[words], %[row]\n"
#define TE_PAIR_LOOP(start, add_row, store)                                                        \
    __asm__ volatile("1:\n"                                                                        \
                     "mov r5, #0x80008000\n" start add_row(0, "r5", "r5")                         \
                         add_row(1, "r3", "r4") add_row(2, "r3", "r4") store                       \
                     "add %[weights], %[weights], #15\n"                                           \
                     "subs %[channels], %[channels], #1\n"                                         \
                     "bne 1b\n"                                                                    \
                     : [sums] "+r"(sums), [words] "+r"(words), [channels] "+r"(channels),          \
                       [weights] "+r"(weights)                                                     \
                     : [row] "r"(row)                                                              \
                     : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "cc", "memory")

/* The same for three or four windows of three by three cells, stride 1. */
static inline void te_pair_sum_three(uint32_t *sums, int32_t count, const uint32_t *words,
                                     const int8_t *weights, int32_t channels,
                                     const te_pair_shape *shape)
{
    const int32_t row = shape->row * 4;
    if (count == 4) {
        TE_PAIR_LOOP("mov r6, r5\n", TE_PAIR_ROW_OF_4, "stm %[sums]!, {r3-r6}\n");
    } else {
        TE_PAIR_LOOP("", TE_PAIR_ROW_OF_3, "stm %[sums]!, {r3-r5}\n");
    }
}

#else

static inline void te_pair_sum_three(uint32_t *sums, int32_t count, const uint32_t *words,
                                     const int8_t *weights, int32_t channels,
                                     const te_pair_shape *shape)
{
    te_pair_sum_many(sums, count, words, weights, channels, shape);
}

#endif
#endif
