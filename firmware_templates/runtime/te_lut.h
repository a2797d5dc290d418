/* SPDX-License-Identifier: Apache-2.0 */
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

#if defined(TE_THUMB1) || defined(TE_THUMB2)
/* A function that is nothing but assembly: more registers are in use than a compiler gives to inline
 * assembly, whatever it keeps one for. */
#define TE_LUT_ASSEMBLY __attribute__((naked, noinline, unused)) static
#define TE_LUT_UNUSED __attribute__((unused))
#endif

/* For `count` entries from `source` on: low = entry - addend, high = entry + addend. `low` may be
 * `source`. */
#if defined(TE_THUMB2)
TE_LUT_ASSEMBLY void te_lut_extend(const uint32_t *source TE_LUT_UNUSED,
                                   uint32_t *low TE_LUT_UNUSED, uint32_t *high TE_LUT_UNUSED,
                                   int32_t count TE_LUT_UNUSED,
                                   const uint32_t *addend TE_LUT_UNUSED)
{
    __asm__("push {r4-r11, lr}\n"
            "ldr r12, [sp, #36]\n"
            "ldm r12, {r8-r11}\n"
            "1:\n"
            "ldm r0!, {r4-r7}\n"
            "sub r4, r4, r8\n"
            "sub r5, r5, r9\n"
            "sub r6, r6, r10\n"
            "sub r7, r7, r11\n"
            "stm r1!, {r4-r7}\n"
            "add r4, r4, r8, lsl #1\n"
            "add r5, r5, r9, lsl #1\n"
            "add r6, r6, r10, lsl #1\n"
            "add r7, r7, r11, lsl #1\n"
            "stm r2!, {r4-r7}\n"
            "subs r3, r3, #1\n"
            "bne 1b\n"
            "pop {r4-r11, pc}\n");
}
#elif defined(TE_THUMB1)
/* Low registers add only to low ones, but high ones to any: of every word of the addend, its negative
 * and its double lie in registers. */
TE_LUT_ASSEMBLY void te_lut_extend(const uint32_t *source TE_LUT_UNUSED,
                                   uint32_t *low TE_LUT_UNUSED, uint32_t *high TE_LUT_UNUSED,
                                   int32_t count TE_LUT_UNUSED,
                                   const uint32_t *addend TE_LUT_UNUSED)
{
    __asm__(".syntax unified\n"
            "push {r4-r7, lr}\n"
            "mov r4, r8\n"
            "mov r5, r9\n"
            "mov r6, r10\n"
            "mov r7, r11\n"
            "push {r4-r7}\n"
            "lsls r4, r3, #4\n"
            "adds r4, r4, r0\n"
            "mov lr, r4\n"
            "ldr r3, [sp, #36]\n"
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
            "pop {r4-r7}\n"
            "mov r8, r4\n"
            "mov r9, r5\n"
            "mov r10, r6\n"
            "mov r11, r7\n"
            "pop {r4-r7, pc}\n");
}
#else
static inline void te_lut_extend(const uint32_t *source, uint32_t *low, uint32_t *high,
                                 int32_t count, const uint32_t *addend)
{
    for (; count > 0; count--) {
        for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
            const uint32_t word = *source++;
            *low++ = word - addend[i];
            *high++ = word + addend[i];
        }
    }
}
#endif

/* The entries of four ternary digits in their order: each is the one before, and one of these more. */
typedef struct {
    uint32_t start[TE_LUT_WORDS]; /* all addends taken -1 times */
    uint32_t first[TE_LUT_WORDS]; /* digit 0 becomes larger */
    uint32_t second[TE_LUT_WORDS]; /* digit 1 does, and digit 0 begins anew */
    uint32_t third[TE_LUT_WORDS];
    uint32_t fourth[TE_LUT_WORDS];
} te_lut_steps;

