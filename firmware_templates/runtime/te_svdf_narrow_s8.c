/* SPDX-License-Identifier: Apache-2.0 */
/* A step of an SVDF layer whose memory is int8. */
#include "te_fixed_point.h"
#include "te_runtime.h"

/* What an int8_t keeps of a number. */
static int8_t wrapped(int32_t value)
{
    const int32_t byte = (int32_t)((uint32_t)value & 255u);
    return (int8_t)(byte < 128 ? byte : byte - 256);
}

void te_svdf_narrow_s8(const TE_FLASH te_svdf_narrow *layer, const int8_t *input,
                       const int8_t *memory, int8_t *output)
{
    const int32_t rank = layer->filters / layer->units, length = layer->length,
                  zero = layer->memory_zero_point;
    int8_t *kept = output + layer->units;
    for (int32_t unit = 0; unit < layer->units; unit++) {
        int32_t total = layer->bias[unit];
        for (int32_t filter = unit * rank; filter < (unit + 1) * rank; filter++) {
            const TE_FLASH int8_t *feature = layer->feature + filter * layer->inputs;
            const TE_FLASH int8_t *time = layer->time + filter * length;
            const int32_t first = filter * length;
            int32_t sum = 0;
            for (int32_t i = 0; i < layer->inputs; i++) {
                sum += feature[i] * (input[i] - layer->input_zero_point);
            }
            sum = te_multiply(sum, layer->memory_mantissa, layer->memory_shift);
            for (int32_t at = 0; at < length; at++) {
                const int8_t value = at < length - 1
                                         ? memory[first + at + 1]
                                         : wrapped(te_clamp(sum, INT8_MIN, INT8_MAX) + zero);
                kept[first + at] = value;
                total += time[at] * (value - zero);
            }
        }
        const int32_t value = te_multiply(total, layer->output_mantissa, layer->output_shift);
        output[unit] = te_clamp(value + layer->output_zero_point, INT8_MIN, INT8_MAX);
    }
}
