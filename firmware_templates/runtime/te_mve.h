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

/* The columns of a sum are multiplied in steps of 16, four output channels at a time: weights lie as
 * (channels / 4, steps, 4, 16), columns and channels that are missing as zeros. */

/* Four channels' numbers, each four times: what a sum starts from, mantissa, what is added before the
 * shift (half of 2^right, and the output's zero point * 2^right), and minus the shift to the right.
 * Where `stepped`, the accumulator is sum * step + bias, and these follow. The multiplier's shift to the
 * left is in start, step and bias already. */
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

static inline te_mve_words te_mve_load_words(const int32_t *from)
{
    return vldrwq_s32(from);
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

static inline te_mve_words te_mve_load_words(const int32_t *from)
{
    te_mve_words words;
    for (int32_t i = 0; i < TE_MVE_LANES; i++) {
        words.lane[i] = from[i];
    }
    return words;
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
const int8_t *te_unpack_int4_mve(te_stream *stream, uint32_t count, int8_t *scratch);

/* What the sums of four channels become; `scale` is that of these. */
TE_INLINE te_mve_words te_mve_finished(const int32_t *scale, te_mve_words sums, te_mve_words low,
                                       te_mve_words high, int32_t stepped, int32_t away)
{
    if (stepped) {
        sums = te_mve_mul(sums, te_mve_load_words(scale + TE_MVE_STEP));
        sums = te_mve_add(sums, te_mve_load_words(scale + TE_MVE_BIAS));
    }
    const te_mve_words shift = te_mve_load_words(scale + TE_MVE_SHIFT);
    te_mve_words value = te_mve_high_mul(sums, te_mve_load_words(scale + TE_MVE_MANTISSA));
    if (away) {
        value = te_mve_add(value, te_mve_both_negative(value, shift));
    }
    value = te_mve_add(value, te_mve_load_words(scale + TE_MVE_ROUNDING));
    return te_mve_clamp(te_mve_shift_right(value, shift), low, high);
}

#endif
