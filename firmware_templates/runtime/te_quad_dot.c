/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of ternary products, four a multiplication. */
#include "te_quad.h"

#if defined(TE_DSP)

/* Fourteen registers are in use, one more than a compiler gives to inline assembly: r4-r7 sum, r3 is
 * the mask. The number of words and the cells wait on the stack. */
#define TE_PAIR(turn)                                                                              \
    "and lr, r3, r12" turn "\n"                                                                    \
    "ldm r1!, {r8-r11}\n"                                                                          \
    "smlad r4, r8, lr, r4\n"                                                                       \
    "smlad r5, r9, lr, r5\n"                                                                       \
    "smlad r6, r10, lr, r6\n"                                                                      \
    "smlad r7, r11, lr, r7\n"
#define TE_WORD                                                                                    \
    "ldr r12, [r0], #4\n" TE_PAIR("") TE_PAIR(", ror #4") TE_PAIR(", ror #8") TE_PAIR(", ror #12")

__attribute__((naked, noinline)) void
te_quad_dot(const uint32_t *packed __attribute__((unused)),
            const uint32_t *columns __attribute__((unused)),
            int32_t words __attribute__((unused)), te_quad_cells *cells __attribute__((unused)))
{
    __asm__("push {r2-r11, lr}\n"
            "movw r3, #0xc003\n"
            "movt r3, #0xc003\n"
            "1: ldrd r2, r12, [sp]\n"
            "ldr lr, [r12]\n"
            "ldm lr!, {r4-r7}\n"
            "str lr, [r12]\n"
            "lsrs r2, r2, #1\n"
            "bcc 3f\n" TE_WORD "3: beq 4f\n"
            "2:" TE_WORD TE_WORD "subs r2, r2, #1\n"
            "bne 2b\n"
            "4: ldrd r2, r12, [sp]\n"
            "sub r0, r0, r2, lsl #2\n"
            "ldrd lr, r2, [r12, #4]\n"
            "stm lr!, {r4-r7}\n"
            "subs r2, r2, #1\n"
            "strd lr, r2, [r12, #4]\n"
            "bne 1b\n"
            "pop {r2-r11, pc}\n");
}

#else

void te_quad_dot(const uint32_t *packed, const uint32_t *columns, int32_t words,
                 te_quad_cells *cells)
{
    for (; cells->groups > 0; cells->groups--) {
        int32_t sums[TE_QUAD_CELLS];
        for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
            sums[cell] = *cells->starts++;
        }
        for (int32_t i = 0; i < words; i++) {
            for (uint32_t turn = 0; turn < 16; turn += 4) {
                const uint32_t pair = te_turned(packed[i], turn) & TE_QUAD_MASK;
                for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
                    sums[cell] = te_smlad(*columns++, pair, sums[cell]);
                }
            }
        }
        for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
            *cells->sums++ = sums[cell];
        }
    }
}

#endif
