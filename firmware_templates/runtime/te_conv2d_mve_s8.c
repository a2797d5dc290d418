/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution by dot products of columns, with Helium. */
#include "te_conv2d_mve_s8.h"

/* The columns of the window whose first cell is (top, left), and zeros up to a whole step. */
static TE_NOINLINE void gather(const te_conv2d_mve *layer, const int8_t *input, int32_t top,
                               int32_t left, int8_t *to)
{
    const int32_t channels = layer->input.channels;
    const int32_t pitch = layer->input.width * channels;
    const int32_t row = layer->window.width * channels;
    const int32_t padding = -layer->activation.input_offset;
    int32_t rows, inside;
    const int32_t above = te_mve_clip(top, layer->window.height, layer->input.height, &rows);
    const int32_t before =
        te_mve_clip(left, layer->window.width, layer->input.width, &inside) * channels;
    inside *= channels;
    const int8_t *end = to + layer->steps * TE_MVE_BYTES;
    if (above > 0) {
        te_mve_fill(to, padding, above * row);
        to += above * row;
    }
    const int8_t *from = input + (top + above) * pitch + left * channels + before;
    for (int32_t i = rows; i > 0; i--) {
        if (inside < row) {
            te_mve_fill(to, padding, row);
        }
        te_mve_copy(to + before, from, inside);
        to += row;
        from += pitch;
    }
    const int32_t below = (layer->window.height - above - rows) * row;
    if (below > 0) {
        te_mve_fill(to, padding, below);
        to += below;
    }
    te_mve_fill(to, 0, (int32_t)(end - to));
}

/* The outputs of four channels of a cell, of which `left` exist. */
TE_INLINE void put(int8_t *to, const te_mve_numbers *numbers, const int32_t *sums, int32_t left,
                   int32_t stepped, int32_t away)
{
    const te_mve_words done =
        te_mve_finished(numbers, te_mve_load_words(sums), stepped, away);
    if (left >= TE_MVE_LANES) {
        te_mve_store_four(to, done);
    } else {
        te_mve_store_some(to, done, left);
    }
}

/* All output channels of some cells, whose columns lie at `places`. */
TE_INLINE void multiply(const te_conv2d_mve *layer, const int8_t *const *places, int32_t cells,
                        int8_t *expanded, int8_t *output, int32_t stepped, int32_t away)
{
    const int32_t steps = layer->steps;
    const int32_t channels = layer->output.channels;
    const int32_t block = steps * TE_MVE_LANES * TE_MVE_BYTES;
    const int32_t *scale = layer->scale;
    te_stream stream = te_stream_of(layer->packed);
    const int8_t *weights = (const int8_t *)layer->packed;
    for (int32_t left = channels; left > 0; left -= TE_MVE_LANES) {
        if (layer->unpack) {
            weights = layer->unpack(&stream, (uint32_t)block, expanded);
        }
        const te_mve_numbers numbers = te_mve_numbers_of(scale, &layer->activation, stepped);
        const int8_t *const *place = places;
        int32_t sums[2 * TE_MVE_LANES];
        int8_t *to = output;
        for (int32_t rest = cells; rest > 1; rest -= 2) {
            te_mve_dot2(place[0], place[1], weights, steps, scale, sums);
            put(to, &numbers, sums, left, stepped, away);
            put(to + channels, &numbers, sums + TE_MVE_LANES, left, stepped, away);
            place += 2;
            to += 2 * channels;
        }
        if (cells & 1) {
            te_mve_dot1(place[0], weights, steps, scale, sums);
            put(to, &numbers, sums, left, stepped, away);
        }
        output += TE_MVE_LANES;
        scale += stepped ? TE_MVE_STEPPED_SCALE : TE_MVE_SCALE;
        weights += block;
    }
}

static TE_NOINLINE void multiply_relu(const te_conv2d_mve *layer, const int8_t *const *places,
                                      int32_t cells, int8_t *expanded, int8_t *output)
{
    multiply(layer, places, cells, expanded, output, 0, 0);
}

static TE_NOINLINE void multiply_any(const te_conv2d_mve *layer, const int8_t *const *places,
                                     int32_t cells, int8_t *expanded, int8_t *output)
{
    multiply(layer, places, cells, expanded, output, layer->stepped, 1);
}

void te_conv2d_mve_s8(const te_conv2d_mve *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    const te_window *window = &layer->window;
    const te_activation *activation = &layer->activation;
    const int32_t channels = layer->input.channels;
    const int32_t bytes = layer->steps * TE_MVE_BYTES;
    const int relu = !layer->stepped && !te_mve_away(activation);
    int8_t *expanded = scratch + (layer->gathering != TE_GATHER_NOTHING ? layer->cells * bytes : 0);
    int32_t top = -window->padding_top;
    int32_t left = -window->padding_left;
    const int32_t right = left + layer->output.width * window->stride_width;
    int32_t cells = layer->output.height * layer->output.width;
    while (cells > 0) {
        const int32_t count = cells < layer->cells ? cells : layer->cells;
        const int8_t *places[TE_MVE_CELLS];
        for (int32_t i = 0; i < count; i++) {
            int8_t *to = scratch + i * bytes;
            places[i] = to;
            if (layer->gathering == TE_GATHER_WINDOW) {
                gather(layer, input, top, left, to);
            } else {
                const int8_t *cell = input + (top * layer->input.width + left) * channels;
                if (layer->gathering == TE_GATHER_NOTHING) {
                    places[i] = cell;
                } else {
                    for (int32_t at = 0; at < bytes; at += TE_MVE_BYTES) {
                        te_mve_move_some(to + at, cell + at, channels - at);
                    }
                }
            }
            left += window->stride_width;
            if (left == right) {
                left = -window->padding_left;
                top += window->stride_height;
            }
        }
        if (relu) {
            multiply_relu(layer, places, count, expanded, output);
        } else {
            multiply_any(layer, places, count, expanded, output);
        }
        output += count * layer->output.channels;
        cells -= count;
    }
}
