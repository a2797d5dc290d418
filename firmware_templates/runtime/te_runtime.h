/* SPDX-License-Identifier: Apache-2.0 */
/* tinyedge runtime: int8 kernels with TensorFlow Lite's arithmetic.
 *
 * Activations are int8, NHWC, batch 1. Weights are small integers, packed; the plain kernels read
 * them through the layer's `unpack` function, so they do not know how weights are stored. Fast kernels
 * read packings of their own. Kernels keep no state and call nothing but unpack functions, memcpy and memset.
 */
#ifndef TE_RUNTIME_H
#define TE_RUNTIME_H

#include <stdint.h>

#include "te_cpu.h"
#include "te_flash.h"

/* Packed weights and pairs of int8 are read as words whose first byte is the lowest. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tinyedge's kernels are for little-endian processors: on this one they would give other logits"
#endif

/* Where large constants, the arena and the state go, so that a footprint can tell them apart, and a
 * linker script place them. */
#if defined(__ELF__)
#define TE_WEIGHTS(name) __attribute__((section(".rodata.te_weights." #name), aligned(4)))
#define TE_ARENA __attribute__((section(".bss.te_arena"), aligned(4)))
#define TE_STATE __attribute__((section(".bss.te_state"), aligned(4)))
#else
#define TE_WEIGHTS(name) __attribute__((aligned(4)))
#define TE_ARENA __attribute__((aligned(4)))
#define TE_STATE __attribute__((aligned(4)))
#endif

/* In a build that watches the model, te_observe sees every layer's output as soon as it is complete;
 * in all others nothing is left of it. */
#ifdef TE_OBSERVED
void te_observe(uint32_t layer, const int8_t *output, uint32_t size);
#define TE_OBSERVE(layer, output, size) te_observe(layer, output, size)
#else
#define TE_OBSERVE(layer, output, size) ((void)0)
#endif

/* Where reading packed weights stands: the next byte, and what is left of the byte before. */
typedef struct {
    const TE_FLASH uint8_t *next;
    te_code rest;
    te_code count;
} te_stream;

/* Gives the next `count` weights as int8: either a pointer into the packed ones, where they already
 * are int8 and can be read as RAM is, or `scratch` (count bytes), filled. */
typedef const int8_t *(*te_unpack)(te_stream *stream, uint32_t count, int8_t *scratch);

/* Height, width (cells) and channels of an activation. */
typedef struct {
    int32_t height;
    int32_t width;
    int32_t channels;
} te_shape;

/* A window over rows and columns; strides and dilations are at least 1, padding at least 0. */
typedef struct {
    int32_t height;
    int32_t width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t padding_top;
    int32_t padding_left;
} te_window;

/* Weights of a layer. Arrays hold one value per output channel, the unit that codes are grouped by:
 * real multiplier = mantissa * 2^(shift - 31). */
typedef struct {
    const TE_FLASH uint8_t *packed;
    te_unpack unpack;
    const TE_FLASH uint8_t *step; /* what a unit of a code counts in the accumulator; NULL for 1 */
    const TE_FLASH int32_t *bias;
    const TE_FLASH int32_t *mantissa;
    const TE_FLASH int8_t *shift;
} te_weights;

static inline te_stream te_stream_of(const TE_FLASH uint8_t *packed)
{
    const te_stream stream = {packed, 0, 0};
    return stream;
}

static inline int32_t te_step(const TE_FLASH te_weights *weights, int32_t channel)
{
    return weights->step ? weights->step[channel] : 1;
}

/* What surrounds the accumulation: the input's negated zero point, the output's zero point, and the
 * fused activation as an int8 range. */
typedef struct {
    int32_t input_offset;
    int32_t output_offset;
    int32_t clamp_min;
    int32_t clamp_max;
} te_activation;

