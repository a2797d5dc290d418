/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of two columns with int8 weights, with Helium. */
#include "te_mve_dot.h"

#if defined(TE_MVE)

/* Eight sums lie in all even registers, as the instruction wants them: r0-r6 those of the first
 * cell, r8-lr those of the other. Each weight is loaded once for both. */
#define TE_STEP                                                                                    \
    "vldrb.8 q0, [r1], #16\n"                                                                      \
    "vldrb.8 q2, [r5], #16\n"                                                                      \
    "vmladava.s8 r0, q0, q2\n"                                                                     \
    "vldrb.8 q1, [r3], #16\n"                                                                      \
    "vmladava.s8 r8, q1, q2\n"                                                                     \
    "vldrb.8 q3, [r5], #16\n"                                                                      \
    "vmladava.s8 r2, q0, q3\n"                                                                     \
    "vmladava.s8 r10, q1, q3\n"                                                                    \
    "vldrb.8 q2, [r5], #16\n"                                                                      \
    "vmladava.s8 r4, q0, q2\n"                                                                     \
    "vmladava.s8 r12, q1, q2\n"                                                                    \
    "vldrb.8 q3, [r5], #16\n"                                                                      \
    "vmladava.s8 r6, q0, q3\n"                                                                     \
    "vmladava.s8 lr, q1, q3\n"

__attribute__((naked, noinline)) void te_mve_dot2(const int8_t *columns __attribute__((unused)),
                                                  const int8_t *others __attribute__((unused)),
                                                  const int8_t *weights __attribute__((unused)),
                                                  int32_t steps __attribute__((unused)),
                                                  const int32_t *start __attribute__((unused)),
                                                  int32_t *sums __attribute__((unused)))
{
    __asm__("push {r4-r11, lr}\n"
            "ldrd r9, r11, [sp, #36]\n"
            "mov r5, r2\n"
            "adds r7, r3, #1\n"
            "mov r3, r1\n"
            "mov r1, r0\n"
            "ldrd r0, r2, [r9]\n"
            "ldrd r4, r6, [r9, #8]\n"
            "mov r8, r0\n"
            "mov r10, r2\n"
            "mov r12, r4\n"
            "mov lr, r6\n"
            "lsrs r7, r7, #1\n" /* an odd number of steps begins at the second half */
            "bcc 2f\n"
            "1:\n" TE_STEP "2:\n" TE_STEP "subs r7, r7, #1\n"
            "bne 1b\n"
            "strd r0, r2, [r11]\n"
            "strd r4, r6, [r11, #8]\n"
            "strd r8, r10, [r11, #16]\n"
            "strd r12, lr, [r11, #24]\n"
            "pop {r4-r11, pc}\n");
}

#else

void te_mve_dot2(const int8_t *columns, const int8_t *others, const int8_t *weights, int32_t steps,
                 const int32_t *start, int32_t *sums)
{
    te_mve_sums(columns, weights, steps, start, sums);
    te_mve_sums(others, weights, steps, start, sums + TE_MVE_LANES);
}

#endif
