/* SPDX-License-Identifier: Apache-2.0 */
/* A step of an LSTM with an int8 state and a cell of 16 bits. */
#include "te_curves_16.h"
#include "te_memory.h"
#include "te_runtime.h"

enum { INPUT_GATE, FORGET_GATE, CELL_GATE, OUTPUT_GATE, GATES };

static int32_t product(const TE_FLASH int8_t *weights, const int8_t *values, int32_t count,
                       int32_t zero_point)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += weights[i] * (values[i] - zero_point);
    }
    return sum;
}

/* What goes into the curve of a gate. */
static int32_t gate(const TE_FLASH te_lstm *layer, int32_t which, int32_t unit, const int8_t *input,
                    const int8_t *last)
{
    const int32_t row = which * layer->units + unit;
    const int32_t old = product(layer->recurrent + row * layer->units, last, layer->units,
                                layer->output_zero_point);
    const int32_t new = product(layer->kernel + row * layer->inputs, input, layer->inputs,
                                layer->input_zero_point);
    const int32_t entering =
        te_multiply(new + layer->bias[row], layer->mantissa[which], layer->shift[which]);
    const int32_t kept =
        te_multiply(old, layer->mantissa[GATES + which], layer->shift[GATES + which]);
    return te_clamp_16(te_clamp_16(entering) + te_clamp_16(kept));
}

static int32_t scaled(const TE_FLASH te_lstm *layer, int32_t which, int32_t x)
{
    return te_multiply(x, layer->mantissa[2 * GATES + which], layer->shift[2 * GATES + which]);
}

void te_lstm_s8(const TE_FLASH te_lstm *layer, const int8_t *sequence, const int8_t *last,
                const int8_t *cells, int8_t *output)
{
    const TE_FLASH uint16_t *table = layer->table;
    const int32_t units = layer->units;
    int8_t *kept = output + layer->steps * units;
    memcpy(kept, cells, 2u * (uint32_t)units);
    for (int32_t step = 0; step < layer->steps; step++) {
        for (int32_t unit = 0; unit < units; unit++) {
            const int32_t enter = te_sigmoid_16(table, gate(layer, INPUT_GATE, unit, sequence, last));
            const int32_t stay = te_sigmoid_16(table, gate(layer, FORGET_GATE, unit, sequence, last));
            const int32_t new = te_tanh_16(table, gate(layer, CELL_GATE, unit, sequence, last), 3, 0);
            const int32_t leave = te_sigmoid_16(table, gate(layer, OUTPUT_GATE, unit, sequence, last));
            const int32_t old = te_clamp_16(scaled(layer, 0, stay * te_load_16(kept + 2 * unit)));
            int32_t cell = te_clamp_16(old + te_clamp_16(scaled(layer, 1, enter * new)));
            if (layer->cell_clip > 0) {
                cell = cell > layer->cell_clip    ? layer->cell_clip
                       : cell < -layer->cell_clip ? -layer->cell_clip
                                                  : cell;
            }
            te_store_16(kept + 2 * unit, cell);
            const int32_t tanh = te_tanh_16(table, cell, layer->tanh_multiplier, layer->tanh_shift);
            output[unit] = te_clamp(scaled(layer, 2, tanh * leave) + layer->output_zero_point,
                                    INT8_MIN, INT8_MAX);
        }
        last = output;
        output += units;
        sequence += layer->inputs;
    }
}
