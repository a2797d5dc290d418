/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of a column with int8 weights, with Helium. */
#include "te_mve_dot.h"

#if defined(TE_MVE)

/* Sums lie in even registers, as the instruction wants them; pointers take odd ones. */
__attribute__((naked, noinline)) void te_mve_dot1(const int8_t *columns __attribute__((unused)),
                                                  const int8_t *weights __attribute__((unused)),
                                                  int32_t steps __attribute__((unused)),
                                                  const int32_t *start __attribute__((unused)),
                                                  int32_t *sums __attribute__((unused)))
{
    __asm__("push {r4-r6, lr}\n"
            "mov r5, r0\n"
            "dls lr, r2\n"
            "ldrd r0, r2, [r3]\n"
            "ldrd r4, r6, [r3, #8]\n"
            "1:\n"
            "vldrb.8 q0, [r5], #16\n"
            "vldrb.8 q1, [r1], #16\n"
            "vmladava.s8 r0, q0, q1\n"
            "vldrb.8 q2, [r1], #16\n"
            "vmladava.s8 r2, q0, q2\n"
            "vldrb.8 q3, [r1], #16\n"
            "vmladava.s8 r4, q0, q3\n"
            "vldrb.8 q1, [r1], #16\n"
            "vmladava.s8 r6, q0, q1\n"
            "le lr, 1b\n"
            "ldr r3, [sp, #16]\n"
            "strd r0, r2, [r3]\n"
            "strd r4, r6, [r3, #8]\n"
            "pop {r4-r6, pc}\n");
}

#else

void te_mve_dot1(const int8_t *columns, const int8_t *weights, int32_t steps, const int32_t *start,
                 int32_t *sums)
{
    te_mve_sums(columns, weights, steps, start, sums);
}

#endif
