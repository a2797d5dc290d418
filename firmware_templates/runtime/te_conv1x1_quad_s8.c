/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution of one cell with ternary weights, four products a multiplication. */
#include "te_conv1x1_quad_s8.h"

#include "te_memory.h"
#include "te_quad.h"

#define ONES 0x00010001u
#define BLOCK (4 * TE_QUAD_CELLS)

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
        total = widen_word(te_load_word(cell), columns, total);
        total = widen_word(te_load_word(cell + 4), columns + 2 * TE_QUAD_CELLS, total);
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
        starts += BLOCK;
    }
}

TE_INLINE int8_t *finish_cell(const te_scale *scale, const te_activation *activation, int high,
                              int32_t sum, int8_t *out, int32_t step)
{
    const int32_t field = high ? te_quad_high(sum) : te_quad_low(sum);
    *out = te_scaled(scale, activation, TE_SCALE_RELU, te_mul_add(scale->bias, field, scale->step));
    return out + step;
}

/* The outputs of one channel at some cells, one every `step` bytes. */
TE_INLINE void finish(const te_scale *scale, const te_activation *activation, int high,
                      const int32_t *sums, int32_t cells, int8_t *out, int32_t step)
{
    const te_scale own = *scale;
    for (; cells >= 4; cells -= 4) {
        out = finish_cell(&own, activation, high, sums[0], out, step);
        out = finish_cell(&own, activation, high, sums[1], out, step);
        out = finish_cell(&own, activation, high, sums[2], out, step);
        out = finish_cell(&own, activation, high, sums[3], out, step);
        sums += 4;
    }
    for (; cells > 0; cells--) {
        out = finish_cell(&own, activation, high, *sums++, out, step);
    }
}

/* Any activation, any number of cells; sums of 32 bits. */
static void finish_any(const te_conv1x1_quad *layer, const te_scale *scale, const int32_t *sums,
                       int32_t count, int8_t *out)
{
    for (int32_t cell = 0; cell < count; cell++) {
        *out = te_scaled_sum(scale, &layer->activation, TE_SCALE_CLAMP, sums[cell]);
        out += layer->output.channels;
    }
}

/* The outputs of some cells whose sums fit in their fields. */
static TE_NOINLINE void compute_quick(const te_conv1x1_quad *layer, const uint32_t *columns,
                                      const int32_t *starts, int8_t *out, int32_t cells)
{
    const int32_t words = layer->columns / 8;
    const int32_t channels = layer->output.channels;
    const te_activation *activation = &layer->activation;
    const uint32_t *packed = layer->packed;
    const te_scale *scale = layer->scale;
    const uint16_t *order = layer->order;
    const int32_t groups = (cells + TE_QUAD_CELLS - 1) / TE_QUAD_CELLS;
    for (int32_t pair = 0; pair < channels; pair += 2) {
        int32_t sums[BLOCK];
        te_quad_cells group = {starts, sums, groups};
        te_quad_dot(packed, columns, words, &group);
        finish(scale, activation, 0, sums, cells, out + order[0], channels);
        finish(scale + 1, activation, 1, sums, cells, out + order[1], channels);
        packed += words;
        scale += 2;
        order += 2;
    }
}

/* The outputs of four cells, of which `count` exist, summed up segment by segment. */
static void compute(const te_conv1x1_quad *layer, const uint32_t *columns, const int32_t *starts,
                    int8_t *out, int32_t count)
{
    const uint32_t *packed = layer->packed;
    const te_scale *scale = layer->scale;
    const uint16_t *order = layer->order;
    for (int32_t pair = 0; pair < layer->output.channels; pair += 2) {
        int32_t lows[TE_QUAD_CELLS] = {0, 0, 0, 0};
        int32_t highs[TE_QUAD_CELLS] = {0, 0, 0, 0};
        const uint32_t *at = columns;
        const int32_t *start = starts;
        for (int32_t rest = layer->columns; rest > 0; rest -= layer->segment) {
            const int32_t some = rest < layer->segment ? rest : layer->segment;
            int32_t sums[TE_QUAD_CELLS];
            te_quad_cells group = {start, sums, 1};
            te_quad_dot(packed, at, some / 8, &group);
            for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
                lows[cell] += te_quad_low(sums[cell]) - TE_QUAD_START;
                highs[cell] += te_quad_high(sums[cell]);
            }
            packed += some / 8;
            at += some / 2 * TE_QUAD_CELLS;
            start += BLOCK;
        }
        for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
            lows[cell] += TE_QUAD_START;
        }
        finish_any(layer, scale, lows, count, out + order[0]);
        finish_any(layer, scale + 1, highs, count, out + order[1]);
        scale += 2;
        order += 2;
    }
}

void te_conv1x1_quad_s8(const te_conv1x1_quad *layer, const int8_t *input, int8_t *output,
                        int8_t *scratch)
{
    const int quick = te_scale_kind_of(&layer->activation) == TE_SCALE_RELU &&
                      layer->segment >= layer->columns;
    const int whole =
        layer->segment >= layer->columns && layer->input.channels == layer->columns;
    const int32_t next_row =
        (layer->stride_height * layer->input.width - layer->output.width * layer->stride_width) *
        layer->input.channels;
    const int32_t channels = layer->output.channels;
    const int32_t group_words = layer->columns / 2 * TE_QUAD_CELLS;
    const int32_t segments = (layer->columns + layer->segment - 1) / layer->segment;
    /* The exporter aligns scratch to words. */
    uint32_t *columns = (uint32_t *)(void *)scratch;
    int32_t *starts = (int32_t *)(void *)(columns + BLOCK / TE_QUAD_CELLS * group_words);
    /* Of a group of four cells that are not all there, what is in the others counts for nothing. */
    memset(scratch, 0, (size_t)(layer->columns + 2 * segments) * BLOCK * 2);
    int32_t x = 0;
    int32_t rest = layer->output.height * layer->output.width;
    while (rest > 0) {
        const int32_t cells = rest < BLOCK ? rest : BLOCK;
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
        if (quick) {
            compute_quick(layer, columns, starts, output, cells);
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
