#include "te_conv1x1_quad_s8.h"

#include "te_quad.h"

/* Widens four cells: for every four channels c, lanes (c, c + 2) of each cell, then lanes
 * (c + 1, c + 3). The sum of each cell's channels goes to `totals`. */
static void widen(const te_conv1x1_quad *layer, const int8_t *const *cells, uint32_t *columns,
                  int32_t *totals)
{
    const int32_t channels = layer->input.channels;
    for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
        const int8_t *from = cells[cell];
        uint32_t *to = columns + cell;
        int32_t total = 0;
        int32_t channel = 0;
        for (; channel + 4 <= channels; channel += 4) {
            const uint32_t word = te_load_word(from);
            const uint32_t even = te_even_bytes(word);
            const uint32_t odd = te_odd_bytes(word);
            total = te_smlad(even, 0x00010001u, total);
            total = te_smlad(odd, 0x00010001u, total);
            to[0] = even;
            to[TE_QUAD_CELLS] = odd;
            to += 2 * TE_QUAD_CELLS;
            from += 4;
        }
        for (; channel < layer->columns; channel += 4) {
            uint32_t word = 0;
            for (int32_t i = 0; i < 4 && channel + i < channels; i++) {
                word |= (uint32_t)(uint8_t)*from++ << (8 * i);
            }
            const uint32_t even = te_even_bytes(word);
            const uint32_t odd = te_odd_bytes(word);
            total = te_smlad(even, 0x00010001u, total);
            total = te_smlad(odd, 0x00010001u, total);
            to[0] = even;
            to[TE_QUAD_CELLS] = odd;
            to += 2 * TE_QUAD_CELLS;
        }
        totals[cell] = total;
    }
}

/* The outputs of four cells, of which `count` exist. */
TE_INLINE void compute(const te_conv1x1_quad *layer, te_scale_kind kind, const uint32_t *columns,
                       const int32_t *totals, int8_t *out, int32_t count)
{
    const int32_t channels = layer->output.channels;
    const uint32_t *packed = layer->packed;
    const te_scale *scale = layer->scale;
    const uint16_t *order = layer->order;
    const uint8_t *negated = layer->negated;
    for (int32_t pair = 0; pair < channels; pair += 2) {
        int32_t sums[TE_QUAD_CELLS] = {0, 0, 0, 0};
        int32_t lows[TE_QUAD_CELLS] = {0, 0, 0, 0};
        const uint32_t *at = columns;
        int32_t rest = layer->columns;
        for (; rest > layer->segment; rest -= layer->segment) {
            te_quad_dot4(packed, at, layer->segment / 8, sums);
            packed += layer->segment / 8;
            at += layer->segment / 2 * TE_QUAD_CELLS;
            for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
                const int32_t low = te_quad_low(sums[cell]);
                lows[cell] += low;
                sums[cell] -= low;
            }
        }
        te_quad_dot4(packed, at, rest / 8, sums);
        packed += rest / 8;
        const te_scale a = scale[0];
        const te_scale b = scale[1];
        const int32_t step = *negated++ ? -a.step : a.step;
        int8_t *out_a = out + order[0];
        int8_t *out_b = out + order[1];
        for (int32_t cell = 0; cell < count; cell++) {
            const int32_t low = te_quad_low(sums[cell]);
            const int32_t sum_a = lows[cell] + low - totals[cell];
            const int32_t sum_b = (sums[cell] - low) >> 14;
            *out_a = te_scaled(&a, &layer->activation, kind, te_mul_add(a.bias, sum_a, step));
            *out_b = te_scaled(&b, &layer->activation, kind, te_mul_add(b.bias, sum_b, b.step));
            out_a += channels;
            out_b += channels;
        }
        scale += 2;
        order += 2;
    }
}

static void compute_relu(const te_conv1x1_quad *layer, const uint32_t *columns,
                         const int32_t *totals, int8_t *out, int32_t count)
{
    compute(layer, TE_SCALE_RELU, columns, totals, out, count);
}

static void compute_any(const te_conv1x1_quad *layer, const uint32_t *columns,
                        const int32_t *totals, int8_t *out, int32_t count)
{
    compute(layer, TE_SCALE_CLAMP, columns, totals, out, count);
}

void te_conv1x1_quad_s8(const te_conv1x1_quad *layer, const int8_t *input, int8_t *output,
                        int8_t *scratch)
{
    const int relu = te_scale_kind_of(&layer->activation) == TE_SCALE_RELU;
    const int32_t next_row =
        (layer->stride_height * layer->input.width - layer->output.width * layer->stride_width) *
        layer->input.channels;
    /* The exporter aligns scratch to words. */
    uint32_t *columns = (uint32_t *)(void *)scratch;
    int32_t rest = layer->output.height * layer->output.width;
    int32_t x = 0;
    while (rest > 0) {
        const int32_t count = rest < TE_QUAD_CELLS ? rest : TE_QUAD_CELLS;
        const int8_t *cells[TE_QUAD_CELLS];
        int32_t totals[TE_QUAD_CELLS];
        for (int32_t cell = 0; cell < TE_QUAD_CELLS; cell++) {
            cells[cell] = cell < count ? input : cells[0];
            if (cell < count) {
                input += layer->stride_width * layer->input.channels;
                x++;
                if (x == layer->output.width) {
                    x = 0;
                    input += next_row;
                }
            }
        }
        widen(layer, cells, columns, totals);
        if (relu) {
            compute_relu(layer, columns, totals, output, count);
        } else {
            compute_any(layer, columns, totals, output, count);
        }
        output += count * layer->output.channels;
        rest -= count;
    }
}
