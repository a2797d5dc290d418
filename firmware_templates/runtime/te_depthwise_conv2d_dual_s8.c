/* SPDX-License-Identifier: Apache-2.0 */
/* A depthwise convolution, two windows a multiplication. */
#include "te_depthwise.h"

/* The few registers of a Cortex-M0 leave make_two no faster than make_any. */
#if defined(TE_THUMB1)
#define MAKES_TWO 0
#else
#define MAKES_TWO 1
#endif

/* A window that starts at an even column, and so at a word, begins with the first weight in the lower
 * half; one that starts at an odd column has it in the upper half of its first word. Rows of weights
 * hold both versions, `words` words each, where the stride is odd, else the first one. Three weights
 * a, b and c at stride 1 are two words instead, (a, b) and (b, c): what is missing is half a
 * multiplication with either. */
typedef struct {
    te_ring ring;
    uint32_t *weights; /* [channel][2 * height - 1][row] */
    int32_t three;     /* whether rows are (a, b) and (b, c) */
    int32_t six;       /* of these, whether six windows are made at once */
    int32_t two;       /* whether windows are two words, and lie a word apart */
    int32_t words;
    int32_t row;
    int32_t rotation;
} te_state;

static inline uint32_t weight_pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xffffu) | (uint32_t)high << 16;
}

/* A row of weights times their step, in `words` words; a shifted one begins in an upper half. */
static uint32_t *put_row(uint32_t *at, int32_t words, int32_t shifted, const int8_t *code,
                         int32_t width, int32_t step)
{
    const int8_t *end = code + width;
    const uint32_t *last = at + words;
    if (shifted) {
        *at++ = weight_pair(0, *code++ * step);
    }
    for (; end - code > 1; code += 2) {
        *at++ = weight_pair(code[0] * step, code[1] * step);
    }
    if (code != end) {
        *at++ = weight_pair(*code * step, 0);
    }
    if (at != last) {
        *at++ = 0;
    }
    return at;
}

/* The rows of a channel. */
static TE_NOINLINE uint32_t *put_rows(const te_state *state, uint32_t *at, const int8_t *code,
                                      int32_t step)
{
    const te_window *window = &state->ring.layer->window;
    for (int32_t y = window->height; y > 0; y--) {
        at = put_row(at, state->words, 0, code, window->width, step);
        if (state->row != state->words) {
            at = put_row(at, state->words, 1, code, window->width, step);
        }
        code += window->width;
    }
    return at;
}

static TE_NOINLINE uint32_t *put_rows_of_three(const te_state *state, uint32_t *at,
                                               const int8_t *code, int32_t step)
{
    for (int32_t y = state->ring.layer->window.height; y > 0; y--) {
        *at++ = weight_pair(code[0] * step, code[1] * step);
        *at++ = weight_pair(code[1] * step, code[2] * step);
        code += 3;
    }
    return at;
}

/* Weights times their step, with all rows but the last once more behind them. The codes are unpacked so
 * far behind that no weight is written over one that is still needed. */
static TE_NOINLINE void unpack(const te_state *state)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t channels = layer->output.channels;
    const int32_t count = layer->window.height * layer->window.width;
    const int32_t again = (layer->window.height - 1) * state->row;
    te_stream stream = {layer->packed, 0, 0};
    uint32_t *at = state->weights;
    int8_t *end = (int8_t *)(at + channels * (2 * layer->window.height - 1) * state->row) + count;
    const int8_t *code = layer->unpack(&stream, (uint32_t)(channels * count), end - channels * count);
    for (int32_t channel = 0; channel < channels; channel++) {
        const int32_t step = te_scale_step(&layer->scale, channel);
        const uint32_t *first = at;
        at = state->three ? put_rows_of_three(state, at, code, step)
                          : put_rows(state, at, code, step);
        code += count;
        for (int32_t i = 0; i < again; i++) {
            *at++ = *first++;
        }
    }
}

/* Scales `count` sums, `next` bytes apart. */
static TE_NOINLINE void finish(const te_activation *activation, const te_scale *scale,
                               const int32_t *sums, int32_t count, int8_t *output, int32_t next)
{
    for (; count > 0; count--) {
        *output = te_scaled(scale, activation, TE_SCALE_CLAMP, *sums++);
        output += next;
    }
}

