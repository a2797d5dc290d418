#include "te_conv2d_dsp_s8.h"

#include "te_scale.h"
#include "te_window.h"

#define STEP_WORDS 2 /* of one pixel */

/* Where the columns of a window go: as words among those of the other pixels, or, where the runs of a
 * window are not whole steps, first as bytes one after the other. */
typedef struct {
    uint32_t *words;
    int8_t *bytes;
} te_sink;

static uint32_t *widen(uint32_t *to, const int8_t *from, int32_t steps)
{
    for (; steps > 0; steps--) {
        const uint32_t word = te_load_word(from);
        from += TE_DSP_STEP;
        to[0] = te_even_bytes(word);
        to[TE_DSP_PIXELS] = te_odd_bytes(word);
        to += STEP_WORDS * TE_DSP_PIXELS;
    }
    return to;
}

/* `count` columns from `from`, or of `padding` where that is NULL. */
static void put(te_sink *sink, const int8_t *from, int32_t padding, int32_t count)
{
    if (sink->bytes) {
        int8_t *to = sink->bytes;
        sink->bytes += count;
        for (; count > 0; count--) {
            *to++ = from ? *from++ : (int8_t)padding;
        }
    } else if (from) {
        sink->words = widen(sink->words, from, count / TE_DSP_STEP);
    } else {
        const uint32_t lanes = ((uint32_t)padding & 0xffffu) * 0x10001u;
        for (; count > 0; count -= TE_DSP_STEP / STEP_WORDS) {
            *sink->words = lanes;
            sink->words += TE_DSP_PIXELS;
        }
    }
}

/* The window of output cell (y, x). */
static void put_window(const te_conv2d_dsp *layer, const int8_t *input, int32_t y, int32_t x,
                       te_sink *sink)
{
    const te_window *window = &layer->window;
    const int32_t channels = layer->input.channels;
    const int32_t padding = -layer->activation.input_offset;
    const int32_t top = y * window->stride_height - window->padding_top;
    const int32_t left = x * window->stride_width - window->padding_left;
    const te_span columns = te_inside(left, 1, window->width, layer->input.width);
    const int32_t before = columns.first * channels;
    const int32_t inside = (columns.last - columns.first) * channels;
    const int32_t after = (window->width - columns.last) * channels;
    const int8_t *from = input + (top * layer->input.width + left) * channels + before;
    for (int32_t row = top; row < top + window->height; row++) {
        if (row < 0 || row >= layer->input.height || inside <= 0) {
            put(sink, 0, padding, window->width * channels);
        } else {
            put(sink, 0, padding, before);
            put(sink, from, padding, inside);
            put(sink, 0, padding, after);
        }
        from += layer->input.width * channels;
    }
}

/* Bias, scaling and activation of one channel of up to three cells. */
static void finish(const te_conv2d_dsp *layer, int32_t channel, const int32_t *sums, int32_t cells,
                   int8_t *output)
{
    const te_scale scale = te_scale_of(&layer->weights, &layer->activation, channel);
    const int plain = te_is_plain(&layer->activation);
    for (; cells > 0; cells--) {
        *output = te_activated(&layer->activation, plain,
                               te_scaled(&scale, *sums++ * scale.step + scale.bias));
        output += layer->output.channels;
    }
}

static void multiply(const te_conv2d_dsp *layer, const uint32_t *words, int32_t steps,
                     int32_t cells, int8_t *output)
{
    const int32_t channels = layer->output.channels;
    const uint8_t *weights = layer->weights.packed;
    for (int32_t channel = 0; channel < channels; channel += 2) {
        int32_t sums[2 * TE_DSP_PIXELS];
        const int32_t first = steps < layer->steps ? steps : layer->steps;
        weights = layer->dot(words, weights, first, sums);
        for (int32_t at = first; at < steps; at += layer->steps) {
            const int32_t count = steps - at < layer->steps ? steps - at : layer->steps;
            int32_t more[2 * TE_DSP_PIXELS];
            weights =
                layer->dot(words + at * STEP_WORDS * TE_DSP_PIXELS, weights, count, more);
            for (int32_t i = 0; i < 2 * TE_DSP_PIXELS; i++) {
                sums[i] += more[i];
            }
        }
        for (int32_t i = 0; i < 2 && channel + i < channels; i++) {
            finish(layer, channel + i, sums + i * TE_DSP_PIXELS, cells, output + channel + i);
        }
    }
}

void te_conv2d_dsp_s8(const te_conv2d_dsp *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch)
{
    const int32_t depth = layer->window.height * layer->window.width * layer->input.channels;
    const int32_t steps = (depth + TE_DSP_STEP - 1) / TE_DSP_STEP;
    const int32_t cells = layer->output.height * layer->output.width;
    uint32_t *words = (uint32_t *)(void *)scratch; /* the exporter aligns scratch to words */
    int8_t *bytes = layer->input.channels % TE_DSP_STEP == 0
                        ? 0
                        : (int8_t *)(words + steps * STEP_WORDS * TE_DSP_PIXELS);
    int32_t y = 0, x = 0;
    for (int32_t cell = 0; cell < cells; cell += TE_DSP_PIXELS) {
        const int32_t count = cells - cell < TE_DSP_PIXELS ? cells - cell : TE_DSP_PIXELS;
        for (int32_t pixel = 0; pixel < count; pixel++) {
            te_sink sink = {words + pixel, bytes};
            put_window(layer, input, y, x, &sink);
            if (bytes) {
                (void)widen(words + pixel, bytes, steps);
            }
            if (++x == layer->output.width) {
                x = 0;
                y++;
            }
        }
        multiply(layer, words, steps, count, output);
        output += count * layer->output.channels;
    }
}
