/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of Helium, and the same in C for cores without it.
 *
 * Nothing here reads or writes a byte more than it is told to. */
#ifndef TE_MVE_H
#define TE_MVE_H

#include "te_cpu.h"
#include "te_runtime.h"

#if defined(TE_MVE)
#include <arm_mve.h>
#endif

#define TE_MVE_BYTES 16 /* of a vector */
#define TE_MVE_LANES 4  /* of 32 bits */

/* The columns of a sum are multiplied in steps of 16, four output channels at a time: weights lie
 * as (channels / 4, steps, 4, 16), columns and channels that are missing as zeros. */

/* Four channels' numbers, each four times: what a sum starts from, mantissa, what is added before
 * the shift (half of 2^right, and the output's zero point * 2^right), and minus the shift to the
 * right. Where `stepped`, the accumulator is sum * step + bias, and these follow. The multiplier's
 * shift to the left is in start, step and bias already. */
enum {
    TE_MVE_START = 0,
    TE_MVE_MANTISSA = 4,
    TE_MVE_ROUNDING = 8,
    TE_MVE_SHIFT = 12,
    TE_MVE_STEP = 16,
    TE_MVE_BIAS = 20
};
#define TE_MVE_SCALE 16
#define TE_MVE_STEPPED_SCALE 24

#if defined(TE_MVE)

typedef int32x4_t te_mve_words;

/* Four bytes, or the first `count` of them, as words; the rest is zero. */
static inline te_mve_words te_mve_load_four(const int8_t *from)
{
    return vldrbq_s32(from);
}

static inline te_mve_words te_mve_load_some(const int8_t *from, int32_t count)
{
    return vldrbq_z_s32(from, vctp32q((uint32_t)count));
}

/* The low bytes of words. */
static inline void te_mve_store_four(int8_t *to, te_mve_words words)
{
    vstrbq_s32(to, words);
}

static inline void te_mve_store_some(int8_t *to, te_mve_words words, int32_t count)
{
    vstrbq_p_s32(to, words, vctp32q((uint32_t)count));
}

/* 16 bytes: the first `count` of them from `from`, then zeros. */
static inline void te_mve_move_some(int8_t *to, const int8_t *from, int32_t count)
{
    vstrbq_s8(to, vldrbq_z_s8(from, vctp8q((uint32_t)count)));
}

static inline te_mve_words te_mve_load_words(const int32_t *from)
{
    return vldrwq_s32(from);
}

static inline void te_mve_store_words(int32_t *to, te_mve_words words)
{
    vstrwq_s32(to, words);
}

static inline te_mve_words te_mve_all(int32_t value)
{
    return vdupq_n_s32(value);
}

static inline te_mve_words te_mve_add(te_mve_words a, te_mve_words b)
{
    return vaddq_s32(a, b);
}

static inline te_mve_words te_mve_mul(te_mve_words a, te_mve_words b)
{
    return vmulq_s32(a, b);
}

/* round(a * b / 2^31), halves up; not both INT32_MIN. */
static inline te_mve_words te_mve_high_mul(te_mve_words a, te_mve_words b)
{
    return vqrdmulhq_s32(a, b);
}

/* Minus one where both are negative. */
static inline te_mve_words te_mve_both_negative(te_mve_words a, te_mve_words b)
{
    return vshrq_n_s32(vandq_s32(a, b), 31);
}

/* To the right, as the lanes of `negated` say: 0 to -31. */
static inline te_mve_words te_mve_shift_right(te_mve_words words, te_mve_words negated)
{
    return vshlq_s32(words, negated);
}

/* The same with one number for all lanes. */
static inline te_mve_words te_mve_add_all(te_mve_words a, int32_t b)
{
    return vaddq_n_s32(a, b);
}

static inline te_mve_words te_mve_mul_all(te_mve_words a, int32_t b)
{
    return vmulq_n_s32(a, b);
}

static inline te_mve_words te_mve_high_mul_all(te_mve_words a, int32_t b)
{
    return vqrdmulhq_n_s32(a, b);
}

