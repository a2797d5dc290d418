/* SPDX-License-Identifier: Apache-2.0 */
/* A fully connected layer with the DSP extension, each sum by one dot product. */
#include "te_fully_connected_dsp_s8.h"

#include "te_dsp_widen.h"

void te_fully_connected_whole_s8(const te_fully_connected_dsp *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch)
{
    const te_dsp_dot dot = layer->dot;
    const int32_t steps = layer->steps, apart = layer->scale.apart;
    const int32_t twice = 2 * layer->activation.output_offset + 1;
    const int32_t *bias = layer->scale.bias, *mantissa = layer->scale.mantissa;
    const uint8_t *right = layer->scale.right, *weights = layer->packed;
    const int8_t *end = output + layer->outputs;
    uint32_t *columns = (uint32_t *)(void *)scratch; /* the exporter aligns scratch to words */
    te_dsp_widen_row(columns, input, layer->inputs, steps);
    do {
        int32_t sums[2];
        weights = dot(columns, weights, steps, sums);
        for (int32_t i = 0; i < 2 && output != end; i++) {
            const int32_t shift = *right;
            const int32_t rounding = (int32_t)((uint32_t)twice << shift) >> 1;
            const int32_t sum = (int32_t)((uint32_t)sums[i] * TE_SCALE_STEP + (uint32_t)*bias++);
            int32_t value = te_rounding_high_mul(sum, *mantissa);
            value += value >> 31;
            *output++ = (int8_t)te_saturate_s8((value + rounding) >> shift);
            right -= apart;
            mantissa -= apart;
        }
    } while (output != end);
}
