/* SPDX-License-Identifier: Apache-2.0 */
/* The same for weights of two channels that lie apart. */
#include "te_cpu.h"
#include "te_dsp_dot.h"

const uint8_t *te_dsp_dot1_int8_apart(const uint32_t *columns, const uint8_t *weights,
                                      int32_t steps, int32_t *sums)
{
    int32_t a = 0, b = 0;
    for (; steps > 0; steps--) {
        const uint32_t first = te_load_aligned(weights);
        const uint32_t second = te_load_aligned(weights + sizeof first);
        a = te_smlad(columns[0], te_even_bytes(first), a);
        b = te_smlad(columns[0], te_even_bytes(second), b);
        a = te_smlad(columns[1], te_odd_bytes(first), a);
        b = te_smlad(columns[1], te_odd_bytes(second), b);
        columns += 2;
        weights += 2 * sizeof first;
    }
    sums[0] = a;
    sums[1] = b;
    return weights;
}