/* The 81 sums of four addends, each taken -1, 0 and 1 times. */
#if defined(TE_THUMB1) || defined(TE_THUMB2)
#if defined(TE_MVE)
#define TE_LUT_PUT(at) "vstrw.32 q0, [r0, #16 * " at "]\n"
#define TE_LUT_ADVANCE "add r0, r0, #144\n"
#define TE_LUT_STEP_1 "vadd.i32 q0, q0, q1\n"
#define TE_LUT_STEP_2 "vadd.i32 q0, q0, q2\n"
#define TE_LUT_STEP(at) "vldrw.32 q3, [r1, #" at "]\nvadd.i32 q0, q0, q3\n"
#define TE_LUT_BEGIN                                                                               \
    "push {r4, lr}\n"                                                                              \
    "add lr, r0, #1296\n"                                                                          \
    "vldrw.32 q0, [r1]\n"                                                                          \
    "vldrw.32 q1, [r1, #16]\n"                                                                     \
    "vldrw.32 q2, [r1, #32]\n"
#define TE_LUT_IS_END "cmp r0, lr\n"
#define TE_LUT_LEAVE "pop {r4, pc}\n"
#else
#if defined(TE_THUMB2) /* four single stores take less time than one of four words */
#define TE_LUT_PUT(at)                                                                             \
    "str r4, [r0, #16 * " at "]\n"                                                                 \
    "str r5, [r0, #16 * " at " + 4]\n"                                                             \
    "str r6, [r0, #16 * " at " + 8]\n"                                                             \
    "str r7, [r0, #16 * " at " + 12]\n"
#define TE_LUT_ADVANCE "add r0, r0, #144\n"
#else
#define TE_LUT_PUT(at) "stmia r0!, {r4-r7}\n"
#define TE_LUT_ADVANCE ""
#endif
#define TE_LUT_STEP_1 "add r4, r8\nadd r5, r9\nadd r6, r10\nadd r7, r11\n"
#define TE_LUT_STEP_2 "adds r4, r4, r1\nadds r5, r5, r2\nadds r6, r6, r3\nadd r7, r12\n"
#if defined(TE_THUMB2)
#define TE_LUT_ADDEND(at)                                                                             \
    "ldr r1, [lr, #" at "]\n"                                                                      \
    "ldr r2, [lr, #" at " + 4]\n"                                                                  \
    "ldr r3, [lr, #" at " + 8]\n"                                                                  \
    "ldr r12, [lr, #" at " + 12]\n"
#define TE_LUT_BEGIN                                                                               \
    "add r12, r0, #1296\n"                                                                         \
    "push {r4-r12, lr}\n"                                                                          \
    "ldm r1!, {r4-r7}\n"                                                                           \
    "ldm r1, {r8-r11}\n"                                                                           \
    "sub lr, r1, #16\n" TE_LUT_ADDEND("32")
#define TE_LUT_IS_END "ldr r1, [sp, #32]\ncmp r0, r1\n"
#define TE_LUT_LEAVE "pop {r4-r12, pc}\n"
#else
#define TE_LUT_ADDEND(at)                                                                             \
    "mov r3, lr\n"                                                                                 \
    "ldr r1, [r3, #" at " + 12]\n"                                                                 \
    "mov r12, r1\n"                                                                                \
    "adds r3, #" at "\n"                                                                           \
    "ldmia r3!, {r1, r2}\n"                                                                        \
    "ldr r3, [r3]\n"
