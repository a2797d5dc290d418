/* SPDX-License-Identifier: Apache-2.0 */
/* The larger or smaller of two int8 tensors' values. */
#include "te_fixed_point.h"
#include "te_runtime.h"

void te_extreme_s8(const TE_FLASH te_extreme *layer, const int8_t *first, const int8_t *second,
                   int8_t *output)
{
    const TE_FLASH te_shape *shape = &layer->elements.output;
    const TE_FLASH te_shape *stride = &layer->elements.stride[0];
    for (int32_t y = 0; y < shape->height; y++) {
        for (int32_t x = 0; x < shape->width; x++) {
            const int8_t *a = first + y * stride[0].height + x * stride[0].width;
            const int8_t *b = second + y * stride[1].height + x * stride[1].width;
            for (int32_t channel = 0; channel < shape->channels; channel++) {
                const int32_t chosen = (*a > *b) == (layer->largest != 0) ? *a : *b;
                *output++ = te_clamp(chosen, layer->clamp_min, layer->clamp_max);
                a += stride[0].channels;
                b += stride[1].channels;
            }
        }
    }
}
