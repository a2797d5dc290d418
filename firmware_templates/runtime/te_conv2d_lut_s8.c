#include "te_conv2d_lut_s8.h"

#include "te_lut.h"
#include "te_memory.h"
#include "te_scale.h"

#define MAXIMUM_DIGITS 8

/* Scratch, and what follows from the layer's shape. */
typedef struct {
    const te_conv2d_lut *layer;
    uint32_t *sums;   /* 16-bit lanes: [live row][block][out][word] */
    int32_t *totals;  /* 32 bits: [live row][block][out][lane], or NULL */
    uint32_t *tables; /* [group of the chunk][entry][word] */
    uint8_t *indices; /* of the chunk, where they have to be made */
    int8_t *border;   /* a cell of zero points */
    int32_t live_rows;
    int32_t row_words;   /* of sums, in a live row */
    int32_t table_words; /* in a table */
    int32_t groups;
    te_stream stream;
} te_state;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Pointers to the input cells of the eight lanes; outside the input, to the border. */
static void find_cells(const te_state *state, const int8_t *input, int32_t row, int32_t offset,
                       const int8_t **cells)
{
    const te_conv2d_lut *layer = state->layer;
    const int32_t step = layer->blocks * layer->window.stride_width;
    const int32_t width = row < 0 || row >= layer->input.height ? 0
                          : row == layer->input.height - 1      ? layer->input_last_width
                                                                : layer->input.width;
    int32_t column = offset - layer->window.padding_left;
    for (int32_t lane = 0; lane < TE_LUT_LANES; lane++) {
        cells[lane] = column >= 0 && column < width
                          ? input + (row * layer->input.width + column) * layer->input.channels
                          : state->border;
        column += step;
    }
}

/* The table of the input channels [first, first + digits) at eight cells. */
static void build_table(const te_state *state, const int8_t *const *cells, int32_t first,
                        uint32_t *table)
{
    const te_conv2d_lut *layer = state->layer;
    uint32_t addends[MAXIMUM_DIGITS * TE_LUT_WORDS];
    const int32_t digits = smaller(layer->digits, layer->input.channels - first);
    for (int32_t word = 0; word < TE_LUT_WORDS; word++) {
        const int8_t *low = cells[2 * word] + first;
        const int8_t *high = cells[2 * word + 1] + first;
        uint32_t *addend = addends + word;
        for (int32_t i = 0; i < digits; i++) {
            *addend = te_lut_word(*low++, *high++);
            addend += TE_LUT_WORDS;
        }
        for (int32_t i = digits; i < layer->digits; i++) {
            *addend = 0;
            addend += TE_LUT_WORDS;
        }
    }
    te_lut_build(table, layer->base, layer->digits, addends);
}

/* Moves what a live row's lanes hold into its 32 bits. */
static void drain(const te_state *state, int32_t live_row)
{
    uint32_t *sum = state->sums + live_row * state->row_words;
    int32_t *total = state->totals + live_row * state->row_words * 2;
    for (int32_t i = 0; i < state->row_words; i++) {
        const uint32_t word = *sum;
        *sum++ = TE_LUT_ZERO;
        *total++ += te_lut_low(word);
        *total++ += te_lut_high(word);
    }
}

static void clear(const te_state *state, int32_t live_row)
{
    uint32_t *sum = state->sums + live_row * state->row_words;
    for (int32_t i = 0; i < state->row_words; i++) {
        sum[i] = TE_LUT_ZERO;
    }
    if (state->totals) {
        memset(state->totals + live_row * state->row_words * 2, 0,
               (size_t)state->row_words * 2 * sizeof(int32_t));
    }
}

/* The index of the next group of weights. */
static uint8_t next_index(te_state *state, int32_t digits)
{
    const te_conv2d_lut *layer = state->layer;
    int8_t codes[MAXIMUM_DIGITS];
    (void)layer->weights.unpack(&state->stream, (uint32_t)digits, codes);
    int32_t index = 0;
    for (int32_t i = digits - 1; i >= 0; i--) {
        index = index * layer->base + (layer->base == 2 ? codes[i] > 0 : codes[i] + 1);
    }
    return (uint8_t)index;
}

/* Makes the indices of `groups` groups. */
static uint8_t *make_indices(te_state *state, int32_t first, int32_t groups, uint8_t *index)
{
    const te_conv2d_lut *layer = state->layer;
    const int32_t rows = layer->window.height * layer->window.width * layer->output.channels;
    const int32_t last = layer->input.channels - (state->groups - 1) * layer->digits;
    for (int32_t row = 0; row < rows; row++) {
        for (int32_t group = first; group < first + groups; group++) {
            *index++ = next_index(state, group == state->groups - 1 ? last : layer->digits);
        }
    }
    return index;
}

/* Adds what an input row contributes through one chunk of its channels. */
static void add_chunk(te_state *state, const int8_t *input, int32_t row, int32_t first,
                      int32_t groups, const uint8_t *weights)
{
    const te_conv2d_lut *layer = state->layer;
    const te_window *window = &layer->window;
    const int32_t channels = layer->output.channels;
    const int32_t last_offset = (layer->blocks - 1) * window->stride_width + window->width - 1;
    const int32_t origin = row + window->padding_top;
    const int8_t *cells[TE_LUT_LANES];
    for (int32_t offset = 0; offset <= last_offset; offset++) {
        find_cells(state, input, row, offset, cells);
        for (int32_t i = 0; i < groups; i++) {
            build_table(state, cells, (first + i) * layer->digits,
                        state->tables + i * state->table_words);
        }
        for (int32_t block = 0; block < layer->blocks; block++) {
            const int32_t column = offset - block * window->stride_width;
            if (column < 0 || column >= window->width) {
                continue;
            }
            for (int32_t line = 0; line < window->height; line++) {
                const int32_t y = (origin - line) / window->stride_height;
                if (origin < line || y * window->stride_height != origin - line ||
                    y >= layer->output.height) {
                    continue;
                }
                te_lut_accumulate(state->sums + y % state->live_rows * state->row_words +
                                      block * channels * TE_LUT_WORDS,
                                  state->tables, state->table_words, groups,
                                  weights + (line * window->width + column) * channels * groups,
                                  channels);
            }
        }
    }
}

