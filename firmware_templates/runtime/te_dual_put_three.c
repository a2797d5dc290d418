/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of three weights of a depthwise convolution, in two words. */
#include "te_depthwise_dual.h"

uint32_t *te_dual_put_three(const te_dual *dual, uint32_t *at, const int8_t *code, int32_t step)
{
    for (int32_t y = dual->ring.layer->window.height; y > 0; y--) {
        *at++ = te_weight_pair(code[0] * step, code[1] * step);
        *at++ = te_weight_pair(code[1] * step, code[2] * step);
        code += 3;
    }
    return at;
}