/* The sums of a window that begins at a word, and of one a column later; three columns wide. */
TE_INLINE int32_t add_even(int32_t sum, uint32_t first, uint32_t second, uint32_t ab, uint32_t bc)
{
    return te_high_mul_add(te_smlad(first, ab, sum), bc, (int32_t)second);
}

TE_INLINE int32_t add_odd(int32_t sum, uint32_t first, uint32_t second, uint32_t ab, uint32_t bc)
{
    return te_smlad(second, bc, te_high_mul_add(sum, first, (int32_t)ab));
}

/* Scales a sum into the whole int8 range. */
TE_INLINE int8_t *put(const te_scale *scale, te_scale_kind kind, int32_t sum, int8_t *output,
                      int32_t next)
{
    *output = te_scaled(scale, 0, kind, sum);
    return output + next;
}

/* Four or six windows of three columns, stride 1, in all channels, or as many of them as there are; the
 * first begins at a word. */
TE_INLINE void make_three(const te_state *state, int32_t x, int32_t six, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t count = six ? 6 : 4, left = layer->output.width - x;
    const int32_t missing = left < count ? count - left : 0;
    const int32_t relu = left > 2 && te_scale_kind_of(&layer->activation) == TE_SCALE_RELU;
    const int32_t next = layer->output.channels, row = layer->words;
    const int32_t zero_point = layer->activation.output_offset;
    const int32_t height = layer->window.height;
    const int32_t skip = (height - 1) * 2;
    const uint32_t *words = state->ring.words + x / 2;
    const uint32_t *weights = state->weights + state->rotation * 2;
    for (int32_t channel = 0; channel < next; channel++) {
        const int32_t bias = layer->scale.bias[channel];
        int32_t a = bias, b = bias, c = bias, d = bias, e = bias, f = bias;
        for (const uint32_t *last = weights + height * 2; weights != last; weights += 2) {
            const uint32_t ab = weights[0], bc = weights[1];
            const uint32_t early = words[0], middle = words[1], late = words[2];
            a = add_even(a, early, middle, ab, bc);
            b = add_odd(b, early, middle, ab, bc);
            c = add_even(c, middle, late, ab, bc);
            d = add_odd(d, middle, late, ab, bc);
            if (six) {
                const uint32_t latest = words[3];
                e = add_even(e, late, latest, ab, bc);
                f = add_odd(f, late, latest, ab, bc);
            }
            words += row;
        }
        const te_scale fixed = te_scale_unstepped(&layer->scale, zero_point, channel);
        if (relu) {
            int8_t *out = put(&fixed, TE_SCALE_RELU, a, output, next);
            out = put(&fixed, TE_SCALE_RELU, b, out, next);
            out = put(&fixed, TE_SCALE_RELU, c, out, next);
            if (six) {
                out = put(&fixed, TE_SCALE_RELU, d, out, next);
                out = put(&fixed, TE_SCALE_RELU, e, out, next);
            }
            if (!missing) {
                put(&fixed, TE_SCALE_RELU, six ? f : d, out, next);
            }
        } else {
            const int32_t sums[6] = {a, b, c, d, e, f};
            finish(&layer->activation, &fixed, sums, count - missing, output, next);
        }
        output++;
        weights += skip;
    }
}

static TE_NOINLINE void make_four(const te_state *state, int32_t x, int8_t *output)
{
    make_three(state, x, 0, output);
}

#if defined(TE_DSP)

/* Of a row of three weights: r2 and r3 hold (a, b) and (b, c), r4-r7 four words, r8-r12 and lr the sums,
 * whose first row starts from the bias in r8. Loads behind one another take a cycle each. */