/* Weights ordered (out, height, width, in). Scratch: height * width * in bytes. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window;
    te_activation activation;
    te_weights weights;
} te_conv2d;

/* Weights ordered (out, height, width); output channel c reads input channel c / multiplier.
 * Scratch: height * width bytes. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window;
    te_activation activation;
    te_weights weights;
    int32_t multiplier;
} te_depthwise_conv2d;

/* Weights ordered (out, in). Scratch: `inputs` bytes. */
typedef struct {
    int32_t inputs;
    int32_t outputs;
    te_activation activation;
    te_weights weights;
} te_fully_connected;

/* How the two inputs of an element-wise operator are read: elements from one row, column and channel
 * of the output to the next. An axis that is repeated has stride 0. */
typedef struct {
    te_shape output;
    te_shape stride[2];
} te_elementwise;

/* Element-wise sum, or difference where `sign` is -1; multipliers are below one, so every shift is at
 * most 0. */
typedef struct {
    te_elementwise elements;
    int32_t sign;
    int32_t input_offset[2];
    int32_t mantissa[2];
    int32_t shift[2];
    int32_t output_mantissa;
    int32_t output_shift;
    int32_t output_offset;
    int32_t clamp_min;
    int32_t clamp_max;
} te_add;

/* Element-wise product. */
typedef struct {
    te_elementwise elements;
    int32_t input_offset[2];
    int32_t mantissa;
    int32_t shift;
    int32_t output_offset;
    int32_t clamp_min;
    int32_t clamp_max;
} te_mul;

/* The larger of two elements, or the smaller where `largest` is 0. */
typedef struct {
    te_elementwise elements;
    int32_t largest;
    int32_t clamp_min;
    int32_t clamp_max;
} te_extreme;

/* The first of two elements where it is positive, else their product. */
typedef struct {
    te_elementwise elements;
    int32_t input_offset[2];
    int32_t mantissa[2]; /* of the element, of the product */
    int32_t shift[2];
    int32_t output_offset;
    int32_t clamp_min;
    int32_t clamp_max;
} te_prelu;

/* What a row or column of the output is made of: two of the input, and how much of the second one, in
 * 1024ths. */
typedef struct {
    uint16_t first;
    uint16_t second;
    int16_t share;
} te_resize_cell;

/* Other numbers of rows and columns. */
typedef struct {
    te_shape input;
    te_shape output;
    const TE_FLASH te_resize_cell *rows;
    const TE_FLASH te_resize_cell *columns;
} te_resize;

#define TE_REARRANGE_AXES 4

/* Elements of the input in another order: those of an axis of the output lie `step` apart. */
typedef struct {
    int32_t first;
    int32_t size[TE_REARRANGE_AXES];
    int32_t step[TE_REARRANGE_AXES];
} te_rearrange;

#define TE_CONCATENATION_MAX 10

/* `repeats` times, so many bytes of each of `count` inputs in turn. */
typedef struct {
    int32_t count;
    int32_t repeats;
    int32_t bytes[TE_CONCATENATION_MAX];
} te_concatenation;

/* Input and output share one quantization; dilations are 1. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window;
    int32_t clamp_min;
    int32_t clamp_max;
} te_pool2d;

/* Mean over rows and columns, output (1, 1, channels). The multiplier divides by their number. */
typedef struct {
    te_shape input;
    int32_t input_offset;
    int32_t output_offset;
    int32_t mantissa;
    int32_t shift;
} te_mean;

/* Rows, columns and channels of `value` around the input. */
typedef struct {
    te_shape input;
    te_shape output;
    int32_t padding_top;
    int32_t padding_left;
    int32_t padding_channel;
    int32_t value;
} te_pad;

/* The same values on another int8 grid. */
typedef struct {
    int32_t size;
    int32_t mantissa;
    int32_t shift;
    te_activation activation;
} te_requantize;

/* A function of each element: table[value + 128]. */
typedef struct {
    int32_t size;
    const TE_FLASH int8_t *table;
} te_lookup;

