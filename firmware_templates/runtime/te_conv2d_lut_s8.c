/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution with ternary or binary weights by tables of sums. */
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
    int32_t on_words;    /* whether a group's channels are the bytes of a word */
    int32_t groups;
    te_stream stream;
} te_state;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Strides are mostly 1, and some cores divide slowly. */
static int32_t divided(int32_t a, int32_t stride)
{
    return stride == 1 ? a : a / stride;
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

#if defined(TE_THUMB1)

/* The same for four channels that lie on a word. */
static inline void pair_words(const int8_t *low, const int8_t *high, uint32_t offset,
                              uint32_t *addend)
{
#define TE_PAIR(channel, place)                                                                    \
    "movs r3, #" channel "\n"                                                                      \
    "ldrsb r4, [%[low], r3]\n"                                                                     \
    "ldrsb r3, [%[high], r3]\n"                                                                    \
    "lsls r3, r3, #16\n"                                                                           \
    "adds r4, r4, r3\n"                                                                            \
    "adds r4, r4, %[offset]\n"                                                                     \
    "str r4, [%[addend], #" place "]\n"
    __asm__ volatile(".syntax unified\n" TE_PAIR("0", "0") TE_PAIR("1", "16") TE_PAIR("2", "32")
                         TE_PAIR("3", "48")
                     :
                     : [low] "l"(low), [high] "l"(high), [offset] "l"(offset),
                       [addend] "l"(addend)
                     : "r3", "r4", "cc", "memory");
#undef TE_PAIR
}

/* The table of four channels that lie on a word, at eight cells. */
static void build_from_words(const te_state *state, const int8_t *const *cells, int32_t first,
                             uint32_t *table)
{
    uint32_t addends[4 * TE_LUT_WORDS];
    for (int32_t word = 0; word < TE_LUT_WORDS; word++) {
        pair_words(cells[2 * word] + first, cells[2 * word + 1] + first, state->offset,
                   addends + word);
    }
    te_lut_build(table, 3, 4, addends);
}

#else

/* The table of four channels that lie on a word, at eight cells. */
static inline void build_from_words(const te_state *state, const int8_t *const *cells,
                                    int32_t first, uint32_t *table)
{
    const uint32_t offset = state->offset;
    te_lut_steps steps;
    for (int32_t word = 0; word < TE_LUT_WORDS; word++) {
        const uint32_t low = te_load_aligned(*cells++ + first);
        const uint32_t high = te_load_aligned(*cells++ + first);
        te_lut_step(&steps, word, te_lut_word((int8_t)low, (int8_t)high) + offset,
                    te_lut_word((int8_t)(low >> 8), (int8_t)(high >> 8)) + offset,
                    te_lut_word((int8_t)(low >> 16), (int8_t)(high >> 16)) + offset,
                    te_lut_word((int8_t)(low >> 24), (int8_t)(high >> 24)) + offset);
    }
    te_lut_fill(table, &steps);
}

#endif

/* The table of the input channels [first, first + digits) at eight cells. */
static void build_table(const te_state *state, const int8_t *const *cells, int32_t first,
                        uint32_t *table)
{
    const te_conv2d_lut *layer = state->layer;
    uint32_t addends[MAXIMUM_DIGITS * TE_LUT_WORDS];
    if (state->on_words) {
        build_from_words(state, cells, first, table);
        return;
    }
    const int32_t digits = smaller(layer->digits, layer->input.channels - first);
    for (int32_t word = 0; word < TE_LUT_WORDS; word++) {
        pair_cells(cells[2 * word] + first, cells[2 * word + 1] + first, digits, state->offset,
                   addends + word);
    }
    for (int32_t i = digits * TE_LUT_WORDS; i < layer->digits * TE_LUT_WORDS; i++) {
        addends[i] = 0;
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
    const int32_t newest = divided(origin, window->stride_height);
    const int32_t line = origin - newest * window->stride_height;
    const int32_t newest_row = newest % state->live_rows;
    if (line >= window->height) {
        return; /* between two windows */
    }
    const int32_t line_weights = window->width * channels * groups;
    for (int32_t offset = 0; offset <= last_offset; offset++) {
        if (offset - divided(offset, window->stride_width) * window->stride_width >=
            window->width) {
            continue;
        }
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
            int32_t live_row = newest_row;
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
    const te_scales *scale;
    const uint32_t *sums;
    const int32_t *totals;
    int32_t lanes;
    int32_t channels;
    int32_t step; /* bytes from one lane's output to the next */
    int8_t *out;
} te_block;

/* Bias, scaling and activation of one channel's sums of 32 bits. */
static TE_NOINLINE void finish_channel(const te_block *block, const te_scale *scale,
                                       const int32_t *sums, int8_t *out)
{
    const int32_t *end = sums + block->lanes;
    const int32_t step = block->step;
    while (sums < end) {
        *out = te_scaled_sum(scale, block->activation, TE_SCALE_CLAMP, *sums++);
        out += step;
    }
}

static TE_NOINLINE void finish_totals(const te_block *block)
{
    for (int32_t channel = 0; channel < block->channels; channel++) {
        const te_scale own = te_scale_of(block->scale, block->activation->output_offset, channel);
        finish_channel(block, &own, block->totals + channel * TE_LUT_LANES,
                       block->out + channel);
    }
}

#if defined(TE_THUMB1)

/* Where the words of a channel end that have a low lane, and a high one, and how far the outputs of
 * lanes lie apart: of both in a word, and of the same in the next. */
typedef struct {
    const uint32_t *low_end;
    const uint32_t *high_end;
    int32_t next_lane;
    int32_t next_word;
} te_lanes;

/* Where finish_saturated reads, beside a te_scale; with another layout this does not compile. */
enum {
    TE_AT(lanes, low_end, 0),
    TE_AT(lanes, high_end, 4),
    TE_AT(lanes, next_lane, 8),
    TE_AT(lanes, next_word, 12)
};

/* What te_scaled_sum does, for the whole int8 range and a shift to the right. Here r6 and r7 hold the
 * halves of the mantissa, and r3 becomes the high product as in te_rounding_high_mul. More registers
 * are in use than a compiler gives to inline assembly. */
#define TE_FINISH(label, saturated, lane)                                                          \
    label ": ldmia r0!, {r2}\n" lane "mov r3, r9\n"                                                \
          "muls r2, r3, r2\n"                                                                      \
          "add r2, r8\n"                                                                           \
          "asrs r3, r2, #16\n"                                                                     \
          "uxth r2, r2\n"                                                                          \
          "movs r4, r6\n"                                                                          \
          "muls r4, r2, r4\n"                                                                      \
          "lsrs r4, r4, #16\n"                                                                     \
          "movs r5, r6\n"                                                                          \
          "muls r5, r3, r5\n"                                                                      \
          "adds r4, r4, r5\n"                                                                      \
          "muls r3, r7, r3\n"                                                                      \
          "muls r2, r7, r2\n"                                                                      \
          "asrs r5, r4, #16\n"                                                                     \
          "adds r3, r3, r5\n"                                                                      \
          "uxth r4, r4\n"                                                                          \
          "adds r2, r2, r4\n"                                                                      \
          "lsrs r2, r2, #16\n"                                                                     \
          "adcs r3, r2\n"                                                                          \
          "asrs r2, r3, #31\n"                                                                     \
          "adds r3, r3, r2\n"                                                                      \
          "add r3, r10\n"                                                                          \
          "mov r2, r11\n"                                                                          \
          "asrs r3, r2\n"                                                                          \
          "sxtb r2, r3\n"                                                                          \
          "cmp r2, r3\n"                                                                           \
          "beq " saturated "f\n"                                                                   \
          "asrs r2, r3, #31\n"                                                                     \
          "movs r3, #127\n"                                                                        \
          "eors r2, r3\n" saturated ": strb r2, [r1]\n"                                           \
          "add r1, r12\n"                                                                          \
          "cmp r0, lr\n"                                                                           \
          "bcc " label "b\n"

__attribute__((naked, noinline)) static void
finish_saturated(const te_scale *scale __attribute__((unused)),
                 const uint32_t *sums __attribute__((unused)), int8_t *out __attribute__((unused)),
                 const te_lanes *lanes __attribute__((unused)))
{
    __asm__(".syntax unified\n"
            "push {r4-r7, lr}\n"
            "mov r4, r8\n"
            "mov r5, r9\n"
            "mov r6, r10\n"
            "mov r7, r11\n"
            "push {r1-r7}\n"
            "ldr r4, [r0]\n"
            "mov r8, r4\n"
            "movs r4, #12\n"
            "ldrsh r4, [r0, r4]\n"
            "mov r9, r4\n"
            "ldr r4, [r0, #8]\n"
            "mov r10, r4\n"
            "ldrb r4, [r0, #14]\n"
            "mov r11, r4\n"
            "ldr r7, [r0, #4]\n"
            "uxth r6, r7\n"
            "asrs r7, r7, #16\n"
            "movs r0, r1\n"
            "movs r1, r2\n"
            "ldr r4, [r3]\n"
            "mov lr, r4\n"
            "ldr r4, [r3, #12]\n"
            "mov r12, r4\n" TE_FINISH("1", "2", "sxth r2, r2\n") "pop {r0, r1, r2}\n"
                                                                 "ldr r4, [r2, #4]\n"
                                                                 "mov lr, r4\n"
                                                                 "ldr r4, [r2, #8]\n"
                                                                 "adds r1, r1, r4\n"
                                                                 "cmp r0, lr\n"
                                                                 "bcs 5f\n" TE_FINISH(
                                                                     "3", "4",
                                                                     "movs r3, #128\n"
                                                                     "lsls r3, r3, #8\n"
                                                                     "adds r2, r2, r3\n"
                                                                     "asrs r2, r2, #16\n")
            "5: pop {r4-r7}\n"
            "mov r8, r4\n"
            "mov r9, r5\n"
            "mov r10, r6\n"
            "mov r11, r7\n"
            "pop {r4-r7, pc}\n");
}

static TE_NOINLINE void finish_sums(const te_block *block)
{
    const te_scale_kind kind = te_scale_kind_of(block->activation);
    const uint32_t *sum = block->sums;
    te_lanes lanes = {sum + (block->lanes + 1) / 2, sum + block->lanes / 2, block->step,
                      2 * block->step};
    for (int32_t channel = 0; channel < block->channels; channel++) {
        const te_scale own = te_scale_of(block->scale, block->activation->output_offset, channel);
        int8_t *out = block->out + channel;
        if (kind == TE_SCALE_CLAMP || own.right == 0) {
            int32_t sums[TE_LUT_LANES];
            for (int32_t word = 0; word < TE_LUT_WORDS; word++) {
                sums[2 * word] = te_lut_low(sum[word]);
                sums[2 * word + 1] = te_lut_high(sum[word]);
            }
            finish_channel(block, &own, sums, out);
        } else {
            finish_saturated(&own, sum, out, &lanes);
        }
        sum += TE_LUT_WORDS;
        lanes.low_end += TE_LUT_WORDS;
        lanes.high_end += TE_LUT_WORDS;
    }
}

#else

/* Bias, scaling and activation of the sums of a block. */
TE_INLINE void finish_lanes(const te_block *block, te_scale_kind kind)
{
    const te_activation *activation = block->activation;
    const uint32_t *sums = block->sums;
    const int32_t step = block->step;
    const int32_t zero_point =
        kind == TE_SCALE_RELU ? TE_SCALE_RELU_ZERO : activation->output_offset;
    const int32_t pairs = block->lanes / 2;
    for (int32_t channel = 0; channel < block->channels; channel++) {
        const te_scale own = te_scale_of(block->scale, zero_point, channel);
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

static void finish_sums(const te_block *block)
{
    switch (te_scale_kind_of(block->activation)) {
    case TE_SCALE_RELU:
        finish_relu(block);
        break;
    case TE_SCALE_PLAIN:
        finish_plain(block);
        break;
    case TE_SCALE_CLAMP:
        finish_clamped(block);
        break;
    }
}

#endif

static void finish_row(const te_state *state, int32_t y, int8_t *output)
{
    const te_conv2d_lut *layer = state->layer;
    const int32_t channels = layer->output.channels;
    const int32_t width =
        y == layer->output.height - 1 ? layer->output_last_width : layer->output.width;
    const int32_t row = y % state->live_rows * state->row_words;
    te_block block = {
        &layer->activation, &layer->scale, state->sums + row, 0, 0, channels,
        layer->blocks * channels, output + y * layer->output.width * channels,
    };
    const int32_t whole = divided(width, layer->blocks);
    const int32_t rest = width - whole * layer->blocks;
    for (int32_t first = 0; first < layer->blocks && first < width; first++) {
        block.lanes = whole + (first < rest ? 1 : 0);
        if (state->totals) {
            block.totals = state->totals + (row + first * channels * TE_LUT_WORDS) * 2;
            finish_totals(&block);
        } else {
            finish_sums(&block);
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
    state->on_words = layer->base == 3 && layer->input.channels % 4 == 0;
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
    for (int32_t live = 0; live < state.live_rows; live++) {
        clear(&state, live); /* also those that are drained before they are first used */
    }
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
        const int32_t newest = divided(origin, window->stride_height);
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
        const int32_t y = divided(line, window->stride_height);
        if (line >= 0 && y * window->stride_height == line) {
            finish_row(&state, y, output);
        }
    }
}
