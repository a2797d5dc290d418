/* SPDX-License-Identifier: Apache-2.0 */
/* Joins int8 tensors along an axis. */
#include "te_memory.h"

#include "te_runtime.h"

void te_concatenation_s8(const TE_FLASH te_concatenation *layer, const int8_t *const *inputs,
                         int8_t *output)
{
    for (int32_t repeat = 0; repeat < layer->repeats; repeat++) {
        for (int32_t which = 0; which < layer->count; which++) {
            const int32_t bytes = layer->bytes[which];
            memcpy(output, inputs[which] + repeat * bytes, (size_t)bytes);
            output += bytes;
        }
    }
}
