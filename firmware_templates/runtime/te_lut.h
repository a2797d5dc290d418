/* Tables of partial sums: what takes the place of multiplication where weights have few values.
 *
 * A group of `digits` input channels at eight output positions has few possible contributions to an
 * output channel: base^digits, where base counts the values of a weight. All are summed up once, and
 * the packed weights of a group are the index of its sum. An entry holds the eight positions as four
 * words of two 16-bit lanes. A word is low + 65536 * high as one integer, so that plain 32-bit
 * additions sum both lanes on any core: the lower half of the sum is the low lane, and the upper half
 * is the high lane once 0x8000 has been added, which undoes the borrow of a negative low lane. */
#ifndef TE_LUT_H
#define TE_LUT_H

#include "te_cpu.h"

#define TE_LUT_LANES 8
#define TE_LUT_WORDS (TE_LUT_LANES / 2)
#define TE_LUT_CARRY 0x8000u

static inline uint32_t te_lut_word(int32_t low, int32_t high)
{
    return (uint32_t)low + ((uint32_t)high << 16);
}

static inline int32_t te_lut_low(uint32_t word)
{
    return (int16_t)word;
}

static inline int32_t te_lut_high(uint32_t word)
{
    return (int32_t)(word + TE_LUT_CARRY) >> 16;
}

/* For `count` entries from `source` on: low = entry - addend, high = entry + addend. `low` may be
 * `source`. */
static inline void te_lut_extend(const uint32_t *source, uint32_t *low, uint32_t *high,
                                 int32_t count, const uint32_t *addend)
{
#if defined(TE_THUMB2)
    __asm__ volatile("ldm %[addend], {r8-r11}\n"
                     "1:\n"
                     "ldm %[source]!, {r3-r6}\n"
                     "sub r3, r3, r8\n"
                     "sub r4, r4, r9\n"
                     "sub r5, r5, r10\n"
                     "sub r6, r6, r11\n"
                     "stm %[low]!, {r3-r6}\n"
                     "add r3, r3, r8, lsl #1\n"
                     "add r4, r4, r9, lsl #1\n"
                     "add r5, r5, r10, lsl #1\n"
                     "add r6, r6, r11, lsl #1\n"
                     "stm %[high]!, {r3-r6}\n"
                     "subs %[count], %[count], #1\n"
                     "bne 1b\n"
                     : [source] "+r"(source), [low] "+r"(low), [high] "+r"(high),
                       [count] "+r"(count)
                     : [addend] "r"(addend)
                     : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "cc", "memory");
#elif defined(TE_THUMB1)
    /* Low registers add only to low ones, but high ones to any: of every word of the addend, its
     * negative and its double lie in registers. */
    register const uint32_t *from __asm__("r0") = source;
    register uint32_t *to_low __asm__("r1") = low;
    register uint32_t *to_high __asm__("r2") = high;
    register const uint32_t *words __asm__("r3") = addend;
    register int32_t entries __asm__("r4") = count;
    __asm__ volatile(".syntax unified\n"
                     "lsls r4, r4, #4\n"
                     "adds r4, r4, r0\n"
                     "mov lr, r4\n"
                     "ldr r4, [r3, #4]\n"
                     "rsbs r7, r4, #0\n"
                     "lsls r4, r4, #1\n"
                     "mov r8, r4\n"
                     "ldr r4, [r3, #8]\n"
                     "rsbs r5, r4, #0\n"
                     "mov r9, r5\n"
                     "lsls r4, r4, #1\n"
                     "mov r10, r4\n"
                     "ldr r4, [r3, #12]\n"
                     "rsbs r5, r4, #0\n"
                     "mov r11, r5\n"
                     "lsls r4, r4, #1\n"
                     "mov r12, r4\n"
                     "ldr r4, [r3]\n"
                     "rsbs r5, r4, #0\n"
                     "lsls r6, r4, #1\n"
                     "1:\n"
                     "ldmia r0!, {r3, r4}\n"
                     "adds r3, r3, r5\n"
                     "adds r4, r4, r7\n"
                     "stmia r1!, {r3, r4}\n"
                     "adds r3, r3, r6\n"
                     "add r4, r8\n"
                     "stmia r2!, {r3, r4}\n"
                     "ldmia r0!, {r3, r4}\n"
                     "add r3, r9\n"
                     "add r4, r11\n"
                     "stmia r1!, {r3, r4}\n"
                     "add r3, r10\n"
                     "add r4, r12\n"
                     "stmia r2!, {r3, r4}\n"
                     "cmp r0, lr\n"
                     "bcc 1b\n"
                     : "+l"(from), "+l"(to_low), "+l"(to_high), "+l"(words), "+l"(entries)
                     :
                     : "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#else
    for (; count > 0; count--) {
        for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
            const uint32_t word = *source++;
            *low++ = word - addend[i];
            *high++ = word + addend[i];
        }
    }
#endif
}

