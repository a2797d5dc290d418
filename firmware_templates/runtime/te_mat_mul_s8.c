/* SPDX-License-Identifier: Apache-2.0 */
/* Products of two int8 matrices that are both inputs. */
#include "te_fixed_point.h"
#include "te_runtime.h"

void te_mat_mul_s8(const TE_FLASH te_mat_mul *layer, const int8_t *first, const int8_t *second,
                   int8_t *output)
{
    const int32_t depth = layer->depth, first_zero = layer->zero_point[0],
                  second_zero = layer->zero_point[1], along_first = layer->first_step[1],
                  along_second = layer->second_step[1];
    for (int32_t group = 0; group < layer->groups; group++) {
        for (int32_t row = 0; row < layer->rows; row++) {
            for (int32_t column = 0; column < layer->columns; column++) {
                const int8_t *a = first + row * layer->first_step[0];
                const int8_t *b = second + column * layer->second_step[0];
                int32_t sum = 0;
                for (int32_t at = 0; at < depth; at++) {
                    sum += (a[at * along_first] - first_zero) * (b[at * along_second] - second_zero);
                }
                const int32_t value = te_multiply(sum, layer->mantissa, layer->shift);
                *output++ = te_clamp(value + layer->output_zero_point, INT8_MIN, INT8_MAX);
            }
        }
        first += layer->first_group;
        second += layer->second_group;
    }
}