/* Bias, scaling and activation of an output row. */
static inline void finish(const te_state *state, int32_t y, int8_t *output, int plain)
{
    const te_conv2d_lut *layer = state->layer;
    const int32_t channels = layer->output.channels;
    const int32_t width =
        y == layer->output.height - 1 ? layer->output_last_width : layer->output.width;
    const int32_t step = layer->blocks * channels;
    const int32_t live_row = y % state->live_rows;
    int8_t *line = output + y * layer->output.width * channels;
    for (int32_t channel = 0; channel < channels; channel++) {
        const te_scale scale = te_scale_of(&layer->weights, &layer->activation, channel);
        for (int32_t block = 0; block < layer->blocks; block++) {
            const int32_t at =
                live_row * state->row_words + (block * channels + channel) * TE_LUT_WORDS;
            const uint32_t *sum = state->sums + at;
            const int32_t *total = state->totals ? state->totals + at * 2 : 0;
            int8_t *out = line + block * channels + channel;
            for (int32_t x = block; x < width; x += 2 * layer->blocks) {
                const uint32_t word = *sum++;
                int32_t low = te_lut_low(word);
                int32_t high = te_lut_high(word);
                if (total) {
                    low += *total++;
                    high += *total++;
                }
                *out = te_activated(&layer->activation, plain,
                                    te_scaled(&scale, low * scale.step + scale.bias));
                out += step;
                if (x + layer->blocks < width) {
                    *out = te_activated(&layer->activation, plain,
                                        te_scaled(&scale, high * scale.step + scale.bias));
                    out += step;
                }
            }
        }
    }
}

static void finish_row(const te_state *state, int32_t y, int8_t *output)
{
    if (te_is_plain(&state->layer->activation)) {
        finish(state, y, output, 1);
    } else {
        finish(state, y, output, 0);
    }
}

static void lay_out(te_state *state, const te_conv2d_lut *layer, int8_t *scratch)
{
    const te_window *window = &layer->window;
    int32_t entries = 1;
    for (int32_t i = 0; i < layer->digits; i++) {
        entries *= layer->base;
    }
    state->layer = layer;
    state->live_rows = (window->height - 1) / window->stride_height + 1;
    state->row_words = layer->blocks * layer->output.channels * TE_LUT_WORDS;
    state->table_words = entries * TE_LUT_WORDS;
    state->groups = (layer->input.channels + layer->digits - 1) / layer->digits;
    /* The exporter aligns scratch to words. */
    uint32_t *at = (uint32_t *)(void *)scratch;
    state->sums = at;
    at += state->live_rows * state->row_words;
    state->totals = 0;
    if (layer->passes > 0) {
        state->totals = (int32_t *)(void *)at;
        at += state->live_rows * state->row_words * 2;
    }
    state->tables = at;
    at += layer->chunk * state->table_words;
    state->border = (int8_t *)at;
    state->indices = (uint8_t *)at + layer->input.channels;
    memset(state->border, -layer->activation.input_offset, (size_t)layer->input.channels);
}

void te_conv2d_lut_s8(const te_conv2d_lut *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    const te_window *window = &layer->window;
    te_state state;
    lay_out(&state, layer, scratch);
    const int packed = layer->weights.unpack != 0;
    state.stream = te_stream_of(&layer->weights);
    if (packed && layer->resident) {
        uint8_t *index = state.indices;
        for (int32_t first = 0; first < state.groups; first += layer->chunk) {
            const int32_t groups = smaller(layer->chunk, state.groups - first);
            index = make_indices(&state, first, groups, index);
        }
    }
    const int32_t rows = (layer->output.height - 1) * window->stride_height + window->height;
    for (int32_t origin = 0; origin < rows; origin++) {
        const int32_t newest = origin / window->stride_height;
        if (newest * window->stride_height == origin && newest < layer->output.height) {
            clear(&state, newest % state.live_rows);
        }
        const uint8_t *weights = packed ? state.indices : layer->weights.packed;
        state.stream = te_stream_of(&layer->weights);
        int32_t passes = 0;
        for (int32_t first = 0; first < state.groups; first += layer->chunk) {
            const int32_t groups = smaller(layer->chunk, state.groups - first);
            if (packed && !layer->resident) {
                (void)make_indices(&state, first, groups, state.indices);
            }
            add_chunk(&state, input, origin - window->padding_top, first, groups, weights);
            if (!packed || layer->resident) {
                weights += window->height * window->width * layer->output.channels * groups;
            }
            passes++;
            if (state.totals && (passes == layer->passes || first + groups == state.groups)) {
                passes = 0;
                for (int32_t live = 0; live < state.live_rows; live++) {
                    drain(&state, live);
                }
            }
        }
        const int32_t line = origin - (window->height - 1);
        if (line >= 0 && line % window->stride_height == 0) {
            finish_row(&state, line / window->stride_height, output);
        }
    }
}
