/* SPDX-License-Identifier: Apache-2.0 */
/* A fully connected layer with Helium. */
#include "te_fully_connected_mve_s8.h"

void te_fully_connected_mve_s8(const te_fully_connected_mve *layer, const int8_t *input,
                               int8_t *output, int8_t *scratch)
{
    const te_activation *activation = &layer->activation;
    const int32_t away = te_mve_away(activation);
    const int32_t stepped = layer->stepped;
    const int32_t bytes = layer->steps * TE_MVE_BYTES;
    const int32_t block = bytes * TE_MVE_LANES;
    const int32_t *scale = layer->scale;
    if (layer->inputs < bytes) {
        te_mve_copy(scratch, input, layer->inputs);
        te_mve_fill(scratch + layer->inputs, 0, bytes - layer->inputs);
        input = scratch;
        scratch += bytes;
    }
    te_stream stream = te_stream_of(layer->packed);
    const int8_t *weights = (const int8_t *)layer->packed;
    for (int32_t left = layer->outputs; left > 0; left -= TE_MVE_LANES) {
        if (layer->unpack) {
            weights = layer->unpack(&stream, (uint32_t)block, scratch);
        }
        int32_t sums[TE_MVE_LANES];
        te_mve_dot1(input, weights, layer->steps, scale, sums);
        const te_mve_numbers numbers = te_mve_numbers_of(scale, activation, stepped);
        const te_mve_words done =
            te_mve_finished(&numbers, te_mve_load_words(sums), stepped, away);
        te_mve_store_some(output, done, left);
        output += TE_MVE_LANES;
        scale += stepped ? TE_MVE_STEPPED_SCALE : TE_MVE_SCALE;
        weights += block;
    }
}
