/* Prepares a model's layers for a path, and runs them on many samples. */
#include "te_host.h"

#include <stdlib.h>
#include <string.h>

#include "te_host_path.h"
#include "te_window.h"

/* Bytes of gathered inputs that should stay in a processor's first caches. */
#define GATHERED (48 * 1024)
#define ALIGNMENT 64
/* Bytes that are gathered of a sample at most: places in it are 32 bits. A layer of more is left to the
 * plain kernels. */
#define MOST_GATHERED ((uint64_t)1 << 28)

/* The input of a windowed layer is gathered with its padding around it, several samples at a time: then
 * every window is a few runs of memory, the same for all pixels. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window;
    int32_t repeats;  /* of every channel */
    int32_t channels; /* in gathered elements, repeated and filled up */
    int32_t rows;     /* gathered ones */
    int32_t columns;
    int32_t added;  /* to every value */
    int32_t filler; /* an element of the padding */
    int32_t element;
    size_t bytes; /* a sample */
} te_gathering;

typedef struct {
    int plain; /* too large to be gathered */
    te_gathering gathering;
    te_host_runs runs; /* of a depthwise convolution: its taps, an even number */
    int32_t *offsets;
    int32_t samples;     /* gathered at a time */
    int32_t pixels;      /* of a sample's output */
    int32_t *places;     /* of the pixels of all those samples, in bytes */
    int32_t blocks;      /* of output channels */
    size_t block_bytes;  /* of weights */
    size_t block_offset; /* of gathered elements: a depthwise convolution's block reads its own */
    void *weights;
    te_host_scale *scales;
    te_host_range range;
} te_layer;

