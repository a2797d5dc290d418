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
    uint32_t offset;  /* minus the zero point in both lanes */
    int32_t live_rows;
    int32_t row_words;   /* of sums, in a live row */
    int32_t table_words; /* in a table */
    int32_t zero_words;  /* from its start to the sum of no addend */
    int32_t on_words;    /* whether a group's channels are the bytes of a word */
    int32_t groups;
    te_stream stream;
} te_state;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Pointers to the cells of an input row for the eight lanes; outside the input, to the border. */
static void find_cells(const te_state *state, const int8_t *input, int32_t row, int32_t offset,
                       const int8_t **cells)
{
    const te_conv2d_lut *layer = state->layer;
    const int32_t step = layer->blocks * layer->window.stride_width;
    const int32_t width =
        row == layer->input.height - 1 ? layer->input_last_width : layer->input.width;
    int32_t column = offset - layer->window.padding_left;
    for (int32_t lane = 0; lane < TE_LUT_LANES; lane++) {
        cells[lane] = column >= 0 && column < width
                          ? input + (row * layer->input.width + column) * layer->input.channels
                          : state->border;
        column += step;
    }
}

/* Channels of two cells as words of two lanes, one word of each addend. */
static inline void pair_cells(const int8_t *low, const int8_t *high, int32_t digits,
                              uint32_t offset, uint32_t *addend)
{
    for (; digits > 0; digits--) {
        *addend = te_lut_word(*low++, *high++) + offset;
        addend += TE_LUT_WORDS;
    }
}

/* The same for four channels that lie on a word. */
static inline void pair_words(const int8_t *low, const int8_t *high, uint32_t offset,
                              uint32_t *addend)
{
#if defined(TE_THUMB1)
    addend[0 * TE_LUT_WORDS] = te_lut_word(low[0], high[0]) + offset;
    addend[1 * TE_LUT_WORDS] = te_lut_word(low[1], high[1]) + offset;
    addend[2 * TE_LUT_WORDS] = te_lut_word(low[2], high[2]) + offset;
    addend[3 * TE_LUT_WORDS] = te_lut_word(low[3], high[3]) + offset;
#else
    const uint32_t a = te_load_aligned(low), b = te_load_aligned(high);
    addend[0 * TE_LUT_WORDS] = te_lut_word((int8_t)a, (int8_t)b) + offset;
    addend[1 * TE_LUT_WORDS] = te_lut_word((int8_t)(a >> 8), (int8_t)(b >> 8)) + offset;
    addend[2 * TE_LUT_WORDS] = te_lut_word((int8_t)(a >> 16), (int8_t)(b >> 16)) + offset;
    addend[3 * TE_LUT_WORDS] = te_lut_word((int8_t)(a >> 24), (int8_t)(b >> 24)) + offset;
#endif
}

/* The table of the input channels [first, first + digits) at eight cells. */
static void build_table(const te_state *state, const int8_t *const *cells, int32_t first,
                        uint32_t *table)
{
    const te_conv2d_lut *layer = state->layer;
    uint32_t addends[MAXIMUM_DIGITS * TE_LUT_WORDS];
    if (state->on_words) {
        pair_words(cells[0] + first, cells[1] + first, state->offset, addends);
        pair_words(cells[2] + first, cells[3] + first, state->offset, addends + 1);
        pair_words(cells[4] + first, cells[5] + first, state->offset, addends + 2);
        pair_words(cells[6] + first, cells[7] + first, state->offset, addends + 3);
    } else {
        const int32_t digits = smaller(layer->digits, layer->input.channels - first);
        for (int32_t word = 0; word < TE_LUT_WORDS; word++) {
            pair_cells(cells[2 * word] + first, cells[2 * word + 1] + first, digits,
                       state->offset, addends + word);
        }
        for (int32_t i = digits * TE_LUT_WORDS; i < layer->digits * TE_LUT_WORDS; i++) {
            addends[i] = 0;
        }
    }
    te_lut_build(table + state->zero_words, layer->base, layer->digits, addends);
}

/* Moves what a live row's lanes hold into its 32 bits. */
static void drain(const te_state *state, int32_t live_row)
{
    uint32_t *sum = state->sums + live_row * state->row_words;
    int32_t *total = state->totals + live_row * state->row_words * 2;
    for (int32_t i = 0; i < state->row_words; i++) {
        const uint32_t word = *sum;
        *sum++ = 0;
        *total++ += te_lut_low(word);
        *total++ += te_lut_high(word);
    }
}

static void clear(const te_state *state, int32_t live_row)
{
    memset(state->sums + live_row * state->row_words, 0,
           (size_t)state->row_words * sizeof(uint32_t));
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
    (void)layer->unpack(&state->stream, (uint32_t)digits, codes);
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
    /* The output rows that this one contributes to, and with which row of the window. */
    const int32_t newest = origin / window->stride_height;
    const int32_t line = origin - newest * window->stride_height;
    const int32_t line_weights = window->width * channels * groups;
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
            uint32_t *sums = state->sums + block * channels * TE_LUT_WORDS;
            const uint8_t *index = weights + column * channels * groups + line * line_weights;
            int32_t live_row = newest % state->live_rows;
            int32_t y = newest;
            for (int32_t i = line; i < window->height && y >= 0; i += window->stride_height) {
                if (y < layer->output.height) {
                    te_lut_accumulate(sums + live_row * state->row_words, state->tables,
                                      state->table_words, groups, index, channels);
                }
                index += window->stride_height * line_weights;
                live_row = live_row == 0 ? state->live_rows - 1 : live_row - 1;
                y--;
            }
        }
    }
}

