/* SPDX-License-Identifier: Apache-2.0 */
/* A depthwise convolution, two windows a multiplication and six at a time. */
#include "te_depthwise_dual.h"

void te_depthwise_conv2d_six_s8(const te_depthwise_ring *layer, const int8_t *input, int8_t *output,
                                int8_t *scratch)
{
    const int32_t channels = layer->output.channels, width = layer->output.width;
    te_dual dual;
    dual.three = 1;
    dual.words = 2;
    dual.row = 2;
    dual.weights = te_ring_lay_out(&dual.ring, layer, scratch);
    te_dual_unpack(&dual, te_dual_put_three);
    for (int32_t y = 0; y < layer->output.height; y++) {
        te_dual_load(&dual, input, y);
        for (int32_t x = 0; x < width; x += 6) {
            te_dual_make_six(&dual, x, output + x * channels);
        }
        output += width * channels;
    }
}
