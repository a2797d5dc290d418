/* SPDX-License-Identifier: Apache-2.0 */
/* A fully connected layer with weights of any width: the oracle of the fast ones. */
#include "te_dot.h"
#include "te_fixed_point.h"
#include "te_runtime.h"

void te_fully_connected_s8(const TE_FLASH te_fully_connected *layer, const int8_t *input,
                           int8_t *output, int8_t *scratch)
{
    const TE_FLASH te_activation *activation = &layer->activation;
    const uint32_t count = (uint32_t)layer->inputs;
    te_stream stream = te_stream_of(layer->weights.packed);
    for (int32_t channel = 0; channel < layer->outputs; channel++) {
        const int8_t *weights = layer->weights.unpack(&stream, count, scratch);
        const int32_t sum = layer->weights.bias[channel] +
                            te_step(&layer->weights, channel) *
                                te_dot(weights, input, (te_term)activation->input_offset,
                                       (te_term)layer->inputs);
        const int32_t scaled =
            te_multiply(sum, layer->weights.mantissa[channel], layer->weights.shift[channel]);
        output[channel] = te_clamp(scaled + activation->output_offset, activation->clamp_min,
                                   activation->clamp_max);
    }
}