#define TE_ROW(at, word, b, c, d, e, f)                                                            \
    "ldr r2, [r0, #" at "]\n"                                                                      \
    "ldr r3, [r0, #" at " + 4]\n"                                                                  \
    "ldr r4, [r1, #" word "]\n"                                                                    \
    "ldr r5, [r1, #" word " + 4]\n"                                                                \
    "ldr r6, [r1, #" word " + 8]\n"                                                                \
    "ldr r7, [r1, #" word " + 12]\n"                                                               \
    "smlatb r9, r4, r2, " b "\n"                                                                   \
    "smlad r10, r5, r2, " c "\n"                                                                   \
    "smlatb r11, r5, r2, " d "\n"                                                                  \
    "smlad r12, r6, r2, " e "\n"                                                                   \
    "smlatb lr, r6, r2, " f "\n"                                                                   \
    "smlad r8, r4, r2, r8\n"                                                                       \
    "smlad r9, r5, r3, r9\n"                                                                       \
    "smlatb r10, r3, r6, r10\n"                                                                    \
    "smlad r11, r6, r3, r11\n"                                                                     \
    "smlatb r12, r3, r7, r12\n"                                                                    \
    "smlad lr, r7, r3, lr\n"                                                                       \
    "smlatb r8, r3, r5, r8\n"
#define TE_FIRST_ROW TE_ROW("0", "0", "r8", "r8", "r8", "r8", "r8")
#define TE_NEXT_ROW(at, word) TE_ROW(at, word, "r9", "r10", "r11", "r12", "lr")
#define TE_STRIDE                                                                                  \
    "ldr r4, [sp]\n"                                                                               \
    "add r1, r1, r4\n"
#define TE_ROUND(sum)                                                                              \
    "smmlar " sum ", " sum ", r5, r4\n"                                                            \
    "asr " sum ", " sum ", r6\n"                                                                   \
    "ssat " sum ", #8, " sum "\n"

/* Six windows of three rows of three columns in all channels, or five of them; nothing lies below the
 * zero point -128. On the stack: the bytes of a row, the biases, what is kept, and the arguments from
 * `end`, the end of the biases, on; of those, how far a mantissa lies from the next bias, and a shift
 * from its output. */
#define TE_SIX(rows)                                                                               \
    __asm__("push {r2-r11, lr}\n"                                                                  \
            "ldr r2, [sp, #48]\n"                                                                  \
            "ldr r4, [sp, #52]\n"                                                                  \
            "ldr r5, [sp, #56]\n"                                                                  \
            "sub r2, r2, r3\n"                                                                     \
            "sub r2, r2, #4\n"                                                                     \
            "sub r4, r4, r5\n"                                                                     \
            "str r2, [sp, #48]\n"                                                                  \
            "str r4, [sp, #52]\n"                                                                  \
            "mov r2, r3\n"                                                                         \
            "1: ldr r8, [r2]\n"                                                                    \
            "add r2, r2, #4\n"                                                                     \
            "str r2, [sp, #4]\n" rows "add r0, r0, #40\n"                                         \
            "ldr r2, [sp, #4]\n"                                                                   \
            "ldr r3, [sp, #48]\n"                                                                  \
            "ldr r6, [sp, #52]\n"                                                                  \
            "ldr r7, [sp, #56]\n"                                                                  \
            "ldr r5, [r2, r3]\n"                                                                   \
            "ldrb r6, [r7, r6]\n"                                                                  \
            "ldr r3, [sp, #60]\n"                                                                  \
            "mvn r4, #254\n" /* of the zero point: 2 * -128 + 1 */                                 \
            "lsl r4, r4, r6\n"                                                                     \
            "asr r4, r4, #1\n" TE_ROUND("r8") TE_ROUND("r9") TE_ROUND("r10") TE_ROUND("r11")       \
                TE_ROUND("r12")                                                                    \
            "strb r8, [r7]\n"                                                                      \
            "strb r9, [r7, r3]\n"                                                                  \
            "ldr r8, [sp, #64]\n"                                                                  \
            "add r9, r7, r3, lsl #1\n"                                                             \
            "add r7, r7, #1\n"                                                                     \
            "str r7, [sp, #56]\n"                                                                  \
            "strb r10, [r9]\n"                                                                     \
            "strb r11, [r9, r3]\n"                                                                 \
            "add r9, r9, r3, lsl #1\n"                                                             \
            "cmp r8, #0\n"                                                                         \
            "strb r12, [r9]\n"                                                                     \
            "bne 2f\n" TE_ROUND("lr")                                                              \
            "strb lr, [r9, r3]\n"                                                                  \
            "2: ldr r3, [sp, #44]\n"                                                               \
            "cmp r2, r3\n"                                                                         \
            "bne.w 1b\n"                                                                           \
            "add sp, sp, #8\n"                                                                     \
            "pop {r4-r11, pc}\n")
