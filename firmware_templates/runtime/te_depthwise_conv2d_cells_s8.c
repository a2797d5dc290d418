/* SPDX-License-Identifier: Apache-2.0 */
/* A depthwise convolution of any shape, four channels at a time. */
#include "te_depthwise_conv2d_cells.h"
#include "te_memory.h"
#include "te_window.h"

#define GROUP 4

/* The part of a window inside the input; not empty. */
typedef struct {
    int32_t rows;
    int32_t columns;
    int32_t right;   /* bytes from a cell to the one beside it */
    int32_t down;    /* and to the one below */
    int32_t pitch;   /* bytes from a row of weights to the next */
    uint32_t offset; /* the input's, in both halves */
} te_block;

/* The sums of four channels over cells times weights. */
static TE_NOINLINE void sum_block(const te_block *block, const int8_t *cells, const int8_t *weights,
                                  int32_t *sums)
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    const int32_t right = block->right, size = GROUP * (block->columns - 1);
    const uint32_t offset = block->offset;
    for (int32_t row = 0; row < block->rows; row++) {
        const int8_t *cell = cells + row * block->down;
        const int8_t *code = weights + row * block->pitch;
        const int8_t *last = code + size;
        for (;;) {
            const uint32_t values = te_load_word(cell), codes = te_load_word(code);
            const uint32_t even = te_even_bytes_on(offset, values);
            const uint32_t odd = te_odd_bytes_on(offset, values);
            const uint32_t even_codes = te_even_bytes(codes), odd_codes = te_odd_bytes(codes);
            a = te_low_mul_add(a, even, (int32_t)even_codes);
            b = te_low_mul_add(b, odd, (int32_t)odd_codes);
            c = te_highs_mul_add(c, even, even_codes);
            d = te_highs_mul_add(d, odd, odd_codes);
            if (code == last) {
                break;
            }
            cell += right;
            code += GROUP;
        }
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

/* The block of `rows` and `columns` of a window. */
static te_block block_of(const te_depthwise_cells *layer, te_span rows, te_span columns)
{
    const te_window *window = &layer->window;
    const int32_t channels = layer->input.channels;
    te_block block;
    block.rows = rows.last - rows.first;
    block.columns = columns.last - columns.first;
    block.right = window->dilation_width * channels;
    block.down = window->dilation_height * layer->input.width * channels;
    block.pitch = GROUP * window->width;
    block.offset = ((uint32_t)layer->activation.input_offset & 0xffffu) * 0x10001u;
    return block;
}

/* The sums of a window whose first cell is at (top, left) and that reaches beyond the input. */
static TE_NOINLINE void sum_border(const te_depthwise_cells *layer, const int8_t *input,
                                   int32_t top, int32_t left, const int8_t *weights, int32_t *sums)
{
    const te_window *window = &layer->window;
    const te_span rows =
        te_inside(top, window->dilation_height, window->height, layer->input.height);
    const te_span columns =
        te_inside(left, window->dilation_width, window->width, layer->input.width);
    const int32_t y = top + rows.first * window->dilation_height;
    const int32_t x = left + columns.first * window->dilation_width;
    const te_block block = block_of(layer, rows, columns);
    if (block.rows <= 0 || block.columns <= 0) {
        memset(sums, 0, GROUP * sizeof *sums);
        return;
    }
    sum_block(&block, input + (y * layer->input.width + x) * layer->input.channels,
              weights + GROUP * (rows.first * window->width + columns.first), sums);
}

TE_INLINE void scale_four(const te_scale *scale, const te_activation *activation,
                          te_scale_kind kind, const int32_t *sums, int8_t *output)
{
    for (int32_t i = 0; i < GROUP; i++) {
        output[i] = te_scaled_sum(&scale[i], activation, kind, sums[i]);
    }
}

static TE_NOINLINE void finish(const te_scale *scale, const te_activation *activation,
                               const int32_t *sums, int8_t *output)
{
    const te_scale_kind kind = te_scale_kind_of(activation);
    if (kind == TE_SCALE_RELU) {
        scale_four(scale, activation, TE_SCALE_RELU, sums, output);
    } else if (kind == TE_SCALE_PLAIN) {
        scale_four(scale, activation, TE_SCALE_PLAIN, sums, output);
    } else {
        scale_four(scale, activation, TE_SCALE_CLAMP, sums, output);
    }
}

static TE_NOINLINE void make_group(const te_depthwise_cells *layer, const int8_t *input,
                                   const int8_t *weights, int32_t channel, int8_t *output)
{
    const te_window *window = &layer->window;
    const int32_t channels = layer->input.channels, width = layer->input.width;
    const te_span rows = {0, window->height}, columns = {0, window->width};
    const te_block whole = block_of(layer, rows, columns);
    /* Where windows lie inside the input. */
    const int32_t lowest =
        layer->input.height - 1 - (window->height - 1) * window->dilation_height;
    const int32_t rightmost = width - 1 - (window->width - 1) * window->dilation_width;
    te_scale scales[GROUP];
    for (int32_t i = 0; i < GROUP; i++) {
        scales[i] = te_scale_of(&layer->scale, layer->activation.output_offset, channel + i);
    }
    for (int32_t y = 0; y < layer->output.height; y++) {
        const int32_t top = y * window->stride_height - window->padding_top;
        int32_t left = -window->padding_left;
        for (int32_t x = 0; x < layer->output.width; x++) {
            int32_t sums[GROUP];
            if (top >= 0 && top <= lowest && left >= 0 && left <= rightmost) {
                sum_block(&whole, input + (top * width + left) * channels, weights, sums);
            } else {
                sum_border(layer, input, top, left, weights, sums);
            }
            finish(scales, &layer->activation, sums, output);
            output += layer->output.channels;
            left += window->stride_width;
        }
    }
}

void te_depthwise_conv2d_cells_s8(const te_depthwise_cells *layer, const int8_t *input,
                                  int8_t *output, int8_t *scratch)
{
    const int32_t channels = layer->output.channels;
    const uint32_t count = (uint32_t)(layer->window.height * layer->window.width * GROUP);
    te_stream stream = {layer->packed, 0, 0};
    for (int32_t first = 0; first < channels; first += GROUP) {
        const int32_t channel = first > channels - GROUP ? channels - GROUP : first;
        const int8_t *weights = layer->unpack(&stream, count, scratch);
        make_group(layer, input + channel, weights, channel, output + channel);
    }
}
