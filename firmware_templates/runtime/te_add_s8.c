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
    const te_shape *shape = &layer->elements.output;
    const te_shape *stride = layer->elements.stride;
    for (int32_t y = 0; y < shape->height; y++) {
        for (int32_t x = 0; x < shape->width; x++) {
            const int8_t *a = first + y * stride[0].height + x * stride[0].width;
            const int8_t *b = second + y * stride[1].height + x * stride[1].width;
            for (int32_t channel = 0; channel < shape->channels; channel++) {
                const int32_t sum =
                    rescaled(layer, 0, *a) + layer->sign * rescaled(layer, 1, *b);
                const int32_t scaled =
                    te_multiply(sum, layer->output_mantissa, layer->output_shift);
                *output++ =
                    te_clamp(scaled + layer->output_offset, layer->clamp_min, layer->clamp_max);
                a += stride[0].channels;
                b += stride[1].channels;
            }
        }
    }
}