static inline te_mve_words te_mve_sub(te_mve_words a, te_mve_words b)
{
    return vsubq_s32(a, b);
}

/* round(words / 2^right), halves away from zero; `right` from 1 to 31. */
static inline te_mve_words te_mve_divide_by_pot(te_mve_words words, int32_t right)
{
    return vrshlq_n_s32(vaddq_s32(words, vshrq_n_s32(words, 31)), -right);
}

static inline te_mve_words te_mve_clamp(te_mve_words words, te_mve_words low, te_mve_words high)
{
    return vminq_s32(vmaxq_s32(words, low), high);
}

static inline void te_mve_copy(int8_t *to, const int8_t *from, int32_t count)
{
    __asm__ volatile("wlstp.8 lr, %[count], 2f\n"
                     "1:\n"
                     "vldrb.8 q0, [%[from]], #16\n"
                     "vstrb.8 q0, [%[to]], #16\n"
                     "letp lr, 1b\n"
                     "2:\n"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [count] "r"(count)
                     : "q0", "lr", "memory");
}

static inline void te_mve_fill(int8_t *to, int32_t value, int32_t count)
{
    __asm__ volatile("vdup.8 q0, %[value]\n"
                     "wlstp.8 lr, %[count], 2f\n"
                     "1:\n"
                     "vstrb.8 q0, [%[to]], #16\n"
                     "letp lr, 1b\n"
                     "2:\n"
                     : [to] "+r"(to)
                     : [count] "r"(count), [value] "r"(value)
                     : "q0", "lr", "memory");
}

#else

typedef struct {
    int32_t lane[TE_MVE_LANES];
} te_mve_words;

static inline te_mve_words te_mve_load_some(const int8_t *from, int32_t count)
{
    te_mve_words words = {{0, 0, 0, 0}};
    for (int32_t i = 0; i < count && i < TE_MVE_LANES; i++) {
        words.lane[i] = from[i];
    }
    return words;
}

static inline te_mve_words te_mve_load_four(const int8_t *from)
{
    return te_mve_load_some(from, TE_MVE_LANES);
}

static inline void te_mve_store_some(int8_t *to, te_mve_words words, int32_t count)
{
    for (int32_t i = 0; i < count && i < TE_MVE_LANES; i++) {
        to[i] = (int8_t)words.lane[i];
    }
}

static inline void te_mve_store_four(int8_t *to, te_mve_words words)
{
    te_mve_store_some(to, words, TE_MVE_LANES);
}

static inline void te_mve_move_some(int8_t *to, const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < TE_MVE_BYTES; i++) {
        to[i] = i < count ? from[i] : 0;
    }
}

static inline te_mve_words te_mve_load_words(const int32_t *from)
{
    te_mve_words words;
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        words.lane[i] = from[i];
    }
    return words;
}

static inline void te_mve_store_words(int32_t *to, te_mve_words words)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        to[i] = words.lane[i];
    }
}

static inline te_mve_words te_mve_all(int32_t value)
{
    const te_mve_words words = {{value, value, value, value}};
    return words;
}

static inline te_mve_words te_mve_add(te_mve_words a, te_mve_words b)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        a.lane[i] = (int32_t)((uint32_t)a.lane[i] + (uint32_t)b.lane[i]);
    }
    return a;
}

static inline te_mve_words te_mve_mul(te_mve_words a, te_mve_words b)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        a.lane[i] = (int32_t)((uint32_t)a.lane[i] * (uint32_t)b.lane[i]);
    }
    return a;
}

static inline te_mve_words te_mve_high_mul(te_mve_words a, te_mve_words b)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        a.lane[i] = te_doubling_high_mul(a.lane[i], b.lane[i]);
    }
    return a;
}

static inline te_mve_words te_mve_both_negative(te_mve_words a, te_mve_words b)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        a.lane[i] = (a.lane[i] & b.lane[i]) >> 31;
    }
    return a;
}

static inline te_mve_words te_mve_shift_right(te_mve_words words, te_mve_words negated)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        words.lane[i] >>= -negated.lane[i];
    }
    return words;
}