#define TE_LUT_BEGIN                                                                               \
    "push {r4-r7, lr}\n"                                                                           \
    "mov r4, r8\n"                                                                                 \
    "mov r5, r9\n"                                                                                 \
    "mov r6, r10\n"                                                                                \
    "mov r7, r11\n"                                                                                \
    "push {r4-r7}\n"                                                                               \
    "movs r2, #81\n"                                                                               \
    "lsls r2, r2, #4\n"                                                                            \
    "adds r2, r2, r0\n"                                                                            \
    "push {r2}\n"                                                                                  \
    "mov lr, r1\n"                                                                                 \
    "adds r1, #16\n"                                                                               \
    "ldmia r1!, {r4-r7}\n"                                                                         \
    "mov r8, r4\n"                                                                                 \
    "mov r9, r5\n"                                                                                 \
    "mov r10, r6\n"                                                                                \
    "mov r11, r7\n"                                                                                \
    "mov r1, lr\n"                                                                                 \
    "ldmia r1!, {r4-r7}\n" TE_LUT_ADDEND("32")
#define TE_LUT_IS_END "ldr r1, [sp]\ncmp r0, r1\n"
#define TE_LUT_LEAVE                                                                               \
    "add sp, #4\n"                                                                                 \
    "pop {r4-r7}\n"                                                                                \
    "mov r8, r4\n"                                                                                 \
    "mov r9, r5\n"                                                                                 \
    "mov r10, r6\n"                                                                                \
    "mov r11, r7\n"                                                                                \
    "pop {r4-r7, pc}\n"
#endif
#define TE_LUT_STEP(at) TE_LUT_ADDEND(at) TE_LUT_STEP_2 TE_LUT_ADDEND("32")
#endif
#define TE_LUT_THREE(a, b, c)                                                                      \
    TE_LUT_PUT(a) TE_LUT_STEP_1 TE_LUT_PUT(b) TE_LUT_STEP_1 TE_LUT_PUT(c)
#define TE_LUT_NINE                                                                                \
    TE_LUT_THREE("0", "1", "2") TE_LUT_STEP_2 TE_LUT_THREE("3", "4", "5")                          \
        TE_LUT_STEP_2 TE_LUT_THREE("6", "7", "8") TE_LUT_ADVANCE

TE_LUT_ASSEMBLY void te_lut_fill(uint32_t *table TE_LUT_UNUSED,
                                 const te_lut_steps *steps TE_LUT_UNUSED)
{
    __asm__(".syntax unified\n" TE_LUT_BEGIN
            "1:\n"
            ".rept 2\n" TE_LUT_NINE TE_LUT_STEP("48") ".endr\n" TE_LUT_NINE TE_LUT_IS_END
            "beq 2f\n" TE_LUT_STEP("64") "b 1b\n"
            "2:\n" TE_LUT_LEAVE);
}
#else
static inline void te_lut_fill(uint32_t *table, const te_lut_steps *steps)
{
    for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
        uint32_t sum = steps->start[i];
        uint32_t *to = table + i;
        for (int32_t entry = 1; entry <= 81; entry++) {
            *to = sum;
            to += TE_LUT_WORDS;
            sum += entry % 27 == 0  ? steps->fourth[i]
                   : entry % 9 == 0 ? steps->third[i]
                   : entry % 3 == 0 ? steps->second[i]
                                    : steps->first[i];
        }
    }
}
#endif

/* One word of the steps, from one word of each addend. */
static inline void te_lut_step(te_lut_steps *steps, int32_t word, uint32_t a, uint32_t b, uint32_t c,
                               uint32_t d)
{
    steps->start[word] = 0u - a - b - c - d;
    steps->first[word] = a;
    a *= 2;
    steps->second[word] = b - a;
    a += 2 * b;
    steps->third[word] = c - a;
    a += 2 * c;
    steps->fourth[word] = d - a;
}

/* All sums of `digits` addends: four of them, each taken -1, 0 and 1 times (base 3), or any number,
 * each taken -1 and 1 times (base 2); the first addend is the lowest digit of an entry's index. */
