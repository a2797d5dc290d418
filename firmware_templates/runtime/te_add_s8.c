/* SPDX-License-Identifier: Apache-2.0 */
/* Adds two int8 tensors. */
#include "te_cpu.h"
#include "te_runtime.h"

/* Headroom that TensorFlow Lite gives the int8 inputs of an addition. */
#define ADD_LEFT_SHIFT 20
/* With more, the output's zero point, shifted to the left, would not fit in 32 bits. */
#define LARGEST_RIGHT_SHIFT 22
#define HALF 0x40000000

static int32_t rescaled(const TE_FLASH te_add *layer, int which, int8_t value)
{
    const int32_t centred = value + layer->input_offset[which];
    return te_multiply(centred * ((int32_t)1 << ADD_LEFT_SHIFT), layer->mantissa[which],
                       layer->shift[which]);
}

/* A row of any strides. */
static void add_any(const TE_FLASH te_add *layer, const int8_t *first, const int8_t *second,
                    int8_t *output)
{
    for (int32_t left = layer->elements.output.channels; left > 0; left--) {
        const int32_t sum =
            rescaled(layer, 0, *first) + layer->sign * rescaled(layer, 1, *second);
        const int32_t scaled = te_multiply(sum, layer->output_mantissa, layer->output_shift);
        *output++ = te_clamp(scaled + layer->output_offset, layer->clamp_min, layer->clamp_max);
        first += layer->elements.stride[0].channels;
        second += layer->elements.stride[1].channels;
    }
}

/* The same with fewer instructions. The multiplier of the input with the larger scale is one half, so
 * that its term is exact; call it `exact`, and the other `rounded`. Products are halved and rounded as
 * in te_scale.h, with the sign of a product taken from its factor: a small negative one that rounds to
 * zero stays zero with either sign, as long as there is a shift to the right. A multiplier of one half
 * has none, and gets one by doubling its factor. All is doubled once, for the high multiplication of
 * the sum. */
typedef struct {
    int32_t exact_factor;
    int32_t exact_offset;
    int32_t rounded_factor;
    int32_t rounded_offset;
    int32_t mantissa;
    int32_t half;
    int32_t right;
    int32_t twice; /* 2 or -2 */
    int32_t output_mantissa;
    int32_t output_rounding; /* half of 2^right, and the zero point there */
    int32_t output_right;
} te_terms;

static te_terms terms_of(const TE_FLASH te_add *layer, int exact)
{
    const int rounded = 1 - exact;
    const int32_t signs[2] = {1, layer->sign};
    const int32_t right = layer->shift[rounded] < 0 ? -layer->shift[rounded] : 1;
    te_terms terms;
    terms.exact_factor = signs[exact] * ((int32_t)1 << ADD_LEFT_SHIFT);
    terms.exact_offset = layer->input_offset[exact] * terms.exact_factor;
    terms.rounded_factor = (int32_t)2 << (ADD_LEFT_SHIFT + right + layer->shift[rounded]);
    terms.rounded_offset = layer->input_offset[rounded] * terms.rounded_factor;
    terms.mantissa = layer->mantissa[rounded];
    terms.half = (int32_t)1 << (right - 1);
    terms.right = right;
    terms.twice = 2 * signs[rounded];
    terms.output_mantissa = layer->output_mantissa;
    terms.output_right = -layer->output_shift;
    terms.output_rounding = ((int32_t)1 << (terms.output_right - 1)) +
                            layer->output_offset * ((int32_t)1 << terms.output_right);
    return terms;
}

/* The output, not clamped yet. `usual`: a sum, not a difference, of inputs whose scales differ, so that
 * factors are constants. */
TE_INLINE int32_t add(const te_terms *terms, int usual, int32_t exact, int32_t rounded)
{
    const int32_t factor =
        terms->rounded_offset +
        rounded * (usual ? (int32_t)2 << ADD_LEFT_SHIFT : terms->rounded_factor);
    const int32_t term = te_rounding_high_mul_add(terms->half + (factor >> 31), factor,
                                                  terms->mantissa) >>
                         terms->right;
    const int32_t sum = terms->exact_offset +
                        exact * (usual ? (int32_t)1 << ADD_LEFT_SHIFT : terms->exact_factor) +
                        term * (usual ? 2 : terms->twice);
    return te_rounding_high_mul_add(terms->output_rounding + (sum >> 31), sum,
                                    terms->output_mantissa) >>
           terms->output_right;
}

TE_INLINE int8_t add_usual(const te_terms *terms, int32_t exact, int32_t rounded)
{
    return (int8_t)te_saturate_s8(add(terms, 1, exact, rounded));
}

/* A multiple of four elements. */
static TE_NOINLINE void add_fours(const te_terms *given, const int8_t *exact,
                                  const int8_t *rounded, int8_t *output, int32_t count)
{
    const te_terms terms = *given;
    for (const int8_t *end = exact + count; exact != end; exact += 4) {
        output[0] = add_usual(&terms, exact[0], rounded[0]);
        output[1] = add_usual(&terms, exact[1], rounded[1]);
        output[2] = add_usual(&terms, exact[2], rounded[2]);
        output[3] = add_usual(&terms, exact[3], rounded[3]);
        output += 4;
        rounded += 4;
    }
}

static TE_NOINLINE void add_fast(const TE_FLASH te_add *layer, const te_terms *given,
                                 const int8_t *exact, const int8_t *rounded, int8_t *output)
{
    const te_terms terms = *given;
    const int32_t low = layer->clamp_min, high = layer->clamp_max;
    const int32_t count = layer->elements.output.channels;
    int32_t done = 0;
    if (low == -128 && high == 127 && terms.twice == 2 &&
        terms.exact_factor == (int32_t)1 << ADD_LEFT_SHIFT &&
        terms.rounded_factor == (int32_t)2 << ADD_LEFT_SHIFT) {
        done = count & ~3;
        add_fours(given, exact, rounded, output, done);
    }
    for (; done < count; done++) {
        output[done] = te_clamp(add(&terms, 0, exact[done], rounded[done]), low, high);
    }
}

void te_add_s8(const TE_FLASH te_add *layer, const int8_t *first, const int8_t *second,
               int8_t *output)
{
    const TE_FLASH te_shape *shape = &layer->elements.output;
    const TE_FLASH te_shape *stride = &layer->elements.stride[0];
    const int exact = layer->shift[0] == 0 && layer->mantissa[0] == HALF ? 0 : 1;
    const int fast = stride[0].channels == 1 && stride[1].channels == 1 &&
                     layer->shift[exact] == 0 && layer->mantissa[exact] == HALF &&
                     layer->output_shift < 0 && layer->output_shift >= -LARGEST_RIGHT_SHIFT;
    te_terms terms;
    if (fast) {
        terms = terms_of(layer, exact);
    }
    for (int32_t y = 0; y < shape->height; y++) {
        for (int32_t x = 0; x < shape->width; x++) {
            const int8_t *a = first + y * stride[0].height + x * stride[0].width;
            const int8_t *b = second + y * stride[1].height + x * stride[1].width;
            if (fast) {
                add_fast(layer, &terms, exact ? b : a, exact ? a : b, output);
            } else {
                add_any(layer, a, b, output);
            }
            output += shape->channels;
        }
    }
}
