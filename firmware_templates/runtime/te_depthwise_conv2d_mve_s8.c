/* SPDX-License-Identifier: Apache-2.0 */
/* A depthwise convolution with Helium. */
#include "te_depthwise_conv2d_mve_s8.h"

/* Output columns that share the loading of a weight, at most. */
#define ABREAST 6

/* Four channels of the windows of some output columns, in the order that assembly loads them. */
typedef struct {
    const int8_t *cell; /* the first window's first one in the ring's first row */
    int32_t place;      /* bytes from there to the windows' first row */
    int32_t pitch;      /* from row to row */
    int32_t size;       /* of all rows */
    const int8_t *weights;
    int32_t width;
    int32_t height;
    const int32_t *start;
} te_windows;

/* The sums of some output columns, four channels of each after the other. */
typedef void (*te_sum_windows)(const te_windows *windows, int32_t *sums);

/* Row `row` of the input, or padding, to a place in the ring. */
static TE_NOINLINE void load(const te_depthwise_mve *layer, const int8_t *input, int32_t row,
                             int8_t *to)
{
    const int32_t channels = layer->input.channels;
    const int32_t padding = -layer->activation.input_offset;
    const int32_t columns = layer->columns;
    int32_t inside = 0;
    int32_t before = columns;
    if (row >= 0 && row < layer->input.height) {
        before = te_mve_clip(-layer->window.padding_left, columns, layer->input.width, &inside);
        const int32_t column = before - layer->window.padding_left;
        input += (row * layer->input.width + column) * channels;
    }
    for (int32_t left = channels; left > 0; left -= TE_MVE_BYTES) {
        te_mve_fill(to, padding, before * TE_MVE_BYTES);
        to += before * TE_MVE_BYTES;
        const int8_t *from = input;
        for (int32_t i = inside; i > 0; i--) {
            te_mve_move_some(to, from, left);
            from += channels;
            to += TE_MVE_BYTES;
        }
        const int32_t after = columns - before - inside;
        te_mve_fill(to, padding, after * TE_MVE_BYTES);
        to += after * TE_MVE_BYTES;
        input += TE_MVE_BYTES;
    }
}

#if defined(TE_MVE)

#define TE_TEXT(text) #text
#define TE_CELL(at, sum)                                                                           \
    "vldrb.s32 q7, [r0, #" TE_TEXT(at) "]\n"                                                       \
    "vmul.i32 q7, q7, q6\n"                                                                        \
    "vadd.i32 " sum ", " sum ", q7\n"
/* A compiler would not keep the sums in registers. `others` are the cells beside the first one. */
#define TE_WINDOWS(name, starts, others, ends)                                                     \
    __attribute__((naked, noinline)) static void name(                                             \
        const te_windows *windows __attribute__((unused)), int32_t *sums __attribute__((unused)))  \
    {                                                                                              \
        __asm__("push {r4-r9, lr}\n"                                                               \
                "vpush {d8-d15}\n"                                                                 \
                "mov r9, r1\n"                                                                     \
                "ldm r0, {r1-r8}\n"                                                                \
                "vldrw.32 q0, [r8]\n" starts "1:\n"                                               \
                "add r0, r1, r2\n"                                                                 \
                "dls lr, r6\n"                                                                     \
                "2:\n"                                                                             \
                "vldrb.s32 q6, [r5], #16\n" others "vldrb.s32 q7, [r0], #16\n"                    \
                "vmul.i32 q7, q7, q6\n"                                                            \
                "vadd.i32 q0, q0, q7\n"                                                            \
                "le lr, 2b\n"                                                                      \
                "add r2, r2, r3\n"                                                                 \
                "cmp r2, r4\n"                                                                     \
                "it eq\n"                                                                          \
                "moveq r2, #0\n"                                                                   \
                "subs r7, r7, #1\n"                                                                \
                "bne 1b\n"                                                                         \
                "vstrw.32 q0, [r9]\n" ends "vpop {d8-d15}\n"                                      \
                "pop {r4-r9, pc}\n");                                                              \
    }
#define TE_START3                                                                                  \
    "vmov q1, q0\n"                                                                                \
    "vmov q2, q0\n"
