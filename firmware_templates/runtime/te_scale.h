/* The fixed-point scaling of te_fixed_point.h in the form that costs fewest instructions.
 *
 * te_multiply rounds twice: round(x * mantissa / 2^31), then round(. / 2^right), halves away from
 * zero. The first is one rounding high multiplication of 2x. The second is (v + half) >> right, with
 * one taken off where v is negative; the output's zero point is added before the shift. Where the
 * activation cuts off everything below the zero point, that correction changes nothing and is left
 * out. The exporter proves that 2x * 2^left and the zero point * 2^right fit in 32 bits. */
#ifndef TE_SCALE_H
#define TE_SCALE_H

#include "te_cpu.h"
#include "te_runtime.h"

typedef struct {
    int32_t bias;
    int32_t step;
    int32_t mantissa;
    int32_t left;     /* 1 + the multiplier's shift to the left */
    int32_t right;    /* the multiplier's shift to the right */
    int32_t rounding; /* half of 2^right, and the zero point there */
    int32_t away;     /* -1 where negative halves have to be rounded away from zero, else 0 */
} te_scale;

static inline te_scale te_scale_of(const te_weights *weights, const te_activation *activation,
                                   int32_t channel)
{
    const int32_t shift = weights->shift[channel];
    te_scale scale;
    scale.bias = weights->bias[channel];
    scale.step = te_step(weights, channel);
    scale.mantissa = weights->mantissa[channel];
    scale.left = shift > 0 ? shift + 1 : 1;
    scale.right = shift > 0 ? 0 : -shift;
    scale.rounding = (int32_t)(((uint32_t)1 << scale.right) >> 1) +
                     activation->output_offset * (int32_t)((uint32_t)1 << scale.right);
    scale.away = scale.right > 0 && activation->clamp_min < activation->output_offset ? -1 : 0;
    return scale;
}

/* The output, not clamped yet, for an accumulator that holds the bias. */
static inline int32_t te_scaled(const te_scale *scale, int32_t accumulator)
{
    const int32_t doubled = (int32_t)((uint32_t)accumulator << scale->left);
    int32_t value = te_rounding_high_mul(doubled, scale->mantissa);
    value += (value >> 31) & scale->away;
    return (value + scale->rounding) >> scale->right;
}

/* The fused activation. `plain` says that it is the whole int8 range. */
static inline int8_t te_activated(const te_activation *activation, int plain, int32_t value)
{
    const int32_t saturated = te_saturate_s8(value);
    if (plain) {
        return (int8_t)saturated;
    }
    return te_clamp(saturated, activation->clamp_min, activation->clamp_max);
}

static inline int te_is_plain(const te_activation *activation)
{
    return activation->clamp_min == -128 && activation->clamp_max == 127;
}

#endif
