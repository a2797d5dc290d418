/* SPDX-License-Identifier: Apache-2.0 */
/* Copies an int8 tensor to another order of its axes. */
#include "te_memory.h"

#include "te_runtime.h"

void te_rearrange_s8(const TE_FLASH te_rearrange *layer, const int8_t *input, int8_t *output)
{
    const int32_t count = layer->size[3], step = layer->step[3];
    input += layer->first;
    for (int32_t a = 0; a < layer->size[0]; a++) {
        for (int32_t b = 0; b < layer->size[1]; b++) {
            for (int32_t c = 0; c < layer->size[2]; c++) {
                const int8_t *from =
                    input + a * layer->step[0] + b * layer->step[1] + c * layer->step[2];
                if (step == 1) {
                    memcpy(output, from, (size_t)count);
                    output += count;
                } else {
                    for (int32_t left = count; left > 0; left--) {
                        *output++ = *from;
                        from += step;
                    }
                }
            }
        }
    }
}