/* One block of an output row. */
typedef struct {
    const te_activation *activation;
    const te_scale *scale;
    const uint32_t *sums;
    const int32_t *totals;
    int32_t lanes;
    int32_t channels;
    int32_t step; /* bytes from one lane's output to the next */
    int8_t *out;
} te_block;

/* Bias, scaling and activation of the sums of a block. */
TE_INLINE void finish_lanes(const te_block *block, te_scale_kind kind)
{
    const te_activation *activation = block->activation;
    const te_scale *scale = block->scale;
    const uint32_t *sums = block->sums;
    const int32_t step = block->step;
    const int32_t pairs = block->lanes / 2;
    for (int32_t channel = 0; channel < block->channels; channel++) {
        const te_scale own = *scale++;
        const uint32_t *sum = sums + channel * TE_LUT_WORDS;
        const uint32_t *end = sum + pairs;
        int8_t *out = block->out + channel;
        while (sum < end) {
            const uint32_t word = *sum++;
            const int32_t low = te_low_mul_add(own.bias, word, own.step);
            const int32_t high = te_high_mul_add(own.bias, word + TE_LUT_CARRY, own.step);
            *out = te_scaled(&own, activation, kind, low);
            out += step;
            *out = te_scaled(&own, activation, kind, high);
            out += step;
        }
        if (block->lanes & 1) {
            const int32_t low = te_low_mul_add(own.bias, *sum, own.step);
            *out = te_scaled(&own, activation, kind, low);
        }
    }
}

static TE_NOINLINE void finish_relu(const te_block *block)
{
    finish_lanes(block, TE_SCALE_RELU);
}

static TE_NOINLINE void finish_plain(const te_block *block)
{
    finish_lanes(block, TE_SCALE_PLAIN);
}

static TE_NOINLINE void finish_clamped(const te_block *block)
{
    finish_lanes(block, TE_SCALE_CLAMP);
}

/* The same for sums of 32 bits. */
static TE_NOINLINE void finish_totals(const te_block *block, te_scale_kind kind)
{
    for (int32_t channel = 0; channel < block->channels; channel++) {
        const int32_t *total = block->totals + channel * TE_LUT_LANES;
        int8_t *out = block->out + channel;
        for (int32_t lane = 0; lane < block->lanes; lane++) {
            *out = te_scaled_sum(&block->scale[channel], block->activation, kind, *total++);
            out += block->step;
        }
    }
}

static void finish_row(const te_state *state, int32_t y, int8_t *output)
{
    const te_conv2d_lut *layer = state->layer;
    const te_scale_kind kind = te_scale_kind_of(&layer->activation);
    const int32_t channels = layer->output.channels;
    const int32_t width =
        y == layer->output.height - 1 ? layer->output_last_width : layer->output.width;
    const int32_t row = y % state->live_rows * state->row_words;
    te_block block = {
        &layer->activation, layer->scale, state->sums + row, 0, 0, channels,
        layer->blocks * channels, output + y * layer->output.width * channels,
    };
    for (int32_t first = 0; first < layer->blocks && first < width; first++) {
        block.lanes = (width - first + layer->blocks - 1) / layer->blocks;
        if (state->totals) {
            block.totals = state->totals + (row + first * channels * TE_LUT_WORDS) * 2;
            finish_totals(&block, kind);
        } else if (kind == TE_SCALE_RELU) {
            finish_relu(&block);
        } else if (kind == TE_SCALE_PLAIN) {
            finish_plain(&block);
        } else {
            finish_clamped(&block);
        }
        block.sums += channels * TE_LUT_WORDS;
        block.out += channels;
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
    state->zero_words = layer->base == 3 ? entries / 2 * TE_LUT_WORDS : 0;
    state->on_words = layer->digits == 4 && layer->input.channels % 4 == 0;
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
    state->offset = te_lut_word(layer->activation.input_offset, layer->activation.input_offset);
    memset(state->border, -layer->activation.input_offset, (size_t)layer->input.channels);
}

void te_conv2d_lut_s8(const te_conv2d_lut *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    const te_window *window = &layer->window;
    te_state state;
    lay_out(&state, layer, scratch);
    const int packed = layer->unpack != 0;
    state.stream = te_stream_of(layer->packed);
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
        const int32_t row = origin - window->padding_top;
        const int inside = row >= 0 && row < layer->input.height;
        const uint8_t *weights = packed ? state.indices : layer->packed;
        state.stream = te_stream_of(layer->packed);
        int32_t passes = 0;
        for (int32_t first = 0; inside && first < state.groups; first += layer->chunk) {
            const int32_t groups = smaller(layer->chunk, state.groups - first);
            if (packed && !layer->resident) {
                (void)make_indices(&state, first, groups, state.indices);
            }
            add_chunk(&state, input, row, first, groups, weights);
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
