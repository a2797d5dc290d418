/* The path for 64-bit Arm: elements are int16 less their zero point. */
#include "te_host_path.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <string.h>

static int has_neon(void)
{
    return 1; /* every processor of this architecture */
}

static void widen(const int8_t *input, void *elements, int32_t offset, int32_t count)
{
    const int16x8_t added = vdupq_n_s16((int16_t)offset);
    int16_t *output = elements;
    for (; count >= 8; count -= 8) {
        vst1q_s16(output, vaddw_s8(added, vld1_s8(input)));
        input += 8;
        output += 8;
    }
    for (; count > 0; count--) {
        *output++ = (int16_t)(*input++ + offset);
    }
}

/* Four pixels and sixteen channels: sixteen registers of sums. */
static void products(const uint8_t *const *pixels, const te_host_runs *runs, const void *weights,
                     int32_t *sums)
{
    int32x4_t found[4][4];
    for (int32_t pixel = 0; pixel < 4; pixel++) {
        for (int32_t quarter = 0; quarter < 4; quarter++) {
            found[pixel][quarter] = vdupq_n_s32(0);
        }
    }
    const int16_t *next = weights;
    for (int32_t run = 0; run < runs->count; run++) {
        const int32_t offset = runs->offsets[run];
        for (int32_t group = 0; group < runs->groups; group++) {
            int16x4_t x[4];
            for (int32_t pixel = 0; pixel < 4; pixel++) {
                memcpy(&x[pixel], pixels[pixel] + offset + 8 * group, 8);
            }
#define ELEMENT(index)                                                                        \
    {                                                                                         \
        const int16x8_t low = vld1q_s16(next), high = vld1q_s16(next + 8);                    \
        for (int32_t pixel = 0; pixel < 4; pixel++) {                                         \
            int32x4_t *sum = found[pixel];                                                    \
            sum[0] = vmlal_lane_s16(sum[0], vget_low_s16(low), x[pixel], index);              \
            sum[1] = vmlal_high_lane_s16(sum[1], low, x[pixel], index);                       \
            sum[2] = vmlal_lane_s16(sum[2], vget_low_s16(high), x[pixel], index);             \
            sum[3] = vmlal_high_lane_s16(sum[3], high, x[pixel], index);                      \
        }                                                                                     \
        next += 16;                                                                           \
    }
            ELEMENT(0)
            ELEMENT(1)
            ELEMENT(2)
            ELEMENT(3)
#undef ELEMENT
        }
    }
    for (int32_t pixel = 0; pixel < 4; pixel++) {
        for (int32_t quarter = 0; quarter < 4; quarter++) {
            vst1q_s32(sums, found[pixel][quarter]);
            sums += 4;
        }
    }
}

