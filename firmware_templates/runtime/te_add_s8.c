#include "te_fixed_point.h"
#include "te_runtime.h"

/* Headroom that TensorFlow Lite gives the int8 inputs of an addition. */
#define ADD_LEFT_SHIFT 20

static int32_t rescaled(const te_add *layer, int which, int8_t value)
{
    const int32_t centred = value + layer->input_offset[which];
    return te_multiply(centred * ((int32_t)1 << ADD_LEFT_SHIFT), layer->mantissa[which],
                       layer->shift[which]);
}

void te_add_s8(const te_add *layer, const int8_t *first, const int8_t *second, int8_t *output)
{
    for (int32_t i = 0; i < layer->size; i++) {
        const int32_t sum = rescaled(layer, 0, first[i]) + rescaled(layer, 1, second[i]);
        const int32_t scaled = te_multiply(sum, layer->output_mantissa, layer->output_shift);
        output[i] = te_clamp(scaled + layer->output_offset, layer->clamp_min, layer->clamp_max);
    }
}
