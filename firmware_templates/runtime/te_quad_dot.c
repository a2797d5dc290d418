/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of ternary products, four a multiplication. */
#include "te_quad.h"

#if defined(TE_DSP)

#define TE_TEXT(macro) TE_TEXT_OF(macro)
#define TE_TEXT_OF(value) #value

/* Fourteen registers are in use, one more than a compiler gives to inline assembly: r4-r6 and r7-r9 sum
 * the two pairs, r2 is the mask, r3 a word of weights, r10-r12 hold the columns of three cells. Four
 * single loads behind one another take less time than one of several words. On the stack: the weights, the
 * end of a group's columns, the number of words, the starts; behind what is kept, the sums and how many
 * groups are left. */
#define TE_PAIR(turn, a, b, c)                                                                     \
    "and lr, r2, r3" turn "\n"                                                                     \
    "smlad " a ", r10, lr, " a "\n"                                                                \
    "smlad " b ", r11, lr, " b "\n"                                                                \
    "smlad " c ", r12, lr, " c "\n"
#define TE_COLUMNS(at)                                                                             \
    "ldr r10, [r1, #" at "]\n"                                                                     \
    "ldr r11, [r1, #" at " + 4]\n"                                                                 \
    "ldr r12, [r1, #" at " + 8]\n"
#define TE_WORD(at)                                                                                \
    "ldr r3, [r0, #4 * " at "]\n" TE_COLUMNS("24 * " at) TE_PAIR("", "r4", "r5", "r6")             \
        TE_PAIR(", ror #4", "r7", "r8", "r9") TE_COLUMNS("24 * " at " + 12")                       \
            TE_PAIR(", ror #8", "r4", "r5", "r6") TE_PAIR(", ror #12", "r7", "r8", "r9")
#define TE_WORDS(first, second)                                                                    \
    ".irp word, " first ", " second "\n" TE_WORD("\\word") ".endr\n"

__attribute__((naked, noinline)) void
te_quad_dot(const uint32_t *packed __attribute__((unused)),
            const uint32_t *columns __attribute__((unused)),
            int32_t words __attribute__((unused)), const int32_t *starts __attribute__((unused)),
            int32_t *sums __attribute__((unused)), int32_t groups __attribute__((unused)))
{
    __asm__("push {r0-r11, lr}\n"
            "movw r2, #0xc003\n"
            "movt r2, #0xc003\n"
            "1: ldr lr, [sp, #12]\n"
            "ldr r0, [sp]\n"
            "ldr r12, [sp, #8]\n"
            "ldr r4, [lr]\n"
            "ldr r5, [lr, #4]\n"
            "ldr r6, [lr, #8]\n"
            "add lr, lr, #12\n"
            "add r10, r12, r12, lsl #1\n"
            "str lr, [sp, #12]\n"
            "add r10, r1, r10, lsl #3\n"
            "mov r7, r4\n"
            "mov r8, r5\n"
            "mov r9, r6\n"
            "str r10, [sp, #4]\n"
            "ands r3, r12, #7\n"
            "beq 2f\n"
            "rsb r10, r3, #8\n"
            "sub r0, r0, r10, lsl #2\n"
            "sub r1, r1, r10, lsl #3\n"
            "sub r1, r1, r10, lsl #4\n"
            "cmp r3, #4\n"
            "bhi 3f\n"
            "beq 4f\n"
            "b 5f\n"
            "2:" TE_WORDS("0", "1") "3:" TE_WORDS("2", "3") "4:" TE_WORDS("4", "5")
                "5:" TE_WORDS("6", "7")
            "ldr r3, [sp, #4]\n"
            "add r1, r1, #192\n"
            "add r0, r0, #32\n"
            "cmp r1, r3\n"
            "bne.w 2b\n"
            "ldr lr, [sp, #52]\n"
            "ldr r3, [sp, #56]\n"
            "str r4, [lr]\n"
            "str r5, [lr, #4]\n"
            "str r6, [lr, #8]\n"
            "str r7, [lr, #4 * " TE_TEXT(TE_QUAD_BLOCK) "]\n"
            "str r8, [lr, #4 * " TE_TEXT(TE_QUAD_BLOCK) " + 4]\n"
            "str r9, [lr, #4 * " TE_TEXT(TE_QUAD_BLOCK) " + 8]\n"
            "add lr, lr, #12\n"
            "subs r3, r3, #1\n"
            "str lr, [sp, #52]\n"
            "str r3, [sp, #56]\n"
            "bne.w 1b\n"
            "add sp, sp, #16\n"
            "pop {r4-r11, pc}\n");
}

#else

void te_quad_dot(const uint32_t *packed, const uint32_t *columns, int32_t words,
                 const int32_t *starts, int32_t *sums, int32_t groups)
{
    for (; groups > 0; groups--) {
        int32_t of[2][TE_QUAD_CELLS];
        for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
            of[0][cell] = of[1][cell] = *starts++;
        }
        for (int32_t i = 0; i < words; i++) {
            for (uint32_t turn = 0; turn < 4; turn++) {
                const uint32_t pair = te_turned(packed[i], 4 * turn) & TE_QUAD_MASK;
                int32_t *sum = of[turn % 2];
                for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
                    sum[cell] = te_smlad(columns[cell], pair, sum[cell]);
                }
                columns += turn % 2 == 1 ? TE_QUAD_CELLS : 0;
            }
        }
        for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
            sums[0] = of[0][cell];
            sums[TE_QUAD_BLOCK] = of[1][cell];
            sums++;
        }
    }
}

#endif