static void taps(const uint8_t *const *pixels, int32_t several, const int32_t *offsets,
                 int32_t count, const int16_t *weights, int32_t *sums)
{
    for (int32_t pixel = 0; pixel < several; pixel++) {
        int32x4_t found[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        for (int32_t tap = 0; tap < count; tap++) {
            int16x8_t x[2];
            memcpy(x, pixels[pixel] + offsets[tap], sizeof x);
            for (int32_t half = 0; half < 2; half++) {
                const int16x8_t codes = vld1q_s16(weights + TE_HOST_LANES * tap + 8 * half);
                int32x4_t *sum = found + 2 * half;
                sum[0] = vmlal_s16(sum[0], vget_low_s16(x[half]), vget_low_s16(codes));
                sum[1] = vmlal_high_s16(sum[1], x[half], codes);
            }
        }
        for (int32_t quarter = 0; quarter < 4; quarter++) {
            vst1q_s32(sums, found[quarter]);
            sums += 4;
        }
    }
}

/* te_multiply without its shift to the left; `right` is negative, or zero. */
static inline int32x4_t multiplied(int32x4_t x, int32x4_t mantissa, int32x4_t right)
{
    const int32x4_t high = vqrdmulhq_s32(x, mantissa);
    /* Halves go away from zero: a negative one has to go down. */
    const int32x4_t down = vshrq_n_s32(vandq_s32(high, right), 31);
    return vrshlq_s32(vqaddq_s32(high, down), right);
}

static inline int32x4_t limited(int32x4_t x, const te_host_range *range)
{
    const int32x4_t moved = vaddq_s32(x, vdupq_n_s32(range->output_offset));
    return vminq_s32(vmaxq_s32(moved, vdupq_n_s32(range->clamp_min)),
                     vdupq_n_s32(range->clamp_max));
}

/* Sixteen values of int8's range as bytes. */
static inline int8x16_t packed(const int32x4_t *values)
{
    const int16x8_t low = vcombine_s16(vqmovn_s32(values[0]), vqmovn_s32(values[1]));
    const int16x8_t high = vcombine_s16(vqmovn_s32(values[2]), vqmovn_s32(values[3]));
    return vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
}

static void requantize(int32_t *sums, int32_t pixels, const te_host_scale *scale,
                       const te_host_range *range, int8_t *output, size_t stride, int32_t live)
{
    for (; pixels > 0; pixels--) {
        int32x4_t found[4];
        for (int32_t quarter = 0; quarter < 4; quarter++) {
            const int32_t lane = 4 * quarter;
            const int32x4_t total =
                vmlaq_s32(vld1q_s32(scale->of[TE_HOST_BIAS] + lane), vld1q_s32(sums + lane),
                          vld1q_s32(scale->of[TE_HOST_STEP] + lane));
            const int32x4_t high = multiplied(
                vshlq_s32(total, vld1q_s32(scale->of[TE_HOST_LEFT] + lane)),
                vld1q_s32(scale->of[TE_HOST_MANTISSA] + lane),
                vnegq_s32(vld1q_s32(scale->of[TE_HOST_RIGHT] + lane)));
            found[quarter] = limited(high, range);
        }
        int8_t all[TE_HOST_LANES];
        vst1q_s8(all, packed(found));
        memcpy(output, all, (size_t)live);
        sums += TE_HOST_LANES;
        output += stride;
    }
}

static void add(const te_host_sum *sum, const int8_t *first, const int8_t *second, int8_t *output,
                size_t count)
{
    const int32x4_t output_mantissa = vdupq_n_s32(sum->output_mantissa);
    const int32x4_t output_right = vdupq_n_s32(-sum->output_right);
    int8_t bytes[2][16] = {{0}, {0}};
    size_t step = 16;
    for (size_t at = 0; at < count; at += step) {
        step = count - at < step ? count - at : step;
        memcpy(bytes[0], first + at, step);
        memcpy(bytes[1], second + at, step);
        int32x4_t terms[2][4];
        for (int which = 0; which < 2; which++) {
            const int8x16_t x = vld1q_s8(bytes[which]);
            const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_high_s8(x);
            const int32x4_t wide[4] = {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low),
                                       vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)};
            for (int quarter = 0; quarter < 4; quarter++) {
                const int32x4_t centred = vaddq_s32(wide[quarter], vdupq_n_s32(sum->offset[which]));
                terms[which][quarter] =
                    multiplied(vshlq_n_s32(centred, 20), vdupq_n_s32(sum->mantissa[which]),
                               vdupq_n_s32(-sum->right[which]));
            }
        }
        int32x4_t found[4];
        for (int quarter = 0; quarter < 4; quarter++) {
            const int32x4_t total =
                vmlaq_s32(terms[0][quarter], terms[1][quarter], vdupq_n_s32(sum->sign));
            found[quarter] =
                limited(multiplied(total, output_mantissa, output_right), &sum->range);
        }
        int8_t all[16];
        vst1q_s8(all, packed(found));
        memcpy(output + at, all, step);
    }
}

const te_host_path te_host_neon = {
    .name = "neon",
    .usable = has_neon,
    .pixels = 4,
    .element = 2,
    .copy = widen,
    .group = 4,
    .paired = 0,
    .weight = 2,
    .products = products,
    .widen = widen,
    .taps = taps,
    .requantize = requantize,
    .add = add,
};

#else
typedef int te_host_no_neon; /* a file of C may not be empty */
#endif
