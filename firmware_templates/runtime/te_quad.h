/* Four ternary products in one dual 16-bit multiplication.
 *
 * A 16-bit weight holds two output channels, (a + 1) + 2^14 * b, so that multiplying it by an input
 * adds (a + 1) * x to the low field of a sum, 14 bits, and b * x to the high field. A pair of such
 * weights takes only the bits of TE_QUAD_MASK, and four pairs, rotated by 0, 4, 8 and 12 bits to the
 * left, one word: the weights of eight columns and two channels. A sum starts from TE_QUAD_START minus
 * the sum of x, so that its low field ends as 2^13 + the sum of a * x, which is not negative and
 * borrows nothing from the high field; for how many columns that fits, the exporter says. */
#ifndef TE_QUAD_H
#define TE_QUAD_H

#include "te_cpu.h"

#define TE_QUAD_MASK 0xc003c003u
#define TE_QUAD_CELLS 4
#define TE_QUAD_START 0x2000

/* 2^13 above the sum of the low channel. */
static inline int32_t te_quad_low(int32_t sum)
{
    return (int32_t)((uint32_t)sum & 0x3fffu);
}

static inline int32_t te_quad_high(int32_t sum)
{
    return sum >> 14;
}

/* Adds the products of 8 * `words` columns to the sums of four cells. `columns` holds, for every two
 * columns, a word of two 16-bit lanes of each cell. */
static inline void te_quad_dot4(const uint32_t *packed, const uint32_t *columns, int32_t words,
                                const int32_t *initial, int32_t *sums)
{
#if defined(TE_DSP) && defined(__OPTIMIZE__)
    int32_t a = initial[0], b = initial[1], c = initial[2], d = initial[3];
#define TE_QUAD_PAIR(turn)                                                                         \
    "and r9, %[mask], r8" turn "\n"                                                                \
    "ldm %[columns]!, {r3-r6}\n"                                                                   \
    "smlad %[a], r3, r9, %[a]\n"                                                                   \
    "smlad %[b], r4, r9, %[b]\n"                                                                   \
    "smlad %[c], r5, r9, %[c]\n"                                                                   \
    "smlad %[d], r6, r9, %[d]\n"
#define TE_QUAD_WORD                                                                               \
    "ldr r8, [%[packed]], #4\n" TE_QUAD_PAIR("") TE_QUAD_PAIR(", ror #4")                          \
        TE_QUAD_PAIR(", ror #8") TE_QUAD_PAIR(", ror #12")
    __asm__ volatile("lsrs %[words], %[words], #1\n"
                     "bcc 2f\n" TE_QUAD_WORD "2:\n"
                     "beq 3f\n"
                     "1:\n" TE_QUAD_WORD TE_QUAD_WORD "subs %[words], %[words], #1\n"
                     "bne 1b\n"
                     "3:\n"
                     : [packed] "+r"(packed), [columns] "+r"(columns), [words] "+r"(words),
                       [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
                     : [mask] "r"(TE_QUAD_MASK)
                     : "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
#undef TE_QUAD_WORD
#undef TE_QUAD_PAIR
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
#else
    for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
        sums[cell] = initial[cell];
    }
    for (; words > 0; words--) {
        const uint32_t word = *packed++;
        for (int32_t i = 0; i < 16; i += 4) {
            const uint32_t pair = (word >> i | word << (31 - i) << 1) & TE_QUAD_MASK;
            for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
                sums[cell] = te_smlad(*columns++, pair, sums[cell]);
            }
        }
    }
#endif
}

#endif
