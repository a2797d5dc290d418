#include "te_depthwise.h"

/* A window that starts at an even column, and so at a word, begins with the first weight in the lower
 * half; one that starts at an odd column has it in the upper half of its first word. Rows of weights
 * hold both versions, `words` words each. Three weights a, b and c are two words instead, (a, b) and
 * (b, c): what is missing is half a multiplication with either. */
typedef struct {
    te_ring ring;
    uint32_t *weights; /* [channel][2 * height - 1][row] */
    int32_t words;
    int32_t row;
    int32_t rotation;
} te_state;

static inline uint32_t weight_pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xffffu) | (uint32_t)high << 16;
}

static int32_t weight_at(const int8_t *codes, int32_t column, int32_t width, int32_t step)
{
    return column >= 0 && column < width ? codes[column] * step : 0;
}

/* Weights times their step, with all rows but the last once more behind them. */
static TE_NOINLINE void unpack(const te_state *state, int8_t *codes)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t width = layer->window.width;
    const int32_t again = (layer->window.height - 1) * state->row;
    const te_scale *scale = layer->scale;
    te_stream stream = {layer->packed, 0, 0};
    uint32_t *at = state->weights;
    for (int32_t channel = 0; channel < layer->output.channels; channel++) {
        const int32_t step = scale++->step;
        const int8_t *code =
            layer->unpack(&stream, (uint32_t)(layer->window.height * width), codes);
        uint32_t *first = at;
        for (int32_t y = 0; y < layer->window.height; y++) {
            if (width == 3) {
                *at++ = weight_pair(code[0] * step, code[1] * step);
                *at++ = weight_pair(code[1] * step, code[2] * step);
            } else {
                for (int32_t i = 0; i < state->row; i++) {
                    const int32_t column = i < state->words ? 2 * i : 2 * (i - state->words) - 1;
                    *at++ = weight_pair(weight_at(code, column, width, step),
                                        weight_at(code, column + 1, width, step));
                }
            }
            code += width;
        }
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

/* One window of any shape in all channels. */
static TE_NOINLINE void make_any(const te_state *state, int32_t x, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t column = x * layer->window.stride_width;
    const int32_t height = layer->window.height, row = state->row;
    const uint32_t *words = state->ring.words + column / 2;
    const uint32_t *weights = state->weights + state->rotation * row;
    for (int32_t channel = 0; channel < layer->output.channels; channel++) {
        int32_t sum = layer->scale[channel].bias;
        const uint32_t *weight = weights;
        for (int32_t y = 0; y < height; y++) {
            if (layer->window.width == 3) {
                if (column & 1) {
                    sum = te_high_mul_add(sum, words[0], (int32_t)weight[0]);
                    sum = te_smlad(words[1], weight[1], sum);
                } else {
                    sum = te_smlad(words[0], weight[0], sum);
                    sum = te_high_mul_add(sum, weight[1], (int32_t)words[1]);
                }
            } else {
                const uint32_t *at = weight + (column & 1) * state->words;
                for (int32_t i = 0; i < state->words; i++) {
                    sum = te_smlad(words[i], at[i], sum);
                }
            }
            words += layer->words;
            weight += row;
        }
        finish(&layer->activation, &layer->scale[channel], &sum, 1, output++, 0);
        weights += (2 * height - 1) * row;
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

TE_INLINE int8_t *put(const te_scale *scale, int32_t sum, int8_t *output, int32_t next)
{
    *output = te_scaled(scale, 0, TE_SCALE_RELU, sum);
    return output + next;
}

/* Four or six windows of three columns, stride 1, in all channels; the first begins at a word. */
TE_INLINE void make_three(const te_state *state, int32_t x, int32_t six, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t relu = te_scale_kind_of(&layer->activation) == TE_SCALE_RELU;
    const int32_t count = six ? 6 : 4;
    const int32_t odd = x + count > layer->output.width;
    const int32_t next = layer->output.channels, row = layer->words;
    const int32_t height = layer->window.height;
    const int32_t skip = (height - 1) * 2;
    const uint32_t *words = state->ring.words + x / 2;
    const uint32_t *weights = state->weights + state->rotation * 2;
    const te_scale *scale = layer->scale;
    for (const te_scale *end = scale + next; scale != end; scale++) {
        const int32_t bias = scale->bias;
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
        if (relu) {
            const te_scale fixed = *scale;
            int8_t *out = put(&fixed, a, output, next);
            out = put(&fixed, b, out, next);
            out = put(&fixed, c, out, next);
            if (six) {
                out = put(&fixed, d, out, next);
                out = put(&fixed, e, out, next);
            }
            if (!odd) {
                put(&fixed, six ? f : d, out, next);
            }
        } else {
            const int32_t sums[6] = {a, b, c, d, e, f};
            finish(&layer->activation, scale, sums, count - odd, output, next);
        }
        output++;
        weights += skip;
    }
}

static TE_NOINLINE void make_four(const te_state *state, int32_t x, int8_t *output)
{
    make_three(state, x, 0, output);
}

static TE_NOINLINE void make_six(const te_state *state, int32_t x, int8_t *output)
{
    make_three(state, x, 1, output);
}

static void make_row(const te_state *state, int8_t *output)
{
    const te_depthwise_ring *layer = state->ring.layer;
    const int32_t channels = layer->output.channels, width = layer->output.width;
    int32_t x = 0;
    if (layer->window.width == 3 && layer->window.stride_width == 1 && width > 2) {
        /* An even number of at least four windows is so many blocks of four and six. */
        while (x < width) {
            const int32_t left = (width - x + 1) / 2;
            if (left % 3 == 0) {
                make_six(state, x, output + x * channels);
                x += 6;
            } else {
                make_four(state, x, output + x * channels);
                x += 4;
            }
        }
    }
    for (; x < width; x++) {
        make_any(state, x, output + x * channels);
    }
}

void te_depthwise_conv2d_dual_s8(const te_depthwise_ring *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch)
{
    const te_window *window = &layer->window;
    te_state state;
    state.words = window->width / 2 + 1;
    state.row = window->width == 3 ? 2 : 2 * state.words;
    state.weights = te_ring_lay_out(&state.ring, layer, scratch);
    unpack(&state, (int8_t *)(state.weights +
                              layer->output.channels * (2 * window->height - 1) * state.row));
    for (int32_t y = 0; y < layer->output.height; y++) {
        te_ring_load(&state.ring, input, y, 2, 1);
        state.rotation = te_ring_rotation(&state.ring, y);
        make_row(&state, output);
        output += layer->output.width * layer->output.channels;
    }
}