#define TE_START4 TE_START3 "vmov q3, q0\n"
#define TE_START5 TE_START4 "vmov q4, q0\n"
#define TE_START6 TE_START5 "vmov q5, q0\n"
#define TE_CELLS3(apart) TE_CELL(apart, "q1") TE_CELL(2 * apart, "q2")
#define TE_CELLS4(apart) TE_CELLS3(apart) TE_CELL(3 * apart, "q3")
#define TE_CELLS5(apart) TE_CELLS4(apart) TE_CELL(4 * apart, "q4")
#define TE_CELLS6(apart) TE_CELLS5(apart) TE_CELL(5 * apart, "q5")
#define TE_END3                                                                                    \
    "vstrw.32 q1, [r9, #16]\n"                                                                     \
    "vstrw.32 q2, [r9, #32]\n"
#define TE_END4 TE_END3 "vstrw.32 q3, [r9, #48]\n"
#define TE_END5 TE_END4 "vstrw.32 q4, [r9, #64]\n"
#define TE_END6 TE_END5 "vstrw.32 q5, [r9, #80]\n"

TE_WINDOWS(sum_one, "", "", "")
TE_WINDOWS(sum_three, TE_START3, TE_CELLS3(16), TE_END3)
TE_WINDOWS(sum_four, TE_START4, TE_CELLS4(16), TE_END4)
TE_WINDOWS(sum_five, TE_START5, TE_CELLS5(16), TE_END5)
TE_WINDOWS(sum_six, TE_START6, TE_CELLS6(16), TE_END6)
/* Of every other column. */
TE_WINDOWS(sum_three_apart, TE_START3, TE_CELLS3(32), TE_END3)
TE_WINDOWS(sum_four_apart, TE_START4, TE_CELLS4(32), TE_END4)

#else

static inline void sum(const te_windows *windows, int32_t count, int32_t apart, int32_t *sums)
{
    for (int32_t i = 0; i < count * TE_MVE_LANES; i++) {
        const int8_t *weights = windows->weights + i % TE_MVE_LANES;
        const int8_t *cells =
            windows->cell + i / TE_MVE_LANES * apart * TE_MVE_BYTES + i % TE_MVE_LANES;
        uint32_t total = (uint32_t)windows->start[i % TE_MVE_LANES];
        int32_t place = windows->place;
        for (int32_t row = 0; row < windows->height; row++) {
            for (int32_t column = 0; column < windows->width; column++) {
                total += (uint32_t)(cells[place + column * TE_MVE_BYTES] * *weights);
                weights += TE_MVE_BYTES;
            }
            place += windows->pitch;
            if (place == windows->size) {
                place = 0;
            }
        }
        sums[i] = (int32_t)total;
    }
}

#define TE_WINDOWS(name, count, apart)                                                             \
    static void name(const te_windows *windows, int32_t *sums)                                     \
    {                                                                                              \
        sum(windows, count, apart, sums);                                                          \
    }

TE_WINDOWS(sum_one, 1, 1)
TE_WINDOWS(sum_three, 3, 1)
TE_WINDOWS(sum_four, 4, 1)
TE_WINDOWS(sum_five, 5, 1)
TE_WINDOWS(sum_six, 6, 1)
TE_WINDOWS(sum_three_apart, 3, 2)
TE_WINDOWS(sum_four_apart, 4, 2)

#endif

/* How the columns of an output row are computed: `times` so many of them together, then the
 * others. */
typedef struct {
    te_sum_windows sum;
    int32_t sums;    /* that these are */
    int32_t advance; /* bytes in a row of the ring */
    int32_t times;
} te_part;

#define PARTS 2

static void plan(te_part *parts, int32_t columns, int32_t stride)
{
    static const te_sum_windows neighbours[ABREAST + 1] = {0,        sum_one,  0,      sum_three,
                                                           sum_four, sum_five, sum_six};
    static const te_sum_windows apart[ABREAST + 1] = {0, sum_one, 0, sum_three_apart,
                                                      sum_four_apart, 0, 0};
    const te_sum_windows *sums = stride == 2 ? apart : neighbours;
    int32_t most = stride == 1 ? 6 : stride == 2 ? 4 : 1;
    if (most == 6 && (columns < 6 || columns == 7 || columns == 8)) {
        most = columns == 5 ? 5 : 4;
    }
    if (most == 4 && (columns == 3 || columns == 6)) {
        most = 3;
    }
    int32_t rest = columns % most;
    int32_t other = rest;
    if (other > 0 && !sums[other]) {
        other = 1;
    }
    parts[0].sum = sums[most];
    parts[0].sums = most * TE_MVE_LANES;
    parts[0].advance = most * stride * TE_MVE_BYTES;
    parts[0].times = columns / most;
    parts[1].sum = sums[other];
    parts[1].sums = other * TE_MVE_LANES;
    parts[1].advance = other * stride * TE_MVE_BYTES;
    parts[1].times = other > 0 ? rest / other : 0;
}