#define TE_SIX_ARGUMENTS                                                                           \
    const uint32_t *weights __attribute__((unused)), const uint32_t *words __attribute__((unused)), \
        int32_t row __attribute__((unused)), const int32_t *bias __attribute__((unused)),          \
        const int32_t *end __attribute__((unused)),                                                \
        const int32_t *mantissa __attribute__((unused)),                                           \
        const uint8_t *right __attribute__((unused)), int8_t *output __attribute__((unused)),      \
        int32_t next __attribute__((unused)), int32_t missing __attribute__((unused))

__attribute__((naked, noinline)) static void make_six_relu(TE_SIX_ARGUMENTS)
{
    TE_SIX(TE_FIRST_ROW TE_STRIDE TE_NEXT_ROW("8", "0") TE_STRIDE TE_NEXT_ROW("16", "0") TE_STRIDE);
}

/* The same where a row is these six windows. */
__attribute__((naked, noinline)) static void make_all_relu(TE_SIX_ARGUMENTS)
{
    TE_SIX(TE_FIRST_ROW TE_NEXT_ROW("8", "16") TE_NEXT_ROW("16", "32") "add r1, r1, #48\n");
}

static void make_six(const te_state *state, int32_t x, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const te_scales *scale = &layer->scale;
    const int32_t channels = layer->output.channels;
    const uint32_t *weights = state->weights + state->rotation * 2;
    const uint32_t *words = state->ring.words + x / 2;
    const int32_t missing = layer->output.width - x < 6;
    if (layer->words == 4) {
        make_all_relu(weights, words, 16, scale->bias, scale->bias + channels, scale->mantissa,
                      scale->right, output, channels, missing);
    } else {
        make_six_relu(weights, words, 4 * layer->words, scale->bias, scale->bias + channels,
                      scale->mantissa, scale->right, output, channels, missing);
    }
}

/* Whether there are blocks of six windows. */
static int32_t makes_six(const te_depthwise_ring *layer)
{
    return layer->window.height == 3 && layer->scale.apart &&
           te_scale_kind_of(&layer->activation) == TE_SCALE_RELU;
}

#else

static TE_NOINLINE void make_six(const te_state *state, int32_t x, int8_t *output)
{
    make_three(state, x, 1, output);
}

static int32_t makes_six(const te_depthwise_ring *layer)
{
    (void)layer;
    return 1;
}

#endif

/* The sums of four windows: the first and third one begin at a word, and so do the others if the
 * stride is even. */
typedef struct {
    int32_t a, b, c, d;
} te_sums;

/* Where the first words of the others are, counted from the first window's. */
typedef struct {
    int32_t b, c, d;
} te_places;

TE_INLINE void add_words(te_sums *sums, const uint32_t *words, const te_places *places,
                         uint32_t even, uint32_t odd)
{
    sums->a = te_smlad(words[0], even, sums->a);
    sums->b = te_smlad(words[places->b], odd, sums->b);
    sums->c = te_smlad(words[places->c], even, sums->c);
    sums->d = te_smlad(words[places->d], odd, sums->d);
}

TE_INLINE void put_sums(const te_scale *scale, te_scale_kind kind, const te_sums *sums, int32_t count,
                        int8_t *output, int32_t next)
{
    int8_t *out = put(scale, kind, sums->a, output, next);
    if (count > 1) {
        out = put(scale, kind, sums->b, out, next);
    }
    if (count > 2) {
        out = put(scale, kind, sums->c, out, next);
    }
    if (count > 3) {
        put(scale, kind, sums->d, out, next);
    }
}

/* Up to four windows of any shape in all channels; x * stride is even. Windows past the end
 * of the row repeat the last one. */
