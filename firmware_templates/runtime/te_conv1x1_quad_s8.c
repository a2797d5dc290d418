/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution of one cell with ternary weights, four products a multiplication. */
#include "te_conv1x1_quad_s8.h"

#include "te_memory.h"
#include "te_quad.h"

#define ONES 0x00010001u
#define PAIRS 2 /* of one te_quad_dot */
#define FIVE 5 /* cells: a block is a multiple of so many */

/* Four channels of a cell as two words of two lanes, (0, 2) and (1, 3); takes them off `total`. */
static inline int32_t widen_word(uint32_t word, uint32_t *to, int32_t total)
{
    const uint32_t even = te_even_bytes(word);
    const uint32_t odd = te_odd_bytes(word);
    to[0] = even;
    to[TE_QUAD_CELLS] = odd;
    return te_smlad(odd, ONES, te_smlad(even, ONES, total));
}

/* Fewer than four channels as the bytes of a word, filled up with zeros. */
static uint32_t load_some(const int8_t *from, int32_t count)
{
    uint32_t word = 0;
    for (int32_t i = 0; i < count; i++) {
        word |= (uint32_t)(uint8_t)from[i] << (8 * i);
    }
    return word;
}

/* Widens a cell of one segment and whole words, and gives what its sums start from. */
static inline int32_t widen_whole(const int8_t *cell, int32_t channels, uint32_t *columns)
{
    const int8_t *end = cell + channels;
    int32_t total = -TE_QUAD_START;
    while (cell < end) {
        const uint32_t first = te_load_word(cell), second = te_load_word(cell + 4);
        total = widen_word(first, columns, total);
        total = widen_word(second, columns + 2 * TE_QUAD_CELLS, total);
        columns += 4 * TE_QUAD_CELLS;
        cell += 8;
    }
    return -total;
}

/* Widens any cell, and gives what the sums of each segment start from. */
static TE_NOINLINE void widen(const te_conv1x1_quad *layer, const int8_t *cell, uint32_t *columns,
                              int32_t *starts)
{
    const int8_t *end = cell + layer->input.channels;
    for (int32_t rest = layer->columns; rest > 0; rest -= layer->segment) {
        const int32_t count = rest < layer->segment ? rest : layer->segment;
        const int8_t *whole = end - cell >= count ? cell + count : end - (end - cell) % 4;
        uint32_t *last = columns + count / 2 * TE_QUAD_CELLS;
        int32_t total = 0;
        for (; cell < whole; cell += 4) {
            total = widen_word(te_load_word(cell), columns, total);
            columns += 2 * TE_QUAD_CELLS;
        }
        while (columns < last) {
            total = widen_word(load_some(cell, (int32_t)(end - cell)), columns, total);
            columns += 2 * TE_QUAD_CELLS;
            cell = end;
        }
        *starts = TE_QUAD_START - total;
        starts += layer->block;
    }
}

TE_INLINE int8_t *finish_cell(const te_scale *scale, int high, int32_t sum, int8_t *out,
                              int32_t step)
{
    const int32_t field = high ? te_quad_high(sum) : te_quad_low(sum);
    *out = te_scaled(scale, 0, TE_SCALE_RELU, te_mul_add(scale->bias, field, TE_SCALE_STEP));
    return out + step;
}

TE_INLINE int8_t *finish_five(const te_scale *scale, int high, const int32_t *sums, int8_t *out,
                              int32_t step)
{
    out = finish_cell(scale, high, sums[0], out, step);
    out = finish_cell(scale, high, sums[1], out, step);
    out = finish_cell(scale, high, sums[2], out, step);
    out = finish_cell(scale, high, sums[3], out, step);
    return finish_cell(scale, high, sums[4], out, step);
}

/* The outputs of one channel at some cells, one every `step` bytes. */
TE_INLINE void finish(const te_scales *scales, int32_t at, int high, const int32_t *sums,
                      int32_t cells, int8_t *out, int32_t step)
{
    const te_scale scale = te_scale_unstepped(scales, TE_SCALE_RELU_ZERO, at);
    for (; cells >= 2 * FIVE; cells -= 2 * FIVE) {
        out = finish_five(&scale, high, sums, out, step);
        out = finish_five(&scale, high, sums + FIVE, out, step);
        sums += 2 * FIVE;
    }
    if (cells >= FIVE) {
        out = finish_five(&scale, high, sums, out, step);
        sums += FIVE;
        cells -= FIVE;
    }
    for (; cells > 0; cells--) {
        out = finish_cell(&scale, high, *sums++, out, step);
    }
}

/* Any activation, any number of cells; sums of 32 bits. */
static void finish_any(const te_conv1x1_quad *layer, int32_t at, const int32_t *sums,
                       int32_t count, int8_t *out)
{
    const te_scale scale = te_scale_of(&layer->scale, layer->activation.output_offset, at);
    for (int32_t cell = 0; cell < count; cell++) {
        *out = te_scaled_sum(&scale, &layer->activation, TE_SCALE_CLAMP, sums[cell]);
        out += layer->output.channels;
    }
}

/* Any activation: one channel's fields of the sums of a pair. */
static TE_NOINLINE void finish_field(const te_conv1x1_quad *layer, int32_t at, const int32_t *sums,
                                     int32_t cells, int8_t *out)
{
    const te_activation activation = layer->activation; /* which no output can change */
    const te_scale scale = te_scale_of(&layer->scale, activation.output_offset, at);
    const int32_t step = layer->output.channels;
    const int high = at & 1;
    out += layer->order[at];
    for (const int32_t *end = sums + cells; sums != end; sums++) {
        const int32_t field = high ? te_quad_high(*sums) : te_quad_low(*sums);
        *out = te_scaled_sum(&scale, &activation, TE_SCALE_CLAMP, field);
        out += step;
    }
}

