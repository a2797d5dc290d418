/* SPDX-License-Identifier: Apache-2.0 */
/* A ReLU with a slope below zero for each channel. */
#include "te_fixed_point.h"
#include "te_runtime.h"

void te_prelu_s8(const TE_FLASH te_prelu *layer, const int8_t *first, const int8_t *second,
                 int8_t *output)
{
    const TE_FLASH te_shape *shape = &layer->elements.output;
    const TE_FLASH te_shape *stride = &layer->elements.stride[0];
    for (int32_t y = 0; y < shape->height; y++) {
        for (int32_t x = 0; x < shape->width; x++) {
            const int8_t *a = first + y * stride[0].height + x * stride[0].width;
            const int8_t *b = second + y * stride[1].height + x * stride[1].width;
            for (int32_t channel = 0; channel < shape->channels; channel++) {
                const int32_t value = *a + layer->input_offset[0];
                const int32_t slope = *b + layer->input_offset[1];
                const int32_t scaled =
                    value >= 0 ? te_multiply(value, layer->mantissa[0], layer->shift[0])
                               : te_multiply(value * slope, layer->mantissa[1], layer->shift[1]);
                *output++ =
                    te_clamp(scaled + layer->output_offset, layer->clamp_min, layer->clamp_max);
                a += stride[0].channels;
                b += stride[1].channels;
            }
        }
    }
}