struct te_host {
    const te_host_program *program;
    const te_host_path *path; /* NULL: plain */
    int32_t samples;
    te_layer *layers; /* one a step */
    size_t scratch;
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int32_t up(int32_t value, int32_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static int32_t wrapped(int64_t value)
{
    return (int32_t)(uint32_t)(uint64_t)value;
}

/* Values + bytes of padding of one row; `input` is NULL for a row of padding alone. */
static uint8_t *gather_row(const te_gathering *how, te_host_copy copy, const int8_t *input,
                           uint8_t *out)
{
    const int32_t channels = how->input.channels, left = how->window.padding_left;
    const int32_t before = input ? (left < how->columns ? left : how->columns) : how->columns;
    int32_t inside = how->columns - before;
    if (inside > how->input.width) {
        inside = how->input.width;
    }
    const int32_t after = how->columns - before - inside;
    const int32_t fill[2] = {before, after};
    for (int side = 0; side < 2; side++) {
        const int32_t count = fill[side] * how->channels;
        if (how->element == 1) {
            memset(out, how->filler, (size_t)count);
        } else {
            memset(out, 0, 2 * (size_t)count); /* int16 less the zero point */
        }
        out += how->element * count;
        if (side == 1 || inside == 0) {
            continue;
        }
        if (how->channels == channels) {
            copy(input, out, how->added, inside * channels);
        } else if (how->repeats == 1) {
            for (int32_t x = 0; x < inside; x++) {
                copy(input + x * channels, out + how->element * x * how->channels, how->added,
                     channels);
            }
        } else { /* depthwise: elements are int16 */
            for (int32_t x = 0; x < inside; x++) {
                int16_t values[1];
                uint8_t *cell = out + 2 * x * how->channels;
                for (int32_t channel = 0; channel < channels * how->repeats; channel++) {
                    values[0] = (int16_t)(input[x * channels + channel / how->repeats] + how->added);
                    memcpy(cell + 2 * channel, values, 2);
                }
            }
        }
        out += how->element * inside * how->channels;
    }
    return out;
}

static void gather(const te_gathering *how, te_host_copy copy, const int8_t *input, uint8_t *out)
{
    const int32_t line = how->input.width * how->input.channels;
    for (int32_t row = 0; row < how->rows; row++) {
        const int32_t y = row - how->window.padding_top;
        out = gather_row(how, copy, y >= 0 && y < how->input.height ? input + y * line : NULL, out);
    }
}

/* Zeros that begin a cache line; the address that free takes lies before them. */
static void *allocated(size_t bytes)
{
    uint8_t *whole = calloc(1, bytes + TE_HOST_SLACK + ALIGNMENT + sizeof(void *));
    if (!whole) {
        return NULL;
    }
    uint8_t *memory = whole + sizeof(void *);
    memory += -(uintptr_t)memory & (ALIGNMENT - 1);
    memcpy(memory - sizeof(void *), &whole, sizeof(void *));
    return memory;
}

static void released(void *memory)
{
    if (memory) {
        void *whole;
        memcpy(&whole, (uint8_t *)memory - sizeof(void *), sizeof(void *));
        free(whole);
    }
}

/* What windows reach along an axis. */
static uint64_t reach(int32_t outputs, int32_t stride, int32_t window, int32_t dilation)
{
    return (uint64_t)(outputs - 1) * (uint64_t)stride +
           (uint64_t)(window - 1) * (uint64_t)dilation + 1;
}

/* Shapes of what is gathered, and the place of every pixel in it. */
static int prepare_gathering(te_layer *layer, int32_t most)
{
    te_gathering *how = &layer->gathering;
    const te_window *window = &how->window;
    const uint64_t rows = reach(how->output.height, window->stride_height, window->height,
                                window->dilation_height);
    const uint64_t columns = reach(how->output.width, window->stride_width, window->width,
                                   window->dilation_width);
    const size_t cell = (size_t)how->element * (size_t)how->channels;
    if (rows > MOST_GATHERED || columns > MOST_GATHERED / rows ||
        cell > MOST_GATHERED / (rows * columns)) {
        layer->plain = 1;
        return 1;
    }
    how->rows = (int32_t)rows;
    how->columns = (int32_t)columns;
    how->bytes = (size_t)(rows * columns) * cell;
    layer->samples = how->bytes < GATHERED ? (int32_t)(GATHERED / how->bytes) : 1;
    if (layer->samples > most) {
        layer->samples = most;
    }
    layer->pixels = how->output.height * how->output.width;
    layer->places = allocated(sizeof *layer->places * (size_t)(layer->samples * layer->pixels));
    if (!layer->places) {
        return 0;
    }
    int32_t *place = layer->places;
    for (int32_t sample = 0; sample < layer->samples; sample++) {
        for (int32_t y = 0; y < how->output.height; y++) {
            for (int32_t x = 0; x < how->output.width; x++) {
                const int32_t row = y * window->stride_height, column = x * window->stride_width;
                *place++ = (int32_t)((size_t)sample * how->bytes +
                                     (size_t)(row * how->columns + column) * cell);
            }
        }
    }
    return 1;
}

/* What follows the sums: `sum` is that of the weights, each of which met `zero` more than it should. */
static void prepare_scale(te_layer *layer, const te_weights *weights, int32_t channel, int32_t sum,
                          int32_t zero)
{
    te_host_scale *scale = &layer->scales[channel / TE_HOST_LANES];
    const int32_t lane = channel % TE_HOST_LANES;
    const int32_t step = te_step(weights, channel), shift = weights->shift[channel];
    const int32_t right = shift < 0 ? -shift : 0;
    const int32_t mask = (int32_t)(((uint32_t)1 << right) - 1u);
    scale->of[TE_HOST_BIAS][lane] = wrapped(weights->bias[channel] - (int64_t)step * zero * sum);
    scale->of[TE_HOST_STEP][lane] = step;
    scale->usual = (lane == 0 || scale->usual) && step == 1 && shift <= 0;
    scale->of[TE_HOST_LEFT][lane] = shift > 0 ? shift : 0;
    scale->of[TE_HOST_MANTISSA][lane] = weights->mantissa[channel];
    scale->of[TE_HOST_RIGHT][lane] = right;
    scale->of[TE_HOST_MASK][lane] = mask;
    scale->of[TE_HOST_THRESHOLD][lane] = mask >> 1;
}

static void put_weight(const te_host_path *path, void *weights, size_t group, int32_t lane,
                       int32_t element, int8_t value)
{
    const size_t all = TE_HOST_LANES * (size_t)path->group;
    const size_t at = group * all + (size_t)(path->paired ? lane * path->group + element
                                                          : element * TE_HOST_LANES + lane);
    if (path->weight == 1) {
        ((int8_t *)weights)[at] = value;
    } else {
        ((int16_t *)weights)[at] = value;
    }
}

static void activation_of(te_layer *layer, const te_host_path *path, const te_activation *found)
{
    te_gathering *how = &layer->gathering;
    how->element = path->element;
    how->added = path->element == 1 ? path->bias : found->input_offset;
    how->filler = path->element == 1 ? path->bias - found->input_offset : 0;
    layer->range.output_offset = found->output_offset;
    layer->range.clamp_min = found->clamp_min;
    layer->range.clamp_max = found->clamp_max;
}

static int prepare_conv2d(te_layer *layer, const te_host_path *path, const te_conv2d *conv,
                          int32_t most)
{
    te_gathering *how = &layer->gathering;
    const te_window *window = &conv->window;
    const int32_t channels = conv->input.channels, outputs = conv->output.channels;
    how->input = conv->input;
    how->output = conv->output;
    how->window = *window;
    how->repeats = 1;
    how->channels = channels;
    activation_of(layer, path, &conv->activation);
    if (!prepare_gathering(layer, most)) {
        return 0;
    }
    if (layer->plain) {
        return 1;
    }
    /* Cells of a row touch, unless the window is dilated. */
    const int32_t apart = window->dilation_width > 1 ? window->width : 1;
    const int32_t length = apart > 1 ? channels : window->width * channels;
    layer->runs.count = window->height * apart;
    layer->runs.groups = up(length, path->group) / path->group;
    layer->blocks = up(outputs, TE_HOST_LANES) / TE_HOST_LANES;
    const size_t groups = (size_t)(layer->runs.count * layer->runs.groups);
    layer->block_bytes =
        aligned(groups * TE_HOST_LANES * (size_t)(path->group * path->weight));
    layer->offsets = allocated(sizeof *layer->offsets * (size_t)layer->runs.count);
    layer->weights = allocated(layer->block_bytes * (size_t)layer->blocks);
    layer->scales = allocated(sizeof *layer->scales * (size_t)layer->blocks);
    const int32_t count = window->height * window->width * channels;
    int8_t *row = allocated((size_t)count);
    if (!layer->offsets || !layer->weights || !layer->scales || !row) {
        released(row);
        return 0;
    }
    for (int32_t run = 0; run < layer->runs.count; run++) {
        const int32_t y = run / apart * window->dilation_height;
        const int32_t x = run % apart * window->dilation_width;
        layer->offsets[run] = (y * how->columns + x) * channels * how->element;
    }
    layer->runs.offsets = layer->offsets;
    te_stream stream = te_stream_of(conv->weights.packed);
    for (int32_t channel = 0; channel < outputs; channel++) {
        const int8_t *codes = conv->weights.unpack(&stream, (uint32_t)count, row);
        uint8_t *block =
            (uint8_t *)layer->weights + (size_t)(channel / TE_HOST_LANES) * layer->block_bytes;
        int32_t sum = 0;
        for (int32_t i = 0; i < count; i++) {
            const int32_t run = i / length, inside = i % length;
            put_weight(path, block, (size_t)(run * layer->runs.groups + inside / path->group),
                       channel % TE_HOST_LANES, inside % path->group, codes[i]);
            sum += codes[i];
        }
        prepare_scale(layer, &conv->weights, channel, sum, how->filler);
    }
    released(row);
    return 1;
}

static int prepare_depthwise(te_layer *layer, const te_host_path *path,
                             const te_depthwise_conv2d *conv, int32_t most)
{
    te_gathering *how = &layer->gathering;
    const te_window *window = &conv->window;
    const int32_t outputs = conv->output.channels, taps = window->height * window->width;
    how->input = conv->input;
    how->output = conv->output;
    how->window = *window;
    how->repeats = conv->multiplier;
    how->channels = up(outputs, TE_HOST_LANES);
    activation_of(layer, path, &conv->activation);
    how->element = 2;
    how->added = conv->activation.input_offset;
    how->filler = 0;
    if (!prepare_gathering(layer, most)) {
        return 0;
    }
    if (layer->plain) {
        return 1;
    }
    layer->runs.count = up(taps, 2);
    layer->blocks = how->channels / TE_HOST_LANES;
    layer->block_bytes = aligned(2 * TE_HOST_LANES * (size_t)layer->runs.count);
    layer->block_offset = 2 * TE_HOST_LANES;
    layer->offsets = allocated(sizeof *layer->offsets * (size_t)layer->runs.count);
    layer->weights = allocated(layer->block_bytes * (size_t)layer->blocks);
    layer->scales = allocated(sizeof *layer->scales * (size_t)layer->blocks);
    int8_t *row = allocated((size_t)taps);
    if (!layer->offsets || !layer->weights || !layer->scales || !row) {
        released(row);
        return 0;
    }
    for (int32_t tap = 0; tap < taps; tap++) { /* one more has weights of zero */
        const int32_t y = tap / window->width * window->dilation_height;
        const int32_t x = tap % window->width * window->dilation_width;
        layer->offsets[tap] = (y * how->columns + x) * how->channels * how->element;
    }
    layer->runs.offsets = layer->offsets;
    te_stream stream = te_stream_of(conv->weights.packed);
    for (int32_t channel = 0; channel < outputs; channel++) {
        const int8_t *codes = conv->weights.unpack(&stream, (uint32_t)taps, row);
        int16_t *block = (int16_t *)((uint8_t *)layer->weights +
                                     (size_t)(channel / TE_HOST_LANES) * layer->block_bytes);
        for (int32_t tap = 0; tap < taps; tap++) {
            block[tap * TE_HOST_LANES + channel % TE_HOST_LANES] = codes[tap];
        }
        prepare_scale(layer, &conv->weights, channel, 0, 0);
    }
    released(row);
    return 1;
}

/* A convolution of one pixel. */
static int prepare_fully_connected(te_layer *layer, const te_host_path *path,
                                   const te_fully_connected *product, int32_t most)
{
    const te_conv2d conv = {
        {1, 1, product->inputs},        {1, 1, product->outputs}, {1, 1, 1, 1, 1, 1, 0, 0},
        product->activation, product->weights,
    };
    return prepare_conv2d(layer, path, &conv, most);
}

static void run_windowed(const te_layer *layer, const te_host_path *path, int depthwise,
                         const int8_t *input, int8_t *output, int32_t count, uint8_t *gathered)
{
    const te_gathering *how = &layer->gathering;
    const te_host_copy copy = depthwise ? path->widen : path->copy;
    const size_t input_size =
        (size_t)how->input.height * (size_t)how->input.width * (size_t)how->input.channels;
    const int32_t outputs = how->output.channels;
    int32_t sums[TE_HOST_MAX_PIXELS * TE_HOST_LANES];
    const uint8_t *pixels[TE_HOST_MAX_PIXELS];
    for (int32_t done = 0; done < count; done += layer->samples) {
        const int32_t samples = count - done < layer->samples ? count - done : layer->samples;
        const int32_t all = samples * layer->pixels;
        for (int32_t i = 0; i < samples; i++) {
            gather(how, copy, input + (size_t)(done + i) * input_size,
                   gathered + (size_t)i * how->bytes);
        }
        int8_t *first = output + (size_t)done * (size_t)layer->pixels * (size_t)outputs;
        for (int32_t block = 0; block < layer->blocks; block++) {
            const uint8_t *weights =
                (const uint8_t *)layer->weights + (size_t)block * layer->block_bytes;
            const uint8_t *from = gathered + (size_t)block * layer->block_offset;
            const int32_t channel = block * TE_HOST_LANES;
            const int32_t live =
                outputs - channel < TE_HOST_LANES ? outputs - channel : TE_HOST_LANES;
            for (int32_t pixel = 0; pixel < all; pixel += path->pixels) {
                const int32_t left = all - pixel < path->pixels ? all - pixel : path->pixels;
                for (int32_t i = 0; i < path->pixels; i++) { /* where few are left, the last again */
                    pixels[i] = from + layer->places[pixel + (i < left ? i : left - 1)];
                }
                if (depthwise) {
                    path->taps(pixels, left, layer->runs.offsets, layer->runs.count,
                               (const int16_t *)weights, sums);
                } else {
                    path->products(pixels, &layer->runs, weights, sums);
                }
                path->requantize(sums, left, &layer->scales[block], &layer->range,
                                 first + (size_t)pixel * (size_t)outputs + channel,
                                 (size_t)outputs, live);
            }
        }
    }
}

static int is_flat(const te_elementwise *elements)
{
    for (int which = 0; which < 2; which++) {
        const te_shape *stride = &elements->stride[which], *shape = &elements->output;
        if ((shape->channels > 1 && stride->channels != 1) ||
            (shape->width > 1 && stride->width != shape->channels) ||
            (shape->height > 1 && stride->height != shape->width * shape->channels)) {
            return 0;
        }
    }
    return 1;
}

static void run_add(const te_add *layer, const te_host_path *path, const int8_t *first,
                    const int8_t *second, int8_t *output, size_t count)
{
    te_host_sum sum;
    for (int which = 0; which < 2; which++) {
        sum.offset[which] = layer->input_offset[which];
        sum.mantissa[which] = layer->mantissa[which];
        sum.right[which] = -layer->shift[which];
    }
    sum.sign = layer->sign;
    sum.output_mantissa = layer->output_mantissa;
    sum.output_right = -layer->output_shift;
    sum.range.output_offset = layer->output_offset;
    sum.range.clamp_min = layer->clamp_min;
    sum.range.clamp_max = layer->clamp_max;
    path->add(&sum, first, second, output, count);
}

static const te_host_path *const paths[] = {
#if defined(__x86_64__)
    &te_host_avx512vnni,
    &te_host_avx2,
#elif defined(__aarch64__)
    &te_host_neon,
#endif
    NULL,
};

/* The path of a name, or the fastest; NULL: plain C. */
static const te_host_path *path_of(const char *name)
{
    const te_host_path *const *path = paths;
    if (name && strcmp(name, "plain") == 0) {
        return NULL;
    }
    while (*path && ((name && strcmp(name, (*path)->name) != 0) || !(*path)->usable())) {
        path++;
    }
    return *path;
}

int tinyedge_host_has(const char *name)
{
    return strcmp(name, "plain") == 0 || path_of(name) != NULL;
}

te_host *tinyedge_host_open(const char *name, int32_t samples)
{
    const te_host_program *program = &tinyedge_host_program;
    te_host *host = calloc(1, sizeof *host);
    if (!host) {
        return NULL;
    }
    host->program = program;
    host->path = path_of(name);
    host->samples = samples;
    host->scratch = program->scratch;
    host->layers = calloc((size_t)program->step_count + 1, sizeof *host->layers);
    if (!host->layers) {
        free(host);
        return NULL;
    }
    for (int32_t i = 0; host->path && i < program->step_count; i++) {
        const te_host_step *step = &program->steps[i];
        te_layer *layer = &host->layers[i];
        int fits = 1;
        if (step->kind == TE_HOST_CONV2D) {
            fits = prepare_conv2d(layer, host->path, step->layer, samples);
        } else if (step->kind == TE_HOST_DEPTHWISE_CONV2D) {
            fits = prepare_depthwise(layer, host->path, step->layer, samples);
        } else if (step->kind == TE_HOST_FULLY_CONNECTED) {
            fits = prepare_fully_connected(layer, host->path, step->layer, samples);
        }
        if (!fits) {
            tinyedge_host_close(host);
            return NULL;
        }
        const size_t bytes = (size_t)layer->samples * layer->gathering.bytes;
        host->scratch = bytes > host->scratch ? bytes : host->scratch;
    }
    return host;
}

void tinyedge_host_close(te_host *host)
{
    for (int32_t i = 0; i < host->program->step_count; i++) {
        released(host->layers[i].places);
        released(host->layers[i].offsets);
        released(host->layers[i].weights);
        released(host->layers[i].scales);
    }
    free(host->layers);
    free(host);
}

const char *tinyedge_host_path(const te_host *host)
{
    return host->path ? host->path->name : "plain";
}

/* Behind each other: scratch and what is gathered, arena, states. */
static size_t arena_at(const te_host *host)
{
    return aligned(host->scratch + TE_HOST_SLACK);
}

static size_t states_at(const te_host *host)
{
    return arena_at(host) + aligned((size_t)host->program->arena * (size_t)host->samples);
}

uint64_t tinyedge_host_workspace(const te_host *host)
{
    return states_at(host) + (size_t)host->program->kept * (size_t)host->samples + ALIGNMENT;
}

typedef struct {
    uint8_t *workspace;
    int8_t *arena;
    int8_t *states;
    int32_t count;
} te_memory;

static int8_t *place_of(const te_memory *memory, size_t samples, const te_host_tensor *tensor)
{
    return (tensor->memory == TE_HOST_STATES ? memory->states : memory->arena) +
           samples * tensor->offset;
}

static const int8_t *sample_of(const te_memory *memory, size_t samples,
                               const te_host_tensor *tensor, int32_t index)
{
    return tensor->memory == TE_HOST_CONSTANT
               ? tensor->constant
               : place_of(memory, samples, tensor) + (size_t)index * tensor->size;
}

static void run_step(const te_host *host, const te_host_step *step, const te_layer *layer,
                     const te_memory *memory)
{
    const te_host_path *path = host->path;
    const size_t samples = (size_t)host->samples;
    const te_host_tensor *first = &step->inputs[0], *second = &step->inputs[1];
    int8_t *output = place_of(memory, samples, &step->output);
    const int windowed = step->kind != TE_HOST_OTHER && step->kind != TE_HOST_ADD;
    if (path && windowed && !layer->plain) {
        run_windowed(layer, path, step->kind == TE_HOST_DEPTHWISE_CONV2D,
                     sample_of(memory, samples, first, 0), output, memory->count,
                     memory->workspace);
        return;
    }
    if (path && step->kind == TE_HOST_ADD && is_flat(step->layer)) {
        const int whole =
            first->memory != TE_HOST_CONSTANT && second->memory != TE_HOST_CONSTANT;
        const int32_t each = whole ? memory->count : 1;
        for (int32_t i = 0; i < memory->count; i += each) {
            run_add(step->layer, path, sample_of(memory, samples, first, i),
                    sample_of(memory, samples, second, i),
                    output + (size_t)i * step->output.size, (size_t)each * step->output.size);
        }
        return;
    }
    for (int32_t i = 0; i < memory->count; i++) {
        const int8_t *inputs[TE_CONCATENATION_MAX];
        for (int32_t which = 0; which < step->count; which++) {
            inputs[which] = sample_of(memory, samples, &step->inputs[which], i);
        }
        step->plain(inputs, output + (size_t)i * step->output.size, (int8_t *)memory->workspace);
    }
}

/* States take their next values as soon as these are there and nothing reads the old ones. */
static void keep(const te_host_program *program, int32_t after, const te_memory *memory,
                 size_t samples)
{
    for (int32_t i = 0; i < program->state_count; i++) {
        const te_host_state *state = &program->states[i];
        if (state->after == after) {
            memcpy(place_of(memory, samples, &state->tensor),
                   place_of(memory, samples, &state->next),
                   (size_t)memory->count * state->next.size);
        }
    }
}

static void run_part(const te_host *host, const int8_t *inputs, int8_t *outputs, int32_t frames,
                     const te_memory *memory)
{
    const te_host_program *program = host->program;
    const size_t samples = (size_t)host->samples;
    const size_t from = program->input.size, to = program->output.size;
    for (int32_t i = 0; i < program->state_count; i++) {
        const te_host_state *state = &program->states[i];
        int8_t *at = place_of(memory, samples, &state->tensor);
        for (int32_t k = 0; k < memory->count; k++, at += state->tensor.size) {
            if (state->initial) {
                memcpy(at, state->initial, state->tensor.size);
            } else {
                memset(at, state->fill, state->tensor.size);
            }
        }
    }
    for (int32_t frame = 0; frame < frames; frame++) {
        for (int32_t k = 0; k < memory->count; k++) {
            const size_t at = (size_t)k * (size_t)frames + (size_t)frame;
            memcpy(place_of(memory, samples, &program->input) + (size_t)k * from,
                   inputs + at * from, from);
        }
        keep(program, -1, memory, samples);
        for (int32_t i = 0; i < program->step_count; i++) {
            run_step(host, &program->steps[i], &host->layers[i], memory);
            keep(program, i, memory, samples);
        }
        for (int32_t k = 0; k < memory->count; k++) {
            const size_t at = (size_t)k * (size_t)frames + (size_t)frame;
            memcpy(outputs + at * to, place_of(memory, samples, &program->output) + (size_t)k * to,
                   to);
        }
    }
}

void tinyedge_host_run(const te_host *host, const int8_t *inputs, int8_t *outputs, int32_t count,
                       int32_t frames, void *workspace)
{
    const size_t from = (size_t)frames * host->program->input.size;
    const size_t to = (size_t)frames * host->program->output.size;
    te_memory memory;
    memory.workspace = (uint8_t *)workspace + (-(uintptr_t)workspace & (ALIGNMENT - 1));
    memory.arena = (int8_t *)memory.workspace + arena_at(host);
    memory.states = (int8_t *)memory.workspace + states_at(host);
    for (int32_t done = 0; done < count; done += host->samples) {
        memory.count = count - done < host->samples ? count - done : host->samples;
        run_part(host, inputs + (size_t)done * from, outputs + (size_t)done * to, frames, &memory);
    }
}