static inline void te_lut_build(uint32_t *table, int32_t base, int32_t digits,
                                const uint32_t *addends)
{
    if (base == 3) {
        te_lut_steps steps;
        for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
            te_lut_step(&steps, i, addends[i], addends[TE_LUT_WORDS + i],
                        addends[2 * TE_LUT_WORDS + i], addends[3 * TE_LUT_WORDS + i]);
        }
        te_lut_fill(table, &steps);
        return;
    }
    for (int32_t i = 0; i < TE_LUT_WORDS; i++) {
        table[i] = 0;
    }
    for (int32_t count = 1; digits > 0; digits--) {
        te_lut_extend(table, table, table + count * TE_LUT_WORDS, count, addends);
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

/* Two channels a turn: the first one walks up the tables, the second one down again. Of two tables the
 * indices are loaded one behind the other, and addresses are made before the instruction in front of their
 * use, so that none has to be waited for. r0 sums, r1 a table, r2 what is between tables, r3 indices, lr the end. */
#if defined(TE_MVE)
#define TE_LUT_SAVE "push {r4-r6, lr}\n"
#define TE_LUT_END "ldr lr, [sp, #16]\n"
#define TE_LUT_RETURN "pop {r4-r6, pc}\n"
#define TE_LUT_LOAD(at) "vldrw.32 q0, [r0, #" at "]\n"
#define TE_LUT_STORE(at) "vstrw.32 q0, [r0, #" at "]\n"
#define TE_LUT_ONE "r5"
#define TE_LUT_OTHER "r12"
#define TE_LUT_GET_ONE "vldrw.32 q1, [r5]\n"
#define TE_LUT_GET_OTHER "vldrw.32 q1, [r12]\n"
#define TE_LUT_SUM_ONE "vadd.i32 q0, q0, q1\n"
#define TE_LUT_SUM_OTHER "vadd.i32 q0, q0, q1\n"
#else
#define TE_LUT_SAVE "push {r4-r11, lr}\n"
#define TE_LUT_END "ldr lr, [sp, #36]\n"
#define TE_LUT_RETURN "pop {r4-r11, pc}\n"
#define TE_LUT_LOAD(at)                                                                            \
    "ldr r4, [r0, #" at "]\n"                                                                      \
    "ldr r5, [r0, #" at " + 4]\n"                                                                  \
    "ldr r6, [r0, #" at " + 8]\n"                                                                  \
    "ldr r7, [r0, #" at " + 12]\n"
#define TE_LUT_STORE(at)                                                                           \
    "str r4, [r0, #" at "]\n"                                                                      \
    "str r5, [r0, #" at " + 4]\n"                                                                  \
    "str r6, [r0, #" at " + 8]\n"                                                                  \
    "str r7, [r0, #" at " + 12]\n"
#define TE_LUT_GET(entry)                                                                          \
    "ldr r8, [" entry "]\n"                                                                        \
    "ldr r9, [" entry ", #4]\n"                                                                    \
    "ldr r10, [" entry ", #8]\n"                                                                   \
    "ldr " entry ", [" entry ", #12]\n"
#define TE_LUT_SUM(last) "add r4, r8\nadd r5, r9\nadd r6, r10\nadd r7, " last "\n"
#define TE_LUT_ONE "r11"
#define TE_LUT_OTHER "r12"
#define TE_LUT_GET_ONE TE_LUT_GET("r11")
#define TE_LUT_GET_OTHER TE_LUT_GET("r12")
#define TE_LUT_SUM_ONE TE_LUT_SUM("r11")
#define TE_LUT_SUM_OTHER TE_LUT_SUM("r12")
#endif

#define TE_LUT_UP "add r1, r1, r2\n"
#define TE_LUT_DOWN "sub r1, r1, r2\n"
#define TE_LUT_INDEX(entry, at) "ldrb " entry ", [r3, #" at "]\n"
#define TE_LUT_ADDRESS(entry) "add " entry ", r1, " entry ", lsl #4\n"
/* Two tables, the second one `move` away; the same where the first index is there already; and one table.
 * `next` loads an index right behind other loads, where that takes least time. */
#define TE_LUT_TWO(one, other, move, next)                                                         \
    TE_LUT_INDEX(TE_LUT_ONE, one)                                                                  \
    TE_LUT_INDEX(TE_LUT_OTHER, other)                                                              \
    TE_LUT_ADDRESS(TE_LUT_ONE)                                                                     \
    move TE_LUT_ADDRESS(TE_LUT_OTHER) TE_LUT_GET_ONE TE_LUT_SUM_ONE TE_LUT_GET_OTHER next          \
        TE_LUT_SUM_OTHER
#define TE_LUT_THEN(other, move, next)                                                             \
    TE_LUT_ADDRESS(TE_LUT_ONE)                                                                     \
    TE_LUT_INDEX(TE_LUT_OTHER, other)                                                              \
    TE_LUT_GET_ONE move TE_LUT_ADDRESS(TE_LUT_OTHER) TE_LUT_SUM_ONE TE_LUT_GET_OTHER next          \
        TE_LUT_SUM_OTHER
#define TE_LUT_NEXT(at) TE_LUT_INDEX(TE_LUT_ONE, at)
#define TE_LUT_LAST TE_LUT_ADDRESS(TE_LUT_ONE) TE_LUT_GET_ONE TE_LUT_SUM_ONE

/* Adds to an even number of channels' sums; `end` is behind them, and on the stack. */
#define TE_LUT_LOOP(name, tables, up, down)                                                        \
    TE_LUT_ASSEMBLY void name(uint32_t *sums TE_LUT_UNUSED, const uint32_t *table TE_LUT_UNUSED,   \
                              int32_t step TE_LUT_UNUSED, const uint8_t *index TE_LUT_UNUSED,      \
                              const uint32_t *end TE_LUT_UNUSED)                                   \
    {                                                                                              \
        __asm__(TE_LUT_SAVE TE_LUT_END                                                             \
                "1:\n" TE_LUT_LOAD("0") up TE_LUT_STORE("0") TE_LUT_LOAD("16") down                \
                TE_LUT_STORE("16") "add r3, r3, #2 * " tables "\n"                                 \
                "add r0, r0, #32\n"                                                                \
                "cmp r0, lr\n"                                                                     \
                "bne.w 1b\n" TE_LUT_RETURN);                                                       \
    }

TE_LUT_LOOP(te_lut_add_8, "8",
            TE_LUT_TWO("0", "1", TE_LUT_UP, TE_LUT_NEXT("2"))
                TE_LUT_UP TE_LUT_THEN("3", TE_LUT_UP, TE_LUT_NEXT("4"))
                    TE_LUT_UP TE_LUT_THEN("5", TE_LUT_UP, TE_LUT_NEXT("6"))
                        TE_LUT_UP TE_LUT_THEN("7", TE_LUT_UP, ""),
            TE_LUT_TWO("15", "14", TE_LUT_DOWN, TE_LUT_NEXT("13"))
                TE_LUT_DOWN TE_LUT_THEN("12", TE_LUT_DOWN, TE_LUT_NEXT("11"))
                    TE_LUT_DOWN TE_LUT_THEN("10", TE_LUT_DOWN, TE_LUT_NEXT("9"))
                        TE_LUT_DOWN TE_LUT_THEN("8", TE_LUT_DOWN, ""))
TE_LUT_LOOP(te_lut_add_4, "4",
            TE_LUT_TWO("0", "1", TE_LUT_UP, TE_LUT_NEXT("2")) TE_LUT_UP
                TE_LUT_THEN("3", TE_LUT_UP, ""),
            TE_LUT_TWO("7", "6", TE_LUT_DOWN, TE_LUT_NEXT("5")) TE_LUT_DOWN
                TE_LUT_THEN("4", TE_LUT_DOWN, ""))
TE_LUT_LOOP(te_lut_add_3, "3",
            TE_LUT_TWO("0", "1", TE_LUT_UP, TE_LUT_NEXT("2")) TE_LUT_UP TE_LUT_LAST,
            TE_LUT_TWO("5", "4", TE_LUT_DOWN, TE_LUT_NEXT("3")) TE_LUT_DOWN TE_LUT_LAST)
TE_LUT_LOOP(te_lut_add_2, "2", TE_LUT_TWO("0", "1", TE_LUT_UP, ""),
            TE_LUT_TWO("3", "2", TE_LUT_DOWN, ""))
TE_LUT_LOOP(te_lut_add_1, "1", TE_LUT_NEXT("0") TE_LUT_LAST, TE_LUT_NEXT("1") TE_LUT_LAST)

static inline void te_lut_accumulate(uint32_t *accumulators, const uint32_t *table, int32_t words,
                                     int32_t tables, const uint8_t *index, int32_t channels)
{
    const int32_t step = words * 4;
    const int32_t even = channels & ~1;
    uint32_t *end = accumulators + even * TE_LUT_WORDS;
    int32_t done = even;
    if (even == 0) {
        tables = -tables; /* nothing for the loops below */
    }
    switch (tables) {
    case 8:
        te_lut_add_8(accumulators, table, step, index, end);
        break;
    case 4:
        te_lut_add_4(accumulators, table, step, index, end);
        break;
    case 3:
        te_lut_add_3(accumulators, table, step, index, end);
        break;
    case 2:
        te_lut_add_2(accumulators, table, step, index, end);
        break;
    case 1:
        te_lut_add_1(accumulators, table, step, index, end);
        break;
    default:
        tables = tables < 0 ? -tables : tables;
        done = 0;
        break;
    }
    if (done < channels) {
        te_lut_accumulate_c(accumulators + done * TE_LUT_WORDS, table, words, tables,
                            index + done * tables, channels - done);
    }
}

#elif defined(TE_THUMB1)

/* Four tables and an even number of channels; the tables' addresses lie in r8 to r11. */
TE_LUT_ASSEMBLY void te_lut_add_4(uint32_t *sums TE_LUT_UNUSED,
                                  const uint32_t *table TE_LUT_UNUSED, int32_t step TE_LUT_UNUSED,
                                  const uint8_t *index TE_LUT_UNUSED,
                                  const uint32_t *end TE_LUT_UNUSED)
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
    __asm__(".syntax unified\n"
            "push {r4-r7, lr}\n"
            "mov r4, r8\n"
            "mov r5, r9\n"
            "mov r6, r10\n"
            "mov r7, r11\n"
            "push {r4-r7}\n"
            "ldr r4, [sp, #36]\n"
            "mov lr, r4\n"
            "mov r8, r1\n"
            "adds r1, r1, r2\n"
            "mov r9, r1\n"
            "adds r1, r1, r2\n"
            "mov r10, r1\n"
            "adds r1, r1, r2\n"
            "mov r11, r1\n"
            "movs r1, r3\n"
            "1:\n" TE_LUT_CHANNEL("0", "1", "2", "3") TE_LUT_CHANNEL("4", "5", "6", "7")
            "adds r1, #8\n"
            "cmp r0, lr\n"
            "bcc 1b\n"
            "pop {r4-r7}\n"
            "mov r8, r4\n"
            "mov r9, r5\n"
            "mov r10, r6\n"
            "mov r11, r7\n"
            "pop {r4-r7, pc}\n");
}
#undef TE_LUT_CHANNEL
#undef TE_LUT_ADD

static inline void te_lut_accumulate(uint32_t *accumulators, const uint32_t *table, int32_t words,
                                     int32_t tables, const uint8_t *index, int32_t channels)
{
    if (tables == 4 && (channels & 1) == 0) {
        te_lut_add_4(accumulators, table, words * 4, index, accumulators + channels * TE_LUT_WORDS);
    } else {
        te_lut_accumulate_c(accumulators, table, words, tables, index, channels);
    }
}

#else
#define te_lut_accumulate te_lut_accumulate_c
#endif

#endif
