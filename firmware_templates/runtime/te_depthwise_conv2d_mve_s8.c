#include "te_depthwise_conv2d_mve_s8.h"

/* Output columns that share the loading of a weight. */
#define ABREAST 4

/* Four channels of the windows of ABREAST output columns, in the order that assembly loads them. */
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
#define TE_CELL(apart, sum)                                                                        \
    "vldrb.s32 q5, [r0, #" TE_TEXT(apart) "]\n"                                                    \
    "vmul.i32 q5, q5, q4\n"                                                                        \
    "vadd.i32 " sum ", " sum ", q5\n"
/* A compiler would not keep the sums in registers. */
#define TE_WINDOWS(apart)                                                                          \
    "push {r4-r9, lr}\n"                                                                           \
    "vpush {d8-d11}\n"                                                                             \
    "mov r9, r1\n"                                                                                 \
    "ldm r0, {r1-r8}\n"                                                                            \
    "vldrw.32 q0, [r8]\n"                                                                          \
    "vmov q1, q0\n"                                                                                \
    "vmov q2, q0\n"                                                                                \
    "vmov q3, q0\n"                                                                                \
    "1:\n"                                                                                         \
    "add r0, r1, r2\n"                                                                             \
    "dls lr, r6\n"                                                                                 \
    "2:\n"                                                                                         \
    "vldrb.s32 q4, [r5], #16\n"                                                                    \
    TE_CELL(apart, "q1")                                                                           \
    TE_CELL(2 * apart, "q2")                                                                       \
    TE_CELL(3 * apart, "q3")                                                                       \
    "vldrb.s32 q5, [r0], #16\n"                                                                    \
    "vmul.i32 q5, q5, q4\n"                                                                        \
    "vadd.i32 q0, q0, q5\n"                                                                        \
    "le lr, 2b\n"                                                                                  \
    "add r2, r2, r3\n"                                                                             \
    "cmp r2, r4\n"                                                                                 \
    "it eq\n"                                                                                      \
    "moveq r2, #0\n"                                                                               \
    "subs r7, r7, #1\n"                                                                            \
    "bne 1b\n"                                                                                     \
    "vstrw.32 q0, [r9]\n"                                                                          \
    "vstrw.32 q1, [r9, #16]\n"                                                                     \
    "vstrw.32 q2, [r9, #32]\n"                                                                     \
    "vstrw.32 q3, [r9, #48]\n"                                                                     \
    "vpop {d8-d11}\n"                                                                              \
    "pop {r4-r9, pc}\n"

__attribute__((naked, noinline)) static void
sum_neighbours(const te_windows *windows __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__(TE_WINDOWS(16));
}

__attribute__((naked, noinline)) static void
sum_every_other(const te_windows *windows __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__(TE_WINDOWS(32));
}

#else

static void sum(const te_windows *windows, int32_t apart, int32_t *sums)
{
    for (int32_t i = 0; i < ABREAST * TE_MVE_LANES; i++) {
        const int8_t *weights = windows->weights + i % TE_MVE_LANES;
        const int8_t *cells = windows->cell + i / TE_MVE_LANES * apart + i % TE_MVE_LANES;
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

static void sum_neighbours(const te_windows *windows, int32_t *sums)
{
    sum(windows, TE_MVE_BYTES, sums);
}

static void sum_every_other(const te_windows *windows, int32_t *sums)
{
    sum(windows, 2 * TE_MVE_BYTES, sums);
}

#endif

/* The sums of one window. */
static inline te_mve_words sum_one(const te_windows *windows)
{
    te_mve_words sums = te_mve_load_words(windows->start);
    const int8_t *weights = windows->weights;
    int32_t place = windows->place;
    for (int32_t rows = windows->height; rows > 0; rows--) {
        const int8_t *cell = windows->cell + place;
        for (int32_t columns = windows->width; columns > 0; columns--) {
            const te_mve_words weight = te_mve_load_four(weights);
            sums = te_mve_add(sums, te_mve_mul(te_mve_load_four(cell), weight));
            cell += TE_MVE_BYTES;
            weights += TE_MVE_BYTES;
        }
        place += windows->pitch;
        if (place == windows->size) {
            place = 0;
        }
    }
    return sums;
}

/* `here` channels of an output row, at most four. */
TE_INLINE void convolve(const te_depthwise_mve *layer, te_windows *windows, int8_t *output,
                        int32_t here, int32_t stepped, int32_t away)
{
    const te_mve_numbers numbers =
        te_mve_numbers_of(windows->start, &layer->activation, stepped);
    const int32_t channels = layer->input.channels;
    const int32_t stride = layer->window.stride_width;
    int32_t left = layer->output.width;
    int32_t sums[ABREAST * TE_MVE_LANES];
    if (stride <= 2) {
        for (; left >= ABREAST; left -= ABREAST) {
            if (stride == 1) {
                sum_neighbours(windows, sums);
            } else {
                sum_every_other(windows, sums);
            }
            windows->cell += ABREAST * stride * TE_MVE_BYTES;
            if (here >= TE_MVE_LANES) {
                for (int32_t i = 0; i < ABREAST; i++) {
                    const te_mve_words own = te_mve_load_words(sums + i * TE_MVE_LANES);
                    te_mve_store_four(output, te_mve_finished(&numbers, own, stepped, away));
                    output += channels;
                }
            } else {
                for (int32_t i = 0; i < ABREAST; i++) {
                    const te_mve_words own = te_mve_load_words(sums + i * TE_MVE_LANES);
                    te_mve_store_some(output, te_mve_finished(&numbers, own, stepped, away), here);
                    output += channels;
                }
            }
        }
    }
    for (; left > 0; left--) {
        te_mve_store_some(output, te_mve_finished(&numbers, sum_one(windows), stepped, away), here);
        windows->cell += stride * TE_MVE_BYTES;
        output += channels;
    }
}

static TE_NOINLINE void convolve_relu(const te_depthwise_mve *layer, te_windows *windows,
                                      int8_t *output, int32_t here)
{
    convolve(layer, windows, output, here, 0, 0);
}

static TE_NOINLINE void convolve_any(const te_depthwise_mve *layer, te_windows *windows,
                                     int8_t *output, int32_t here)
{
    convolve(layer, windows, output, here, layer->stepped, 1);
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
                convolve_relu(layer, &windows, output + channel, channels - channel);
            } else {
                convolve_any(layer, &windows, output + channel, channels - channel);
            }
            windows.start += layer->stepped ? TE_MVE_STEPPED_SCALE : TE_MVE_SCALE;
        }
        output += layer->output.width * channels;
    }
}
