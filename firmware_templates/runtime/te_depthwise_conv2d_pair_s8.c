/* SPDX-License-Identifier: Apache-2.0 */
/* A depthwise convolution of three by three cells, two sums a word, for cores without the DSP extension. */
#include "te_depthwise.h"
#include "te_pair.h"

/* Channels, and windows of each, whose sums are found and then scaled. */
#define GROUP 32
#define BLOCK 4

typedef struct {
    te_ring ring;
    te_pair_shape shape;
    uint32_t *sums;  /* [channel of a group][window of a block] */
    int8_t *weights; /* [channel][2 * height - 1][width] */
} te_state;

/* Weights times what a sum counts them, with all rows but the last once more behind them. The codes are
 * unpacked so far behind that no weight is written over one that is still needed. */
static TE_NOINLINE void unpack(const te_state *state)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t channels = layer->output.channels;
    const int32_t count = layer->window.height * layer->window.width;
    const int32_t again = count - layer->window.width;
    te_stream stream = {layer->packed, 0, 0};
    int8_t *at = state->weights;
    const int8_t *code =
        layer->unpack(&stream, (uint32_t)(channels * count), at + channels * again + count);
    for (int32_t channel = 0; channel < channels; channel++) {
        const int32_t step = layer->stepped ? te_scale_step(&layer->scale, channel) : 1;
        const int8_t *end = code + again;
        while (code != end) {
            const int8_t weight = (int8_t)(*code++ * step);
            at[count] = weight;
            *at++ = weight;
        }
        for (end += layer->window.width; code != end;) {
            *at++ = (int8_t)(*code++ * step);
        }
        at += again;
    }
}

/* A block: some windows of some channels. */
typedef struct {
    const uint32_t *sums;
    int32_t channel;
    int32_t channels;
    int32_t windows;
    int32_t odd; /* whether the last window has no upper half */
} te_block;

TE_INLINE int8_t relu(const te_scale *scale, uint32_t sum)
{
    return te_scaled(scale, 0, TE_SCALE_RELU, scale->bias + (int32_t)sum);
}

TE_INLINE int8_t *relu_pair(const te_scale *scale, uint32_t sums, int8_t *output,
                            int32_t distance, int32_t next)
{
    output[0] = relu(scale, sums & 0xffffu);
    output[distance] = relu(scale, sums >> 16);
    return output + next;
}

/* Scales one to four windows where no output lies below the zero point. */
TE_INLINE void finish_relu(const te_depthwise_ring *layer, const te_block *block, int32_t windows,
                           int8_t *output)
{
    const int32_t next = layer->output.channels;
    const int32_t distance = layer->half * next;
    const int32_t odd = block->odd;
    const uint32_t *sums = block->sums;
    const int32_t end = block->channel + block->channels;
    for (int32_t channel = block->channel; channel < end; channel++) {
        const te_scale scale = te_scale_unstepped(&layer->scale, TE_SCALE_RELU_ZERO, channel);
        int8_t *out = output++;
        if (windows > 1) {
            out = relu_pair(&scale, *sums++, out, distance, next);
        }
        if (windows > 2) {
            out = relu_pair(&scale, *sums++, out, distance, next);
        }
        if (windows > 3) {
            out = relu_pair(&scale, *sums++, out, distance, next);
        }
        const uint32_t last = *sums++;
        *out = relu(&scale, last & 0xffffu);
        if (!odd) {
            out[distance] = relu(&scale, last >> 16);
        }
    }
}

static TE_NOINLINE void finish_few(const te_depthwise_ring *layer, const te_block *block, int8_t *output)
{
    finish_relu(layer, block, block->windows > 1 ? 2 : 1, output);
}

static TE_NOINLINE void finish_three(const te_depthwise_ring *layer, const te_block *block,
                              int8_t *output)
{
    finish_relu(layer, block, 3, output);
}

static TE_NOINLINE void finish_four(const te_depthwise_ring *layer, const te_block *block, int8_t *output)
{
    finish_relu(layer, block, 4, output);
}