/* All sums of `digits` addends, each taken -1, 0 and 1 times (base 3) or -1 and 1 times (base 2);
 * the first addend is the lowest digit of an entry's index. `zero` is the entry of the sum of none:
 * the middle one in base 3, which takes 3 or 4 digits, the first in base 2. */
static inline void te_lut_build(uint32_t *zero, int32_t base, int32_t digits,
                                const uint32_t *addends)
{
    for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
        zero[i] = 0;
    }
    uint32_t *known = zero;
    if (base == 3) {
        te_lut_extend(known, known - 4, known + 4, 1, addends);
        known -= 4;
        te_lut_extend(known, known - 12, known + 12, 3, addends + 4);
        known -= 12;
        te_lut_extend(known, known - 36, known + 36, 9, addends + 8);
        known -= 36;
        if (digits == 4) {
            te_lut_extend(known, known - 108, known + 108, 27, addends + 12);
        }
        return;
    }
    for (int32_t count = 1; digits > 0; digits--) {
        te_lut_extend(known, known, known + count * TE_LUT_WORDS, count, addends);
        count *= 2;
        addends += TE_LUT_WORDS;
    }
}

/* Adds one entry of each of `tables` tables to the accumulators of every channel; the indices lie in
 * the same order, channel by channel. `words` is the size of a table. */
static inline void te_lut_accumulate_c(uint32_t *accumulators, const uint32_t *table, int32_t words,
                                       int32_t tables, const uint8_t *index, int32_t channels)
{
    for (; channels > 0; channels--) {
        const uint32_t *at = table;
        uint32_t sums[TE_LUT_WORDS];
        for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
            sums[i] = accumulators[i];
        }
        for (int32_t k = 0; k < tables; k++) {
            const uint32_t *entry = at + *index++ * TE_LUT_WORDS;
            for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
                sums[i] += entry[i];
            }
            at += words;
        }
        for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
            *accumulators++ = sums[i];
        }
    }
}

#if defined(TE_THUMB2)

#if defined(TE_MVE)
#define TE_LUT_LOAD "vldrw.32 q0, [%[sums]]\n"
#define TE_LUT_ADD                                                                                 \
    "ldrb r3, [%[index]], #1\n"                                                                    \
    "add r3, %[table], r3, lsl #4\n"                                                               \
    "vldrw.32 q1, [r3]\n"                                                                          \
    "vadd.i32 q0, q0, q1\n"
#define TE_LUT_STORE "vstrw.32 q0, [%[sums]], #16\n"
#define TE_LUT_CLOBBERED "r3", "q0", "q1", "cc", "memory"
#else
#define TE_LUT_LOAD "ldm %[sums], {r3-r6}\n"
#define TE_LUT_ADD                                                                                 \
    "ldrb r12, [%[index]], #1\n"                                                                   \
    "add r12, %[table], r12, lsl #4\n"                                                             \
    "ldm r12, {r8, r9, r10, r12}\n"                                                                \
    "add r3, r3, r8\n"                                                                             \
    "add r4, r4, r9\n"                                                                             \
    "add r5, r5, r10\n"                                                                            \
    "add r6, r6, r12\n"
#define TE_LUT_STORE "stm %[sums]!, {r3-r6}\n"
#define TE_LUT_CLOBBERED "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "cc", "memory"
#endif

#define TE_LUT_NEXT "add %[table], %[table], %[step]\n"
#define TE_LUT_LOOP(adds, rewind)                                                                  \
    __asm__ volatile("1:\n" TE_LUT_LOAD adds TE_LUT_STORE rewind                                   \
                     "subs %[channels], %[channels], #1\n"                                         \
                     "bne 1b\n"                                                                    \
                     : [sums] "+r"(accumulators), [index] "+r"(index), [table] "+r"(table),        \
                       [channels] "+r"(channels)                                                   \
                     : [step] "r"(step)                                                            \
                     : TE_LUT_CLOBBERED)

