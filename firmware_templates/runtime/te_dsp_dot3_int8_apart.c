/* SPDX-License-Identifier: Apache-2.0 */
/* The same for weights of two channels that lie apart. */
#include "te_cpu.h"
#include "te_dsp_dot.h"

const uint8_t *te_dsp_dot3_int8_apart(const uint32_t *columns, const uint8_t *weights,
                                      int32_t steps, int32_t *sums)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, b0 = 0, b1 = 0, b2 = 0;
    for (; steps > 0; steps--) {
        const uint32_t a = te_load_aligned(weights);
        const uint32_t b = te_load_aligned(weights + sizeof a);
        uint32_t lanes = te_even_bytes(a);
        a0 = te_smlad(columns[0], lanes, a0);
        a1 = te_smlad(columns[1], lanes, a1);
        a2 = te_smlad(columns[2], lanes, a2);
        lanes = te_even_bytes(b);
        b0 = te_smlad(columns[0], lanes, b0);
        b1 = te_smlad(columns[1], lanes, b1);
        b2 = te_smlad(columns[2], lanes, b2);
        lanes = te_odd_bytes(a);
        a0 = te_smlad(columns[3], lanes, a0);
        a1 = te_smlad(columns[4], lanes, a1);
        a2 = te_smlad(columns[5], lanes, a2);
        lanes = te_odd_bytes(b);
        b0 = te_smlad(columns[3], lanes, b0);
        b1 = te_smlad(columns[4], lanes, b1);
        b2 = te_smlad(columns[5], lanes, b2);
        columns += 2 * TE_DSP_PIXELS;
        weights += 2 * sizeof a;
    }
    sums[0] = a0;
    sums[1] = a1;
    sums[2] = a2;
    sums[TE_DSP_CELLS] = b0;
    sums[TE_DSP_CELLS + 1] = b1;
    sums[TE_DSP_CELLS + 2] = b2;
    return weights;
}