/* `here` channels of an output row, at most four. */
TE_INLINE void convolve(const te_depthwise_mve *layer, te_windows *windows, const te_part *part,
                        int8_t *output, int32_t here, int32_t stepped, int32_t away)
{
    const te_mve_numbers numbers =
        te_mve_numbers_of(windows->start, &layer->activation, stepped);
    const int32_t channels = layer->input.channels;
    int32_t sums[ABREAST * TE_MVE_LANES];
    int32_t times = part->times;
    for (;;) {
        if (times == 0) {
            times = (++part)->times;
            if (times == 0) {
                return;
            }
        }
        times--;
        part->sum(windows, sums);
        windows->cell += part->advance;
        const int32_t *behind = sums + part->sums;
        if (here >= TE_MVE_LANES) {
            for (const int32_t *own = sums; own != behind; own += TE_MVE_LANES) {
                const te_mve_words found = te_mve_load_words(own);
                te_mve_store_four(output, te_mve_finished(&numbers, found, stepped, away));
                output += channels;
            }
        } else {
            for (const int32_t *own = sums; own != behind; own += TE_MVE_LANES) {
                const te_mve_words found = te_mve_load_words(own);
                te_mve_store_some(output, te_mve_finished(&numbers, found, stepped, away), here);
                output += channels;
            }
        }
    }
}

static TE_NOINLINE void convolve_relu(const te_depthwise_mve *layer, te_windows *windows,
                                      const te_part *parts, int8_t *output, int32_t here)
{
    convolve(layer, windows, parts, output, here, 0, 0);
}

static TE_NOINLINE void convolve_any(const te_depthwise_mve *layer, te_windows *windows,
                                     const te_part *parts, int8_t *output, int32_t here)
{
    convolve(layer, windows, parts, output, here, layer->stepped, 1);
}

void te_depthwise_conv2d_mve_s8(const te_depthwise_mve *layer, const int8_t *input, int8_t *output,
                                int8_t *scratch)
{
    const te_window *window = &layer->window;
    const int32_t channels = layer->input.channels;
    const int32_t block = layer->columns * TE_MVE_BYTES;
    const int32_t taps = window->height * window->width * TE_MVE_BYTES;
    const int32_t blocks = (channels + TE_MVE_BYTES - 1) / TE_MVE_BYTES;
    const te_activation *activation = &layer->activation;
    const int relu = !layer->stepped && !te_mve_away(activation);
    const int8_t *weights = (const int8_t *)layer->packed;
    te_windows windows;
    te_part parts[PARTS + 1]; /* the last one ends them */
    plan(parts, layer->output.width, window->stride_width);
    parts[PARTS].times = 0;
    windows.width = window->width;
    windows.height = window->height;
    windows.pitch = blocks * block;
    windows.size = window->height * windows.pitch;
    if (layer->unpack) {
        te_stream stream = te_stream_of(layer->packed);
        const uint32_t count = (uint32_t)(blocks * taps + 63) & ~63u;
        weights = layer->unpack(&stream, count, scratch + windows.size);
    }
    int32_t loaded = 0; /* rows, counted from the padding's first */
    for (int32_t y = 0; y < layer->output.height; y++) {
        const int32_t first = y * window->stride_height;
        if (loaded < first) {
            loaded = first;
        }
        for (; loaded < first + window->height; loaded++) {
            load(layer, input, loaded - window->padding_top,
                 scratch + loaded % window->height * windows.pitch);
        }
        windows.place = first % window->height * windows.pitch;
        windows.start = layer->scale;
        for (int32_t channel = 0; channel < channels; channel += TE_MVE_LANES) {
            const int32_t within = channel % TE_MVE_BYTES;
            const int32_t at = channel / TE_MVE_BYTES;
            windows.cell = scratch + at * block + within;
            windows.weights = weights + at * taps + within;
            if (relu) {
                convolve_relu(layer, &windows, parts, output + channel, channels - channel);
            } else {
                convolve_any(layer, &windows, parts, output + channel, channels - channel);
            }
            windows.start += layer->stepped ? TE_MVE_STEPPED_SCALE : TE_MVE_SCALE;
        }
        output += layer->output.width * channels;
    }
}
