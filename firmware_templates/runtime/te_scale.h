/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed-point scaling of te_fixed_point.h in the form that costs fewest instructions.
 *
 * te_multiply rounds twice: round(x * mantissa / 2^31), then round(. / 2^right), halves away from
 * zero. The first is one rounding high multiplication of 2x. The second is (v + half) >> right, with
 * one taken off where v is negative; the output's zero point is added before the shift. Where the
 * activation cuts off everything below the zero point, that correction changes nothing and is left
 * out. The exporter prepares these numbers, and proves that they fit. It stores nine bytes an output
 * channel, or four where one multiplier serves all; the others follow from them. */
#ifndef TE_SCALE_H
#define TE_SCALE_H

#include <stddef.h>

#include "te_cpu.h"
#include "te_runtime.h"

/* What an activation makes of a sum. */
typedef enum {
    TE_SCALE_RELU,  /* nothing below the zero point, and the rest of the int8 range */
    TE_SCALE_PLAIN, /* the whole int8 range */
    TE_SCALE_CLAMP  /* any range */
} te_scale_kind;

/* What is stored. The accumulator of a channel is step * sum + bias. The multiplier's shift to the left,
 * and one more, is in bias and step already. */
typedef struct {
    const int32_t *bias;
    const int32_t *mantissa;
    const uint8_t *right; /* the multiplier's shift to the right */
    const int16_t *step;  /* or 0, where it is TE_SCALE_STEP of every channel */
    int32_t apart;        /* whether every channel has its own mantissa and shift: -1, else 0 */
} te_scales;

#define TE_SCALE_STEP 2

/* An output channel, as computed with. */
typedef struct {
    int32_t bias;
    int32_t mantissa;
    int32_t rounding; /* half of 2^right, and the output's zero point * 2^right */
    int16_t step;
    uint8_t right;
    int8_t away;   /* -1 where negative halves are rounded away from zero: right > 0; else 0 */
} te_scale;

/* Where assembly reads a member; with another layout this does not compile. */
#define TE_AT(type, member, at)                                                                    \
    te_at_##type##_##member = 1 / (offsetof(te_##type, member) == (at))
enum {
    TE_AT(scale, bias, 0),
    TE_AT(scale, mantissa, 4),
    TE_AT(scale, rounding, 8),
    TE_AT(scale, step, 12),
    TE_AT(scale, right, 14)
};

static inline int32_t te_scale_step(const te_scales *scales, int32_t channel)
{
    return scales->step ? scales->step[channel] : TE_SCALE_STEP;
}

/* The numbers of a channel where `scales` have no steps. */
TE_INLINE te_scale te_scale_unstepped(const te_scales *scales, int32_t zero_point, int32_t channel)
{
    const int32_t at = channel & scales->apart;
    te_scale scale;
    scale.right = scales->right[at];
    scale.bias = scales->bias[channel];
    scale.mantissa = scales->mantissa[at];
    scale.step = TE_SCALE_STEP;
    /* Where nothing is shifted, half of 2^0 is not added: the last shift drops it. */
    scale.rounding = (int32_t)((uint32_t)(2 * zero_point + 1) << scale.right) >> 1;
    scale.away = scale.right > 0 ? -1 : 0;
    return scale;
}

TE_INLINE te_scale te_scale_of(const te_scales *scales, int32_t zero_point, int32_t channel)
{
    te_scale scale = te_scale_unstepped(scales, zero_point, channel);
    scale.step = (int16_t)te_scale_step(scales, channel);
    return scale;
}

/* The zero point of an activation for which TE_SCALE_RELU holds. */
#define TE_SCALE_RELU_ZERO (-128)

static inline te_scale_kind te_scale_kind_of(const te_activation *activation)
{
    if (activation->clamp_min != -128 || activation->clamp_max != 127) {
        return TE_SCALE_CLAMP;
    }
    return activation->output_offset == TE_SCALE_RELU_ZERO ? TE_SCALE_RELU : TE_SCALE_PLAIN;
}

/* The output for `sum` * step + bias, given as such. */
TE_INLINE int8_t te_scaled(const te_scale *scale, const te_activation *activation,
                           te_scale_kind kind, int32_t shifted)
{
    if (kind == TE_SCALE_RELU) {
        const int32_t value =
            te_rounding_high_mul_add(scale->rounding, shifted, scale->mantissa) >> scale->right;
        return (int8_t)te_saturate_s8(value);
    }
    int32_t value = te_rounding_high_mul(shifted, scale->mantissa);
    value += (value >> 31) & scale->away;
    value = (value + scale->rounding) >> scale->right;
    if (kind == TE_SCALE_CLAMP) {
        return te_clamp(value, activation->clamp_min, activation->clamp_max);
    }
    return (int8_t)te_saturate_s8(value);
}

/* The output for a sum of 32 bits. */
TE_INLINE int8_t te_scaled_sum(const te_scale *scale, const te_activation *activation,
                               te_scale_kind kind, int32_t sum)
{
    const uint32_t product = (uint32_t)sum * (uint32_t)(int32_t)scale->step;
    return te_scaled(scale, activation, kind, (int32_t)(product + (uint32_t)scale->bias));
}

#endif