static inline void te_lut_accumulate(uint32_t *accumulators, const uint32_t *table, int32_t words,
                                     int32_t tables, const uint8_t *index, int32_t channels)
{
    const int32_t step = words * 4;
    switch (tables) {
    case 4:
        TE_LUT_LOOP(TE_LUT_ADD TE_LUT_NEXT TE_LUT_ADD TE_LUT_NEXT TE_LUT_ADD TE_LUT_NEXT TE_LUT_ADD,
                    "sub %[table], %[table], %[step]\n"
                    "sub %[table], %[table], %[step], lsl #1\n");
        break;
    case 3:
        TE_LUT_LOOP(TE_LUT_ADD TE_LUT_NEXT TE_LUT_ADD TE_LUT_NEXT TE_LUT_ADD,
                    "sub %[table], %[table], %[step], lsl #1\n");
        break;
    case 2:
        TE_LUT_LOOP(TE_LUT_ADD TE_LUT_NEXT TE_LUT_ADD, "sub %[table], %[table], %[step]\n");
        break;
    case 1:
        TE_LUT_LOOP(TE_LUT_ADD, "");
        break;
    default:
        te_lut_accumulate_c(accumulators, table, words, tables, index, channels);
        break;
    }
}

#elif defined(TE_THUMB1)

/* Four tables and an even number of channels; the tables' addresses lie in r8 to r11. */
static inline void te_lut_accumulate_four(uint32_t *accumulators, const uint32_t *table,
                                          int32_t words, const uint8_t *index, int32_t channels)
{
#define TE_LUT_ADD(at, base)                                                                       \
    "ldrb r3, [r1, #" at "]\n"                                                                     \
    "lsls r3, r3, #4\n"                                                                            \
    "add r3, " base "\n"                                                                           \
    "ldmia r3!, {r0, r2}\n"                                                                        \
    "adds r4, r4, r0\n"                                                                            \
    "adds r5, r5, r2\n"                                                                            \
    "ldmia r3!, {r0, r2}\n"                                                                        \
    "adds r6, r6, r0\n"                                                                            \
    "adds r7, r7, r2\n"
#define TE_LUT_CHANNEL(a, b, c, d)                                                                 \
    "mov r12, r0\n"                                                                                \
    "ldmia r0!, {r4-r7}\n" TE_LUT_ADD(a, "r8") TE_LUT_ADD(b, "r9") TE_LUT_ADD(c, "r10")            \
        TE_LUT_ADD(d, "r11") "mov r0, r12\n"                                                       \
                             "stmia r0!, {r4-r7}\n"
    register uint32_t *sums __asm__("r0") = accumulators;
    register const uint8_t *indices __asm__("r1") = index;
    register const uint32_t *tables __asm__("r2") = table;
    register int32_t step __asm__("r3") = words * 4;
    register int32_t count __asm__("r4") = channels;
    __asm__ volatile(".syntax unified\n"
                     "mov r8, r2\n"
                     "adds r2, r2, r3\n"
                     "mov r9, r2\n"
                     "adds r2, r2, r3\n"
                     "mov r10, r2\n"
                     "adds r2, r2, r3\n"
                     "mov r11, r2\n"
                     "lsls r4, r4, #4\n"
                     "adds r4, r4, r0\n"
                     "mov lr, r4\n"
                     "1:\n" TE_LUT_CHANNEL("0", "1", "2", "3") TE_LUT_CHANNEL("4", "5", "6", "7")
                         "adds r1, #8\n"
                         "cmp r0, lr\n"
                         "bcc 1b\n"
                     : "+l"(sums), "+l"(indices), "+l"(tables), "+l"(step), "+l"(count)
                     :
                     : "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#undef TE_LUT_CHANNEL
#undef TE_LUT_ADD
}

static inline void te_lut_accumulate(uint32_t *accumulators, const uint32_t *table, int32_t words,
                                     int32_t tables, const uint8_t *index, int32_t channels)
{
    if (tables == 4 && (channels & 1) == 0) {
        te_lut_accumulate_four(accumulators, table, words, index, channels);
    } else {
        te_lut_accumulate_c(accumulators, table, words, tables, index, channels);
    }
}

#else
#define te_lut_accumulate te_lut_accumulate_c
#endif

#endif