TE_INLINE void make_block(const te_state *state, int32_t x, int32_t count, const te_places *places,
                          int32_t two, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const te_window *window = &layer->window;
    const te_scale_kind kind = te_scale_kind_of(&layer->activation);
    const int32_t next = layer->output.channels, row = layer->words;
    const int32_t zero_point = layer->activation.output_offset;
    const int32_t length = state->words, odd = two ? 0 : state->row - length;
    const int32_t skip = (window->height - 1) * state->row;
    const uint32_t *words = state->ring.words + x * window->stride_width / 2;
    const uint32_t *weights = state->weights + state->rotation * state->row;
    for (int32_t channel = 0; channel < next; channel++) {
        const int32_t bias = layer->scale.bias[channel];
        te_sums sums = {bias, bias, bias, bias};
        for (int32_t y = window->height; y > 0; y--) {
            if (two) {
                add_words(&sums, words, places, weights[0], weights[0]);
                add_words(&sums, words + 1, places, weights[1], weights[1]);
                weights += 2;
            } else {
                const uint32_t *word = words;
                for (const uint32_t *last = weights + length; weights != last; weights++) {
                    add_words(&sums, word++, places, weights[0], weights[odd]);
                }
                weights += odd;
            }
            words += row;
        }
        const te_scale fixed = te_scale_unstepped(&layer->scale, zero_point, channel);
        if (kind == TE_SCALE_RELU) {
            put_sums(&fixed, TE_SCALE_RELU, &sums, count, output, next);
        } else if (two && kind == TE_SCALE_PLAIN) {
            put_sums(&fixed, TE_SCALE_PLAIN, &sums, count, output, next);
        } else {
            const int32_t all[4] = {sums.a, sums.b, sums.c, sums.d};
            finish(&layer->activation, &fixed, all, count, output, next);
        }
        output++;
        weights += skip;
    }
}

/* Three or four windows of two words at stride 2. */
static TE_NOINLINE void make_two(const te_state *state, int32_t x, int32_t four, int8_t *output)
{
    const te_places places = {1, 2, 3};
    make_block(state, x, four ? 4 : 3, &places, 1, output);
}

static TE_NOINLINE void make_any(const te_state *state, int32_t x, int32_t count, int8_t *output)
{
    const int32_t stride = state->ring.layer->window.stride_width;
    const te_places places = {
        (count < 2 ? 0 : 1) * stride / 2,
        (count < 3 ? count - 1 : 2) * stride / 2,
        (count - 1) * stride / 2,
    };
    make_block(state, x, count, &places, 0, output);
}

static void make_row(const te_state *state, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t channels = layer->output.channels, width = layer->output.width;
    for (int32_t x = 0; x < width;) {
        const int32_t left = width - x;
        if (state->three) {
            /* An even number of at least four windows is so many blocks of four and six. Of four
             * alone, the last two may not be there. */
            if (state->six && (left + 1) / 2 % 3 == 0) {
                make_six(state, x, output + x * channels);
                x += 6;
            } else {
                make_four(state, x, output + x * channels);
                x += 4;
            }
        } else if (MAKES_TWO && state->two) {
            if (left < 4 && width >= 4) {
                x = width - 4; /* windows of the block before are made again */
            }
            make_two(state, x, width >= 4, output + x * channels);
            x += 4;
        } else {
            make_any(state, x, left < 4 ? left : 4, output + x * channels);
            x += 4;
        }
    }
}

void te_depthwise_conv2d_dual_s8(const te_depthwise_ring *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch)
{
    const te_window *window = &layer->window;
    const int32_t odd = window->stride_width & 1;
    te_state state;
    state.words = (window->width + 1 + odd) / 2;
    state.three = window->stride_width == 1 && window->width == 3;
    state.six = makes_six(layer);
    state.two = window->stride_width == 2 && state.words == 2 && layer->output.width > 2;
    state.row = state.three || !odd ? state.words : 2 * state.words;
    state.weights = te_ring_lay_out(&state.ring, layer, scratch);
    unpack(&state);
    for (int32_t y = 0; y < layer->output.height; y++) {
        te_ring_load(&state.ring, input, y, 2, 1);
        state.rotation = te_ring_rotation(&state.ring, y);
        make_row(&state, output);
        output += layer->output.width * layer->output.channels;
    }
}
