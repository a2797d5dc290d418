/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of a depthwise convolution, two windows a multiplication. */
#include "te_depthwise_dual.h"

/* Weights times their step, with all rows but the last once more behind them. The codes are unpacked so
 * far behind that no weight is written over one that is still needed. */
void te_dual_unpack(const te_dual *dual, te_dual_put *put)
{
    const te_depthwise_ring *layer = dual->ring.layer;
    const int32_t channels = layer->output.channels;
    const int32_t count = layer->window.height * layer->window.width;
    const int32_t again = (layer->window.height - 1) * dual->row;
    te_stream stream = {layer->packed, 0, 0};
    uint32_t *at = dual->weights;
    int8_t *end = (int8_t *)(at + channels * (2 * layer->window.height - 1) * dual->row) + count;
    const int8_t *code = layer->unpack(&stream, (uint32_t)(channels * count), end - channels * count);
    for (int32_t channel = 0; channel < channels; channel++) {
        const int32_t step = te_scale_step(&layer->scale, channel);
        const uint32_t *first = at;
        at = put(dual, at, code, step);
        code += count;
        for (int32_t i = 0; i < again; i++) {
            *at++ = *first++;
        }
    }
}
