/* SPDX-License-Identifier: Apache-2.0 */
/* A fully connected layer with the DSP extension. */
#include "te_fully_connected_dsp_s8.h"

#include "te_dsp_widen.h"

void te_fully_connected_dsp_s8(const te_fully_connected_dsp *layer, const int8_t *input,
                               int8_t *output, int8_t *scratch)
{
    const int32_t zero_point = layer->activation.output_offset;
    const te_scale_kind kind = te_scale_kind_of(&layer->activation);
    const uint8_t *weights = layer->packed;
    uint32_t *columns = (uint32_t *)(void *)scratch; /* the exporter aligns scratch to words */
    te_dsp_widen_row(columns, input, layer->inputs, layer->steps);
    for (int32_t channel = 0; channel < layer->outputs; channel += 2) {
        int32_t sums[2] = {0, 0};
        for (int32_t at = 0; at < layer->steps; at += layer->safe_steps) {
            const int32_t left = layer->steps - at;
            int32_t part[2];
            weights = layer->dot(columns + 2 * at, weights,
                                 left < layer->safe_steps ? left : layer->safe_steps, part);
            sums[0] += part[0];
            sums[1] += part[1];
        }
        for (int32_t i = 0; i < 2 && channel + i < layer->outputs; i++) {
            const te_scale scale = te_scale_of(&layer->scale, zero_point, channel + i);
            *output++ = te_scaled_sum(&scale, &layer->activation, kind, sums[i]);
        }
    }
}
