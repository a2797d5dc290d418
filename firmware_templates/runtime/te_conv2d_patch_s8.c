/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution whose windows are copied to a row each, for cores without the DSP extension. */
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
        line += first;
#if !defined(TE_THUMB1)
        /* Sums of bytes 0 and 2, and of 1 and 3, in lanes of 16 bits: 128 words fit. */
        while (end - line >= 4) {
            const int8_t *stop = end - line < 4 * 128 ? end - 3 : line + 4 * 128;
            uint32_t lanes = 0;
            while (line < stop) {
                const uint32_t word = te_load_word(line) ^ 0x80808080u;
                te_store_word((int8_t *)patch, word);
                lanes = te_add_odd_bytes(te_add_even_bytes(lanes, word), word);
                line += 4;
                patch += 4;
            }
            sum += (int32_t)(lanes & 0xffffu) + (int32_t)(lanes >> 16);
        }
#endif
        while (line < end) {
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
#define TE_FOUR(loop)                                                                              \
    __asm__ volatile(".syntax unified\n"                                                           \
                     "1:\n" TE_COLUMN("0", "0", "1") TE_COLUMN("1", "2", "3")                      \
                         TE_COLUMN("2", "4", "5") TE_COLUMN("3", "6", "7") loop                    \
                     : [patch] "+l"(patch), [weights] "+l"(weights), [a] "+l"(a), [b] "+l"(b)      \
                     : [end] "h"(end)                                                              \
                     : "r3", "r4", "cc", "memory")
    const uint8_t *end = patch + columns;
    if (columns & 4) {
        TE_FOUR("adds %[patch], #4\n"
                "adds %[weights], #8\n");
    }
    if (patch < end) {
        TE_FOUR(TE_COLUMN("4", "8", "9") TE_COLUMN("5", "10", "11") TE_COLUMN("6", "12", "13")
                    TE_COLUMN("7", "14", "15") "adds %[patch], #8\n"
                                               "adds %[weights], #16\n"
                                               "cmp %[patch], %[end]\n"
                                               "bcc 1b\n");
    }
#undef TE_FOUR
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

#if !defined(TE_THUMB1)
/* The same with four, of which the later two lie behind the first: an input is loaded once for all. */
static inline void dot_two_pairs(const uint8_t *patch, const uint8_t *weights, int32_t columns,
                                 uint32_t *sums)
{
    const uint8_t *later = weights + 2 * columns;
    const uint8_t *end = patch + columns;
    uint32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
#if defined(TE_THUMB2)
    uint32_t value, one, other;
#define TE_COLUMN                                                                                  \
    "ldrb %[value], [%[patch]], #1\n"                                                              \
    "ldrb %[one], [%[weights]], #1\n"                                                              \
    "ldrb %[other], [%[later]], #1\n"                                                              \
    "mla %[a], %[value], %[one], %[a]\n"                                                           \
    "mla %[c], %[value], %[other], %[c]\n"                                                         \
    "ldrb %[one], [%[weights]], #1\n"                                                              \
    "ldrb %[other], [%[later]], #1\n"                                                              \
    "mla %[b], %[value], %[one], %[b]\n"                                                           \
    "mla %[d], %[value], %[other], %[d]\n"
#define TE_FOUR TE_COLUMN TE_COLUMN TE_COLUMN TE_COLUMN
#define TE_COLUMNS(code)                                                                           \
    __asm__ volatile("1:\n" code                                                                   \
                     : [patch] "+r"(patch), [weights] "+r"(weights), [later] "+r"(later),          \
                       [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [value] "=&r"(value),   \
                       [one] "=&r"(one), [other] "=&r"(other)                                      \
                     : [end] "r"(end)                                                              \
                     : "cc", "memory")
    if (columns & 4) {
        TE_COLUMNS(TE_FOUR);
    }
    if (columns & 8) {
        TE_COLUMNS(TE_FOUR TE_FOUR);
    }
    if (patch < end) {
        TE_COLUMNS(TE_FOUR TE_FOUR TE_FOUR TE_FOUR "cmp %[patch], %[end]\n"
                                                   "bcc.w 1b\n");
    }
#undef TE_COLUMNS
#undef TE_FOUR
#undef TE_COLUMN
#else
    for (; patch < end; patch++) {
        const uint32_t value = *patch;
        a += value * weights[0];
        b += value * weights[1];
        c += value * later[0];
        d += value * later[1];
        weights += 2;
        later += 2;
    }
#endif
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}
#endif

#if defined(TE_THUMB2)

/* The same with six: r4-r9 sum a, b, c, d, e and f, of which c and e lie `r2` and twice as much behind a.
 * More registers are in use than every compiler gives to inline assembly. */
#define TE_COLUMN                                                                                  \
    "ldrb r3, [r0], #1\n"                                                                          \
    "ldrb r10, [r1, r2]\n"                                                                         \
    "ldrb r11, [r1, r2, lsl #1]\n"                                                                 \
    "ldrb lr, [r1], #1\n"                                                                          \
    "mla r6, r3, r10, r6\n"                                                                        \
    "mla r8, r3, r11, r8\n"                                                                        \
    "mla r4, r3, lr, r4\n"                                                                         \
    "ldrb r10, [r1, r2]\n"                                                                         \
    "ldrb r11, [r1, r2, lsl #1]\n"                                                                 \
    "ldrb lr, [r1], #1\n"                                                                          \
    "mla r7, r3, r10, r7\n"                                                                        \
    "mla r9, r3, r11, r9\n"                                                                        \
    "mla r5, r3, lr, r5\n"
__attribute__((naked, noinline)) static void
dot_three_pairs(const uint8_t *patch __attribute__((unused)),
                const uint8_t *weights __attribute__((unused)),
                int32_t columns __attribute__((unused)), uint32_t *sums __attribute__((unused)))
{
    __asm__("push {r3-r11, lr}\n"
            "ldm r3, {r4-r9}\n"
            "add r12, r0, r2\n"
            "tst r2, #4\n"
            "lsl r2, r2, #1\n"
            "bne.w 2f\n"
            "1:\n"
            ".rept 4\n" TE_COLUMN ".endr\n"
            "2:\n"
            ".rept 4\n" TE_COLUMN ".endr\n"
            "cmp r0, r12\n"
            "bne.w 1b\n"
            "pop {r3}\n"
            "stm r3, {r4-r9}\n"
            "pop {r4-r11, pc}\n");
}
#undef TE_COLUMN

#endif

static TE_NOINLINE int8_t scaled(const te_conv2d_patch *layer, int32_t channel, uint32_t sum)
{
    const te_scale scale = te_scale_of(&layer->scale, layer->activation.output_offset, channel);
    return te_scaled_sum(&scale, &layer->activation, TE_SCALE_CLAMP, (int32_t)sum);
}

static TE_NOINLINE void compute_cell(const te_conv2d_patch *layer, const uint8_t *patch,
                                     int32_t total, int8_t *output)
{
    const uint8_t *weights = layer->packed;
    const uint32_t offset = (uint32_t)(-128 * total);
    const int32_t channels = layer->output.channels;
    int32_t channel = 0;
#if defined(TE_THUMB2)
    /* Six at a time, but so that no two are left. */
    while (channels - channel >= 6 && channels - channel != 8) {
        uint32_t sums[6] = {offset, offset, offset, offset, offset, offset};
        dot_three_pairs(patch, weights, layer->columns, sums);
        for (int32_t i = 0; i < 6; i++) {
            *output++ = scaled(layer, channel++, sums[i]);
        }
        weights += 6 * layer->columns;
    }
#endif
#if !defined(TE_THUMB1)
    while (channels - channel >= 4) {
        uint32_t sums[4] = {offset, offset, offset, offset};
        dot_two_pairs(patch, weights, layer->columns, sums);
        for (int32_t i = 0; i < 4; i++) {
            *output++ = scaled(layer, channel++, sums[i]);
        }
        weights += 4 * layer->columns;
    }
#endif
    for (; channel < channels; channel += 2) {
        uint32_t a = offset;
        uint32_t b = offset;
        dot_pair(patch, weights, layer->columns, &a, &b);
        *output++ = scaled(layer, channel, a);
        if (channels - channel > 1) {
            *output++ = scaled(layer, channel + 1, b);
        }
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
