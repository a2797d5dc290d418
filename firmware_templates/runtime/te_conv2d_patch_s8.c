#include "te_conv2d_patch_s8.h"

#include "te_memory.h"

/* One row of a window: `count` bytes; outside the input they stand for zero. Gives their sum. */
static TE_NOINLINE int32_t gather_row(const te_conv2d_patch *layer, const int8_t *input, int32_t row,
                          int32_t left, uint8_t *patch)
{
    const int32_t channels = layer->input.channels;
    const int32_t first = left * channels;
    const int32_t last = (left + layer->window.width) * channels;
    const int32_t width = layer->input.width * channels;
    const uint8_t zero = (uint8_t)(128 - layer->activation.input_offset);
    const int inside = row >= 0 && row < layer->input.height;
    const int8_t *line = input + row * width * inside;
    int32_t sum = 0;
    if (inside && first >= 0 && last <= width) {
        const int8_t *end = line + last;
        for (line += first; line < end;) {
            const uint8_t value = (uint8_t)*line++ ^ 0x80u;
            *patch++ = value;
            sum += value;
        }
        return sum;
    }
    for (int32_t i = first; i < last; i++) {
        const uint8_t value =
            inside && i >= 0 && i < width ? (uint8_t)(line[i] + 128) : zero;
        *patch++ = value;
        sum += value;
    }
    return sum;
}

/* Sums of products of a patch with two output channels. */
static inline void dot_pair(const uint8_t *patch, const uint8_t *weights, int32_t columns,
                            uint32_t *sum_a, uint32_t *sum_b)
{
    uint32_t a = *sum_a;
    uint32_t b = *sum_b;
#if defined(TE_THUMB1)
#define TE_COLUMN(at, at_a, at_b)                                                                  \
    "ldrb r3, [%[patch], #" at "]\n"                                                               \
    "ldrb r4, [%[weights], #" at_a "]\n"                                                           \
    "muls r4, r3, r4\n"                                                                            \
    "adds %[a], %[a], r4\n"                                                                        \
    "ldrb r4, [%[weights], #" at_b "]\n"                                                           \
    "muls r4, r3, r4\n"                                                                            \
    "adds %[b], %[b], r4\n"
    const uint8_t *end = patch + columns;
    __asm__ volatile(".syntax unified\n"
                     "1:\n" TE_COLUMN("0", "0", "1") TE_COLUMN("1", "2", "3")
                         TE_COLUMN("2", "4", "5") TE_COLUMN("3", "6", "7") "adds %[patch], #4\n"
                                                                           "adds %[weights], #8\n"
                                                                           "cmp %[patch], %[end]\n"
                                                                           "bcc 1b\n"
                     : [patch] "+l"(patch), [weights] "+l"(weights), [a] "+l"(a), [b] "+l"(b)
                     : [end] "h"(end)
                     : "r3", "r4", "cc", "memory");
#undef TE_COLUMN
#else
    for (; columns > 0; columns -= 4) {
        uint32_t value = patch[0];
        a += value * weights[0];
        b += value * weights[1];
        value = patch[1];
        a += value * weights[2];
        b += value * weights[3];
        value = patch[2];
        a += value * weights[4];
        b += value * weights[5];
        value = patch[3];
        a += value * weights[6];
        b += value * weights[7];
        patch += 4;
        weights += 8;
    }
#endif
    *sum_a = a;
    *sum_b = b;
}

static TE_NOINLINE int8_t scaled(const te_scale *scale, const te_activation *activation,
                                 int32_t sum)
{
    return te_scaled_sum(scale, activation, TE_SCALE_CLAMP, sum);
}

static TE_NOINLINE void compute_cell(const te_conv2d_patch *layer, const uint8_t *patch,
                                     int32_t total, int8_t *output)
{
    const te_activation *activation = &layer->activation;
    const te_scale *scale = layer->scale;
    const uint8_t *weights = layer->packed;
    const uint32_t offset = (uint32_t)(-128 * total);
    for (int32_t rest = layer->output.channels; rest > 0; rest -= 2) {
        uint32_t a = offset;
        uint32_t b = offset;
        dot_pair(patch, weights, layer->columns, &a, &b);
        output[0] = scaled(&scale[0], activation, (int32_t)a);
        if (rest > 1) {
            output[1] = scaled(&scale[1], activation, (int32_t)b);
        }
        output += 2;
        scale += 2;
        weights += 2 * layer->columns;
    }
}

void te_conv2d_patch_s8(const te_conv2d_patch *layer, const int8_t *input, int8_t *output,
                        int8_t *scratch)
{
    const te_window *window = &layer->window;
    const int32_t row_bytes = window->width * layer->input.channels;
    uint8_t *patch = (uint8_t *)scratch;
    memset(patch, 0, (size_t)layer->columns);
    for (int32_t y = 0; y < layer->output.height; y++) {
        const int32_t top = y * window->stride_height - window->padding_top;
        for (int32_t x = 0; x < layer->output.width; x++) {
            const int32_t left = x * window->stride_width - window->padding_left;
            int32_t total = 0;
            for (int32_t row = 0; row < window->height; row++) {
                total += gather_row(layer, input, top + row, left, patch + row * row_bytes);
            }
            compute_cell(layer, patch, total, output);
            output += layer->output.channels;
        }
    }
}
