/* What a path consists of: the loops that are written for a processor's instructions. */
#ifndef TE_HOST_PATH_H
#define TE_HOST_PATH_H

#include <stddef.h>
#include <stdint.h>

/* Output channels that are computed at once. */
#define TE_HOST_LANES 16
/* The most pixels that any path computes at once. */
#define TE_HOST_MAX_PIXELS 12
/* Bytes behind gathered inputs that may be read, and do not count. */
#define TE_HOST_SLACK 64

/* What follows the sums of a block of output channels, which have: bias, step, shift to the left,
 * mantissa, shift to the right, the bits that it drops, and what they have to exceed to round up. */
enum {
    TE_HOST_BIAS,
    TE_HOST_STEP,
    TE_HOST_LEFT,
    TE_HOST_MANTISSA,
    TE_HOST_RIGHT,
    TE_HOST_MASK,
    TE_HOST_THRESHOLD,
    TE_HOST_COLUMNS
};
typedef struct {
    int32_t of[TE_HOST_COLUMNS][TE_HOST_LANES];
    int32_t usual; /* steps are 1, and nothing is shifted to the left */
} te_host_scale;

typedef struct {
    int32_t output_offset;
    int32_t clamp_min;
    int32_t clamp_max;
} te_host_range;

/* The parts of the input that a pixel's window covers: `count` runs, each of `groups` groups of elements,
 * which begin so many bytes behind the pixel's address. */
typedef struct {
    const int32_t *offsets;
    int32_t count;
    int32_t groups;
} te_host_runs;

/* An addition's constants, see te_add. */
typedef struct {
    int32_t offset[2];
    int32_t mantissa[2];
    int32_t right[2];
    int32_t sign;
    int32_t output_mantissa;
    int32_t output_right;
    te_host_range range;
} te_host_sum;

/* Copies `count` int8 with `offset` added, as elements of a path. */
typedef void (*te_host_copy)(const int8_t *input, void *elements, int32_t offset, int32_t count);

typedef struct {
    const char *name;
    int (*usable)(void);
    int32_t pixels; /* at once */

    /* Elements of convolutions: int16 less the zero point; or bytes, with `bias` added. */
    int32_t element;
    int32_t bias;
    te_host_copy copy;
    /* Weights are ordered (block, run, group, lane, element), or, not `paired`, (…, element, lane). */
    int32_t group;
    int32_t paired;
    int32_t weight; /* bytes of one: 1 or 2 */
    /* Sums of products, (pixels, lanes), of elements at these addresses with a block's weights. */
    void (*products)(const uint8_t *const *pixels, const te_host_runs *runs, const void *weights,
                     int32_t *sums);

    /* Of depthwise convolutions, elements are always int16, and weights ordered (block, tap, lane). Taps
     * are an even number, at these offsets in bytes. */
    te_host_copy widen;
    void (*taps)(const uint8_t *const *pixels, int32_t several, const int32_t *offsets,
                 int32_t count, const int16_t *weights, int32_t *sums);

    /* Sums of so many pixels, which are written over, become outputs, which begin `stride` bytes apart and of which `live` lanes
     * are written. */
    void (*requantize)(int32_t *sums, int32_t pixels, const te_host_scale *scale,
                       const te_host_range *range, int8_t *output, size_t stride, int32_t live);
    void (*add)(const te_host_sum *sum, const int8_t *first, const int8_t *second, int8_t *output,
                size_t count);
} te_host_path;

extern const te_host_path te_host_avx2, te_host_avx512vnni, te_host_neon;

#endif