/* Matrix products. Elements of a row of the first input, and of a column of the second, lie the second
 * number of `first_step` and `second_step` apart, the rows and columns the first; groups `*_group`. */
typedef struct {
    int32_t groups;
    int32_t rows;
    int32_t depth;
    int32_t columns;
    int32_t first_group;
    int32_t second_group;
    int32_t first_step[2];
    int32_t second_step[2];
    int32_t zero_point[2];
    int32_t mantissa;
    int32_t shift;
    int32_t output_zero_point;
} te_mat_mul;

/* The largest, or smallest, of `count` elements that lie `inner` apart. */
typedef struct {
    int32_t outer;
    int32_t count;
    int32_t inner;
    int32_t largest;
} te_arg_max;

/* Softmax over rows of `depth` elements. The multiplier, with shift >= 0, brings a difference of the
 * input to 5 integer bits; differences below `smallest` count as minus infinity. */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t mantissa;
    int32_t shift;
    int32_t smallest;
} te_softmax;

/* The logarithm of a softmax. The reverse multiplier, with shift <= 0, brings 5 integer bits back to a
 * difference. */
typedef struct {
    te_softmax softmax;
    int32_t reverse_mantissa;
    int32_t reverse_shift;
} te_log_softmax;

/* A long short-term memory. Gates are input, forget, cell and output; of these are `kernel` (units x
 * inputs each), `recurrent` (units x units) and `bias`. Multipliers are those of the kernels, of the
 * recurrent kernels, of forget gate and cell, of input and cell gate, of output gate and tanh. The
 * table is sigmoid(i / 24) in 16 bits. */
typedef struct {
    int32_t steps;
    int32_t inputs;
    int32_t units;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t tanh_multiplier;
    int32_t tanh_shift;
    int32_t cell_clip; /* 0 for none */
    const TE_FLASH int8_t *kernel;
    const TE_FLASH int8_t *recurrent;
    const TE_FLASH int32_t *bias;
    const TE_FLASH int32_t *mantissa;
    const TE_FLASH int8_t *shift;
    const TE_FLASH uint16_t *table;
} te_lstm;

/* A rank-limited filter over time; the filters of a unit lie behind each other. */
typedef struct {
    int32_t inputs;
    int32_t filters;
    int32_t length;
    int32_t units;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t memory_mantissa;
    int32_t memory_shift;
    int32_t output_mantissa;
    int32_t output_shift;
    const TE_FLASH int8_t *feature;
    const TE_FLASH int16_t *time;
    const TE_FLASH int32_t *bias;
} te_svdf;

/* The same with times and cells of 8 bits. */
typedef struct {
    int32_t inputs;
    int32_t filters;
    int32_t length;
    int32_t units;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t memory_zero_point;
    int32_t memory_mantissa;
    int32_t memory_shift;
    int32_t output_mantissa;
    int32_t output_shift;
    const TE_FLASH int8_t *feature;
    const TE_FLASH int8_t *time;
    const TE_FLASH int32_t *bias;
} te_svdf_narrow;

void te_conv2d_s8(const TE_FLASH te_conv2d *layer, const int8_t *input, int8_t *output,
                  int8_t *scratch);
void te_depthwise_conv2d_s8(const TE_FLASH te_depthwise_conv2d *layer, const int8_t *input,
                            int8_t *output, int8_t *scratch);
void te_fully_connected_s8(const TE_FLASH te_fully_connected *layer, const int8_t *input,
                           int8_t *output, int8_t *scratch);
void te_add_s8(const TE_FLASH te_add *layer, const int8_t *first, const int8_t *second,
               int8_t *output);
/* The same for inputs of one shape, by tables of all 256 values of each: 2048 bytes of scratch. */
void te_add_lookup_s8(const TE_FLASH te_add *layer, const int8_t *first, const int8_t *second,
                      int8_t *output, int8_t *scratch);