static inline te_mve_words te_mve_add_all(te_mve_words a, int32_t b)
{
    return te_mve_add(a, te_mve_all(b));
}

static inline te_mve_words te_mve_mul_all(te_mve_words a, int32_t b)
{
    return te_mve_mul(a, te_mve_all(b));
}

static inline te_mve_words te_mve_high_mul_all(te_mve_words a, int32_t b)
{
    return te_mve_high_mul(a, te_mve_all(b));
}

static inline te_mve_words te_mve_sub(te_mve_words a, te_mve_words b)
{
    return te_mve_add(a, te_mve_mul_all(b, -1));
}

static inline te_mve_words te_mve_divide_by_pot(te_mve_words words, int32_t right)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        words.lane[i] = te_rounding_divide_by_pot(words.lane[i], right);
    }
    return words;
}

static inline te_mve_words te_mve_clamp(te_mve_words words, te_mve_words low, te_mve_words high)
{
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        words.lane[i] = te_clamp(words.lane[i], low.lane[i], high.lane[i]);
    }
    return words;
}

static inline void te_mve_copy(int8_t *to, const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

static inline void te_mve_fill(int8_t *to, int32_t value, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = (int8_t)value;
    }
}

#endif

/* Readers of weights that were packed for this: `count` is a multiple of 64. */
const int8_t *te_unpack_binary_mve(te_stream *stream, uint32_t count, int8_t *scratch);
const int8_t *te_unpack_ternary_mve(te_stream *stream, uint32_t count, int8_t *scratch);
const int8_t *te_unpack_ternary_base3_mve(te_stream *stream, uint32_t count, int8_t *scratch);
const int8_t *te_unpack_int4_mve(te_stream *stream, uint32_t count, int8_t *scratch);

/* How many of `cells` from `origin` on lie before an axis of `size`, and how many on it. */
static inline int32_t te_mve_clip(int32_t origin, int32_t cells, int32_t size, int32_t *on)
{
    const int32_t first = -origin < 0 ? 0 : -origin < cells ? -origin : cells;
    const int32_t end = size - origin;
    const int32_t last = end < first ? first : end < cells ? end : cells;
    *on = last - first;
    return first;
}

/* A layer's numbers for four channels, and its clamp. */
typedef struct {
    te_mve_words step;
    te_mve_words bias;
    te_mve_words mantissa;
    te_mve_words rounding;
    te_mve_words shift;
    te_mve_words low;
    te_mve_words high;
} te_mve_numbers;

TE_INLINE te_mve_numbers te_mve_numbers_of(const int32_t *scale, const te_activation *activation,
                                           int32_t stepped)
{
    te_mve_numbers numbers;
    numbers.mantissa = te_mve_load_words(scale + TE_MVE_MANTISSA);
    numbers.rounding = te_mve_load_words(scale + TE_MVE_ROUNDING);
    numbers.shift = te_mve_load_words(scale + TE_MVE_SHIFT);
    numbers.low = te_mve_all(activation->clamp_min);
    numbers.high = te_mve_all(activation->clamp_max);
    numbers.step = te_mve_load_words(scale + (stepped ? TE_MVE_STEP : 0));
    numbers.bias = te_mve_load_words(scale + (stepped ? TE_MVE_BIAS : 0));
    return numbers;
}

/* What the sums of four channels become. `away`: whether negative halves are rounded away from
 * zero, where the clamp shows that. */
TE_INLINE te_mve_words te_mve_finished(const te_mve_numbers *numbers, te_mve_words sums,
                                       int32_t stepped, int32_t away)
{
    if (stepped) {
        sums = te_mve_add(te_mve_mul(sums, numbers->step), numbers->bias);
    }
    te_mve_words value = te_mve_high_mul(sums, numbers->mantissa);
    if (away) {
        value = te_mve_add(value, te_mve_both_negative(value, numbers->shift));
    }
    value = te_mve_shift_right(te_mve_add(value, numbers->rounding), numbers->shift);
    return te_mve_clamp(value, numbers->low, numbers->high);
}

static inline int32_t te_mve_away(const te_activation *activation)
{
    return activation->clamp_min < activation->output_offset;
}

#endif