/* Any number of windows, any activation. */
static TE_NOINLINE void finish_any(const te_depthwise_ring *layer, const te_block *block, int8_t *output)
{
    const te_activation range = layer->activation; /* which no output can change */
    const int32_t next = layer->output.channels;
    const int32_t distance = layer->half * next;
    const uint32_t *sums = block->sums;
    for (int32_t i = 0; i < block->channels; i++) {
        const te_scale scale = te_scale_of(&layer->scale, range.output_offset, block->channel + i);
        const int32_t step = layer->stepped ? 1 : scale.step;
        int8_t *out = output++;
        for (int32_t left = block->windows; left > 0; left--) {
            const int32_t low = (int32_t)(*sums & 0xffffu) * step;
            *out = te_scaled(&scale, &range, TE_SCALE_CLAMP, scale.bias + low);
            if (left > 1 || !block->odd) {
                const int32_t high = (int32_t)(*sums >> 16) * step;
                out[distance] =
                    te_scaled(&scale, &range, TE_SCALE_CLAMP, scale.bias + high);
            }
            sums++;
            out += next;
        }
    }
}

static void lay_out(te_state *state, const te_depthwise_ring *layer, int8_t *scratch)
{
    const int32_t channels = layer->output.channels;
    state->shape.row = layer->words;
    state->shape.stride = layer->window.stride_width;
    state->shape.height = layer->window.height;
    state->shape.width = layer->window.width;
    state->shape.weights = (2 * layer->window.height - 1) * layer->window.width;
    state->sums = te_ring_lay_out(&state->ring, layer, scratch);
    state->weights = (int8_t *)(state->sums + (channels < GROUP ? channels : GROUP) * BLOCK);
}

/* The windows from `first` on and those half a row behind them. */
static TE_NOINLINE void make_block(const te_state *state, int32_t first, int32_t windows,
                                   const int8_t *weights, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const te_pair_shape *shape = &state->shape;
    const int32_t many = windows >= 3;
    const int32_t three = many && shape->height == 3 && shape->width == 3 && shape->stride == 1;
    const int32_t relu =
        layer->stepped && te_scale_kind_of(&layer->activation) == TE_SCALE_RELU;
    const uint32_t *words = state->ring.words + first * shape->stride;
    te_block block = {state->sums, 0, GROUP, windows,
                      first + windows + layer->half > layer->output.width};
    for (; block.channel < layer->output.channels; block.channel += GROUP) {
        if (block.channels > layer->output.channels - block.channel) {
            block.channels = layer->output.channels - block.channel;
        }
        if (three) {
            te_pair_sum_three(state->sums, windows, words, weights, block.channels, shape);
        } else if (many) {
            te_pair_sum_many(state->sums, windows, words, weights, block.channels, shape);
        } else {
            te_pair_sum_few(state->sums, windows, words, weights, block.channels, shape);
        }
        if (!relu) {
            finish_any(layer, &block, output);
        } else if (windows == 4) {
            finish_four(layer, &block, output);
        } else if (windows == 3) {
            finish_three(layer, &block, output);
        } else {
            finish_few(layer, &block, output);
        }
        words += GROUP * shape->height * shape->row;
        weights += GROUP * shape->weights;
        output += GROUP;
    }
}

/* An output row, in blocks of four windows and three. Where these do not add up, two of them overlap;
 * a row of one or two windows is one block. */
static void make_row(const te_state *state, int32_t y, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int8_t *weights =
        state->weights + te_ring_rotation(&state->ring, y) * layer->window.width;
    for (int32_t first = 0; first < layer->half;) {
        int32_t windows = (layer->half - first) % BLOCK == 0 ? BLOCK : BLOCK - 1;
        if (windows > layer->half) {
            windows = layer->half;
        }
        if (first > layer->half - windows) {
            first = layer->half - windows;
        }
        make_block(state, first, windows, weights, output + first * layer->output.channels);
        first += windows;
    }
}

void te_depthwise_conv2d_pair_s8(const te_depthwise_ring *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch)
{
    te_state state;
    lay_out(&state, layer, scratch);
    unpack(&state);
    for (int32_t y = 0; y < layer->output.height; y++) {
        te_ring_load(&state.ring, input, y, 1, layer->half * layer->window.stride_width);
        make_row(&state, y, output);
        output += layer->output.width * layer->output.channels;
    }
}