void te_mul_s8(const TE_FLASH te_mul *layer, const int8_t *first, const int8_t *second,
               int8_t *output);
void te_extreme_s8(const TE_FLASH te_extreme *layer, const int8_t *first, const int8_t *second,
                   int8_t *output);
void te_prelu_s8(const TE_FLASH te_prelu *layer, const int8_t *first, const int8_t *second,
                 int8_t *output);
void te_resize_nearest_s8(const TE_FLASH te_resize *layer, const int8_t *input, int8_t *output);
void te_resize_bilinear_s8(const TE_FLASH te_resize *layer, const int8_t *input, int8_t *output);
void te_rearrange_s8(const TE_FLASH te_rearrange *layer, const int8_t *input, int8_t *output);
void te_concatenation_s8(const TE_FLASH te_concatenation *layer, const int8_t *const *inputs,
                         int8_t *output);
void te_average_pool2d_s8(const TE_FLASH te_pool2d *layer, const int8_t *input, int8_t *output);
void te_max_pool2d_s8(const TE_FLASH te_pool2d *layer, const int8_t *input, int8_t *output);
void te_mean_s8(const TE_FLASH te_mean *layer, const int8_t *input, int8_t *output);
void te_pad_s8(const TE_FLASH te_pad *layer, const int8_t *input, int8_t *output);
void te_requantize_s8(const TE_FLASH te_requantize *layer, const int8_t *input, int8_t *output);
void te_lookup_s8(const TE_FLASH te_lookup *layer, const int8_t *input, int8_t *output);
/* `last` is the output before, `cells` are 16 bits each, the lower byte first. The output holds the
 * outputs of all steps, and then the cells. */
void te_lstm_s8(const TE_FLASH te_lstm *layer, const int8_t *sequence, const int8_t *last,
                const int8_t *cells, int8_t *output);
/* The memory is of 16 bits, likewise; the output holds a value a unit, and then the memory. */
void te_svdf_s8(const TE_FLASH te_svdf *layer, const int8_t *input, const int8_t *memory,
                int8_t *output);
void te_svdf_narrow_s8(const TE_FLASH te_svdf_narrow *layer, const int8_t *input,
                       const int8_t *memory, int8_t *output);
void te_mat_mul_s8(const TE_FLASH te_mat_mul *layer, const int8_t *first, const int8_t *second,
                   int8_t *output);
/* The output holds an int32 in every four bytes, the lowest byte first. */
void te_arg_max_s8(const TE_FLASH te_arg_max *layer, const int8_t *input, int8_t *output);
void te_softmax_s8(const TE_FLASH te_softmax *layer, const int8_t *input, int8_t *output);
void te_log_softmax_s8(const TE_FLASH te_log_softmax *layer, const int8_t *input, int8_t *output);

/* 8 weights a byte, lowest bit first: 0 is -1, 1 is +1. */
const int8_t *te_unpack_binary(te_stream *stream, uint32_t count, int8_t *scratch);
/* 4 weights a byte, lowest bits first: weight + 1. */
const int8_t *te_unpack_ternary(te_stream *stream, uint32_t count, int8_t *scratch);
/* 5 weights a byte in base 3, lowest digit first: weight + 1. */
const int8_t *te_unpack_ternary_base3(te_stream *stream, uint32_t count, int8_t *scratch);
/* Bits, lowest of a byte first: 0 is a zero, 1 0 is +1, 1 1 is -1. */
const int8_t *te_unpack_ternary_prefix(te_stream *stream, uint32_t count, int8_t *scratch);
/* 2 weights a byte, lowest bits first: two's complement. */
const int8_t *te_unpack_int4(te_stream *stream, uint32_t count, int8_t *scratch);
/* Plain int8; no scratch needed but where flash is read in another way than RAM. */
const int8_t *te_unpack_int8(te_stream *stream, uint32_t count, int8_t *scratch);

#endif
