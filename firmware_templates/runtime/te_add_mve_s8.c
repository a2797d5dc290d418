/* SPDX-License-Identifier: Apache-2.0 */
/* Adds two int8 tensors with Helium. */
#include "te_elementwise_mve.h"

/* Headroom that TensorFlow Lite gives the int8 inputs of an addition. */
#define ADD_LEFT_SHIFT 20
#define HALF 0x40000000

/* The multiplier of the input with the larger scale is one half, so that its term is exact; call
 * it `exact`, and the other `rounded`. A multiplier of the other that has no shift to the right
 * gets one by doubling its factor. */
typedef struct {
    int32_t exact_factor;
    int32_t exact_offset;
    int32_t factor;
    int32_t offset;
    int32_t mantissa;
    int32_t right;
    int32_t subtracted; /* the rounded term, from the exact one */
} te_terms;

TE_INLINE te_mve_words add(const te_add *layer, const te_terms *terms, te_mve_words exact,
                           te_mve_words rounded)
{
    exact = te_mve_add_all(te_mve_mul_all(exact, terms->exact_factor), terms->exact_offset);
    rounded = te_mve_add_all(te_mve_mul_all(rounded, terms->factor), terms->offset);
    rounded = te_mve_divide_by_pot(te_mve_high_mul_all(rounded, terms->mantissa), terms->right);
    te_mve_words sum =
        terms->subtracted ? te_mve_sub(exact, rounded) : te_mve_add(exact, rounded);
    sum = te_mve_high_mul_all(sum, layer->output_mantissa);
    sum = te_mve_divide_by_pot(sum, -layer->output_shift);
    sum = te_mve_add_all(sum, layer->output_offset);
    return te_mve_clamp(sum, te_mve_all(layer->clamp_min), te_mve_all(layer->clamp_max));
}

static TE_NOINLINE void add_row(const te_add *given, const te_terms *given_terms,
                                const int8_t *exact, const int8_t *rounded, int8_t *output)
{
    const te_add layer = *given;
    const te_terms terms = *given_terms;
    int32_t left = layer.elements.output.channels;
    for (; left >= TE_MVE_LANES; left -= TE_MVE_LANES) {
        te_mve_store_four(output, add(&layer, &terms, te_mve_load_four(exact),
                                      te_mve_load_four(rounded)));
        output += TE_MVE_LANES;
        exact += TE_MVE_LANES;
        rounded += TE_MVE_LANES;
    }
    if (left > 0) {
        const te_mve_words sum = add(&layer, &terms, te_mve_load_some(exact, left),
                                     te_mve_load_some(rounded, left));
        te_mve_store_some(output, sum, left);
    }
}

void te_add_mve_s8(const te_add *layer, const int8_t *first, const int8_t *second, int8_t *output)
{
    const te_shape *shape = &layer->elements.output;
    const te_shape *stride = &layer->elements.stride[0];
    const int exact = layer->shift[0] == 0 && layer->mantissa[0] == HALF ? 0 : 1;
    const int rounded = 1 - exact;
    const int32_t signs[2] = {1, layer->sign};
    te_terms terms;
    terms.right = layer->shift[rounded] < 0 ? -layer->shift[rounded] : 1;
    terms.exact_factor = signs[exact] * ((int32_t)1 << (ADD_LEFT_SHIFT - 1));
    terms.exact_offset = layer->input_offset[exact] * terms.exact_factor;
    terms.factor = (int32_t)1 << (ADD_LEFT_SHIFT + terms.right + layer->shift[rounded]);
    terms.offset = layer->input_offset[rounded] * terms.factor;
    terms.mantissa = layer->mantissa[rounded];
    terms.subtracted = signs[rounded] < 0;
    for (int32_t y = 0; y < shape->height; y++) {
        for (int32_t x = 0; x < shape->width; x++) {
            const int8_t *a = first + y * stride[0].height + x * stride[0].width;
            const int8_t *b = second + y * stride[1].height + x * stride[1].width;
            add_row(layer, &terms, exact ? b : a, exact ? a : b, output);
            output += shape->channels;
        }
    }
}