/* The outputs of some cells whose sums fit in their fields. */
static TE_NOINLINE void compute_whole(const te_conv1x1_quad *layer, int relu,
                                      const uint32_t *columns, const int32_t *starts, int8_t *out,
                                      int32_t cells)
{
    const int32_t words = layer->columns / 4;
    const uint32_t *packed = layer->packed;
    const int32_t groups = (cells + TE_QUAD_CELLS - 1) / TE_QUAD_CELLS;
    const int32_t step = layer->output.channels;
    const uint16_t *order = layer->order;
    int32_t sums[PAIRS * TE_QUAD_BLOCK];
    for (int32_t at = 0; at < layer->ordered;) {
        te_quad_dot(packed, columns, words, starts, sums, groups);
        packed += words;
        for (const int32_t *pair = sums; pair != sums + PAIRS * TE_QUAD_BLOCK;
             pair += TE_QUAD_BLOCK) {
            if (relu) {
                finish(&layer->scale, at, 0, pair, cells, out + order[at], step);
                finish(&layer->scale, at + 1, 1, pair, cells, out + order[at + 1], step);
            } else {
                finish_field(layer, at, pair, cells, out);
                finish_field(layer, at + 1, pair, cells, out);
            }
            at += 2;
        }
    }
}

/* The outputs of three cells, of which `count` exist, summed up segment by segment. */
static void compute(const te_conv1x1_quad *layer, const uint32_t *columns, const int32_t *starts,
                    int8_t *out, int32_t count)
{
    const uint32_t *packed = layer->packed;
    for (int32_t first = 0; first < layer->ordered; first += 2 * PAIRS) {
        int32_t totals[2 * PAIRS][TE_QUAD_CELLS] = {{0}};
        const uint32_t *at = columns;
        const int32_t *start = starts;
        for (int32_t rest = layer->columns; rest > 0; rest -= layer->segment) {
            const int32_t some = rest < layer->segment ? rest : layer->segment;
            int32_t sums[PAIRS * TE_QUAD_BLOCK];
            te_quad_dot(packed, at, some / 4, start, sums, 1);
            for (int32_t pair = 0; pair < PAIRS; pair++) {
                for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
                    const int32_t sum = sums[pair * TE_QUAD_BLOCK + cell];
                    totals[2 * pair][cell] += te_quad_low(sum) - TE_QUAD_START;
                    totals[2 * pair + 1][cell] += te_quad_high(sum);
                }
            }
            packed += some / 4;
            at += some / 2 * TE_QUAD_CELLS;
            start += layer->block;
        }
        for (int32_t i = 0; i < 2 * PAIRS; i++) {
            for (int32_t cell = 0; i % 2 == 0 && cell < TE_QUAD_CELLS; cell++) {
                totals[i][cell] += TE_QUAD_START;
            }
            finish_any(layer, first + i, totals[i], count, out + layer->order[first + i]);
        }
    }
}

void te_conv1x1_quad_s8(const te_conv1x1_quad *layer, const int8_t *input, int8_t *output,
                        int8_t *scratch)
{
    const int relu =
        te_scale_kind_of(&layer->activation) == TE_SCALE_RELU && !layer->scale.step;
    const int one = layer->segment >= layer->columns;
    const int whole = one && layer->input.channels == layer->columns;
    const int32_t next_row =
        (layer->stride_height * layer->input.width - layer->output.width * layer->stride_width) *
        layer->input.channels;
    const int32_t channels = layer->output.channels, block = layer->block;
    const int32_t group_words = layer->columns / 2 * TE_QUAD_CELLS;
    const int32_t segments = (layer->columns + layer->segment - 1) / layer->segment;
    /* The exporter aligns scratch to words. */
    uint32_t *columns = (uint32_t *)(void *)scratch;
    int32_t *starts = (int32_t *)(void *)(columns + block / TE_QUAD_CELLS * group_words);
    /* Of a group of three cells that are not all there, what is in the others counts for nothing. */
    memset(scratch, 0, (size_t)((layer->columns + 2 * segments) * block * 2));
    int32_t x = 0;
    int32_t rest = layer->output.height * layer->output.width;
    while (rest > 0) {
        const int32_t cells = rest < block ? rest : block;
        uint32_t *to = columns;
        for (int32_t cell = 0; cell < cells; cell++) {
            if (whole) {
                starts[cell] = widen_whole(input, layer->columns, to);
            } else {
                widen(layer, input, to, starts + cell);
            }
            to += (cell + 1) % TE_QUAD_CELLS == 0 ? group_words - TE_QUAD_CELLS + 1 : 1;
            input += layer->stride_width * layer->input.channels;
            if (++x == layer->output.width) {
                x = 0;
                input += next_row;
            }
        }
        if (one) {
            compute_whole(layer, relu, columns, starts, output, cells);
        } else {
            for (int32_t cell = 0; cell < cells; cell += TE_QUAD_CELLS) {
                const int32_t left = cells - cell;
                compute(layer, columns + cell / TE_QUAD_CELLS * group_words, starts + cell,
                        output + cell * channels, left < TE_QUAD_CELLS ? left : TE_QUAD_CELLS);
            }
        }
        output += cells * channels;
        rest -= cells;
    }
}
