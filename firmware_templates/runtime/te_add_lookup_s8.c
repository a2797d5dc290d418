/* SPDX-License-Identifier: Apache-2.0 */
/* Adds two int8 tensors by a table for each. */
#include "te_cpu.h"
#include "te_runtime.h"

/* Headroom that TensorFlow Lite gives the int8 inputs of an addition. */
#define ADD_LEFT_SHIFT 20
#define VALUES 256

/* One input's term of the sum, for every value that it can have; `sign` 1 or -1, doubled for the
 * rounding high multiplication. */
static void fill(const TE_FLASH te_add *layer, int which, int32_t sign, int32_t *terms)
{
    for (int32_t i = 0; i < VALUES; i++) {
        const int32_t centred = (int8_t)i + layer->input_offset[which];
        const int32_t high = te_rounding_high_mul(centred * ((int32_t)2 << ADD_LEFT_SHIFT),
                                                  layer->mantissa[which]);
        terms[i] = sign * 2 * te_rounding_divide_by_pot(high, -layer->shift[which]);
    }
}

void te_add_lookup_s8(const TE_FLASH te_add *layer, const int8_t *first, const int8_t *second,
                      int8_t *output, int8_t *scratch)
{
    const TE_FLASH te_shape *shape = &layer->elements.output;
    const int32_t mantissa = layer->output_mantissa;
    const int32_t right = -layer->output_shift;
    const int32_t rounding = (int32_t)(((uint32_t)1 << right) >> 1) +
                             layer->output_offset * (int32_t)((uint32_t)1 << right);
    const int32_t low = layer->clamp_min, high = layer->clamp_max;
    const int8_t *end = output + shape->height * shape->width * shape->channels;
    /* The exporter aligns scratch to words. */
    int32_t *first_terms = (int32_t *)(void *)scratch;
    int32_t *second_terms = first_terms + VALUES;
    fill(layer, 0, 1, first_terms);
    fill(layer, 1, layer->sign, second_terms);
    while (output < end) {
        const int32_t sum = first_terms[(uint8_t)*first++] + second_terms[(uint8_t)*second++];
        int32_t value = te_rounding_high_mul(sum, mantissa);
        value += value >> 31; /* halves away from zero, as `right` is positive */
        *output++ = te_clamp((value + rounding) >> right, low, high);
    }
}
