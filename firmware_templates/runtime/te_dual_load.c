/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a depthwise convolution, two windows a multiplication. */
#include "te_depthwise_dual.h"

void te_dual_load(te_dual *dual, const int8_t *input, int32_t y)
{
    te_ring_load(&dual->ring, input, y, 2, 1);
    dual->rotation = te_ring_rotation(&dual->ring, y);
}
