/* SPDX-License-Identifier: Apache-2.0 */
/* Brings an int8 tensor to another scale and zero point, with Helium. */
#include "te_elementwise_mve.h"

TE_INLINE te_mve_words scaled(const te_requantize *layer, te_mve_words values, int32_t factor,
                              int32_t offset)
{
    values = te_mve_add_all(te_mve_mul_all(values, factor), offset);
    values = te_mve_high_mul_all(values, layer->mantissa);
    if (layer->shift < 0) {
        values = te_mve_divide_by_pot(values, -layer->shift);
    }
    values = te_mve_add_all(values, layer->activation.output_offset);
    return te_mve_clamp(values, te_mve_all(layer->activation.clamp_min),
                        te_mve_all(layer->activation.clamp_max));
}

void te_requantize_mve_s8(const te_requantize *layer, const int8_t *input, int8_t *output)
{
    const te_requantize own = *layer;
    const int32_t factor = (int32_t)((uint32_t)1 << (own.shift > 0 ? own.shift : 0));
    const int32_t offset = own.activation.input_offset * factor;
    int32_t left = own.size;
    for (; left >= TE_MVE_LANES; left -= TE_MVE_LANES) {
        te_mve_store_four(output, scaled(&own, te_mve_load_four(input), factor, offset));
        input += TE_MVE_LANES;
        output += TE_MVE_LANES;
    }
    if (left > 0) {
        const te_mve_words values = te_mve_load_some(input, left);
        te_mve_store_some(output, scaled(&own, values, factor, offset), left);
    }
}
