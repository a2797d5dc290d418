/* SPDX-License-Identifier: Apache-2.0 */
/* A step of an SVDF layer whose memory has 16 bits. */
#include "te_curves_16.h"
#include "te_runtime.h"

void te_svdf_s8(const TE_FLASH te_svdf *layer, const int8_t *input, const int8_t *memory,
                int8_t *output)
{
    const int32_t rank = layer->filters / layer->units, length = layer->length;
    int8_t *kept = output + layer->units;
    for (int32_t unit = 0; unit < layer->units; unit++) {
        int32_t total = layer->bias[unit];
        for (int32_t filter = unit * rank; filter < (unit + 1) * rank; filter++) {
            const TE_FLASH int8_t *feature = layer->feature + filter * layer->inputs;
            const TE_FLASH int16_t *time = layer->time + filter * length;
            const int32_t first = 2 * filter * length;
            int32_t sum = 0;
            for (int32_t i = 0; i < layer->inputs; i++) {
                sum += feature[i] * (input[i] - layer->input_zero_point);
            }
            for (int32_t at = 0; at < length; at++) {
                const int32_t value =
                    at < length - 1
                        ? te_load_16(memory + first + 2 * (at + 1))
                        : te_clamp_16(te_multiply(sum, layer->memory_mantissa, layer->memory_shift));
                te_store_16(kept + first + 2 * at, value);
                total += time[at] * value;
            }
        }
        const int32_t value = te_multiply(total, layer->output_mantissa, layer->output_shift);
        output[unit] = te_clamp(value + layer->output_zero_point, INT8_MIN, INT8_MAX);
    }
}
