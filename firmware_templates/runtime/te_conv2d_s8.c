/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution with weights of any width: the oracle of the fast ones. */
#include "te_dot.h"
#include "te_fixed_point.h"
#include "te_runtime.h"
#include "te_window.h"

/* One output channel at one place. Cells of a row that touch are one run of memory, in the input as
 * in the weights, unless the window is dilated. */
static int32_t accumulate(const TE_FLASH te_conv2d *layer, const int8_t *input,
                          const int8_t *weights, te_span rows, int32_t top, int32_t left)
{
    const TE_FLASH te_window *window = &layer->window;
    const int32_t channels = layer->input.channels;
    const te_term offset = (te_term)layer->activation.input_offset;
    const te_span columns =
        te_inside(left, window->dilation_width, window->width, layer->input.width);
    int32_t sum = 0;
    for (int32_t row = rows.first; row < rows.last; row++) {
        const int32_t y = top + row * window->dilation_height;
        const int8_t *line = input + y * layer->input.width * channels;
        const int8_t *codes = weights + row * window->width * channels;
        if (window->dilation_width == 1 && columns.first < columns.last) {
            sum += te_dot(codes + columns.first * channels,
                          line + (left + columns.first) * channels, offset,
                          (te_term)((columns.last - columns.first) * channels));
        } else {
            for (int32_t column = columns.first; column < columns.last; column++) {
                const int32_t x = left + column * window->dilation_width;
                sum += te_dot(codes + column * channels, line + x * channels, offset,
                              (te_term)channels);
            }
        }
    }
    return sum;
}

void te_conv2d_s8(const TE_FLASH te_conv2d *layer, const int8_t *input, int8_t *output,
                  int8_t *scratch)
{
    const TE_FLASH te_window *window = &layer->window;
    const TE_FLASH te_activation *activation = &layer->activation;
    const int32_t channels = layer->output.channels;
    const uint32_t count = (uint32_t)(window->height * window->width * layer->input.channels);
    te_stream stream = te_stream_of(layer->weights.packed);
    for (int32_t channel = 0; channel < channels; channel++) {
        const int8_t *weights = layer->weights.unpack(&stream, count, scratch);
        const int32_t step = te_step(&layer->weights, channel);
        const int32_t bias = layer->weights.bias[channel];
        const int32_t mantissa = layer->weights.mantissa[channel];
        const int32_t shift = layer->weights.shift[channel];
        int8_t *out = output + channel;
        for (int32_t y = 0; y < layer->output.height; y++) {
            const int32_t top = y * window->stride_height - window->padding_top;
            const te_span rows =
                te_inside(top, window->dilation_height, window->height, layer->input.height);
            for (int32_t x = 0; x < layer->output.width; x++) {
                const int32_t left = x * window->stride_width - window->padding_left;
                const int32_t sum =
                    bias + step * accumulate(layer, input, weights, rows, top, left);
                *out = te_clamp(te_multiply(sum, mantissa, shift) + activation->output_offset,
                                activation->clamp_min, activation->clamp_max);
                out += channels;
            }
        }
    }
}
