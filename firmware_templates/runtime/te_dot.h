/* SPDX-License-Identifier: Apache-2.0 */
/* The sum of products that convolution and matrix product share. */
#ifndef TE_DOT_H
#define TE_DOT_H

#include "te_cpu.h"

/* sum of weights[i] * (input[i] + offset). Four at a time: compilers do not unroll at -O2. */
static inline int32_t te_dot(const int8_t *weights, const int8_t *input, te_term offset,
                             te_term count)
{
    int32_t sum = 0;
    for (; count >= 4; count -= 4) {
        sum += weights[0] * (input[0] + offset);
        sum += weights[1] * (input[1] + offset);
        sum += weights[2] * (input[2] + offset);
        sum += weights[3] * (input[3] + offset);
        weights += 4;
        input += 4;
    }
    for (; count > 0; count--) {
        sum += *weights++ * (*input++ + offset);
    }
    return sum;
}

#endif
