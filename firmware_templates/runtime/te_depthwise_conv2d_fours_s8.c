/* SPDX-License-Identifier: Apache-2.0 */
/* A depthwise convolution of int8 weights, four channels at a time, cell by cell of the output. */
#include "te_depthwise_conv2d_cells.h"
#include "te_window.h"

#define GROUP 4

/* The part of a window inside the input, and where the next four channels are. */
typedef struct {
    const int32_t *bias;
    const int32_t *mantissa;
    const uint8_t *right;
    int8_t *output;
    int32_t twice;      /* the output's zero point, and 1 */
    const int8_t *cell;
    const int8_t *code;
    const int8_t *end;  /* where weights are after the last row */
    int32_t columns;
    int32_t skip;       /* bytes from behind a row's last cell to the next row's first */
    int32_t gap;        /* the same of weights */
    int32_t beside;     /* bytes from a cell to the one beside it */
    uint32_t offset;    /* the input's, in both halves */
    int32_t size;       /* of the weights of four channels */
    const int8_t *last; /* behind the outputs to make */
} te_block;

#if defined(TE_DSP)

enum {
    TE_AT(block, twice, 16),
    TE_AT(block, cell, 20),
    TE_AT(block, end, 28),
    TE_AT(block, columns, 32),
    TE_AT(block, gap, 40),
    TE_AT(block, offset, 48),
    TE_AT(block, last, 56)
};

/* r4-r7 sum four channels; r0 and r1 are at cells and weights, r2 is from cell to cell, r3 the offset,
 * r12 the block, lr the columns that are left. */
#define TE_CELL(place)                                                                             \
    "ldr r8, [r0" place "]\n"                                                                      \
    "ldr r9, [r1], #4\n"                                                                           \
    "sxtab16 r10, r3, r8\n"                                                                        \
    "sxtab16 r8, r3, r8, ror #8\n"                                                                 \
    "sxtb16 r11, r9\n"                                                                             \
    "sxtb16 r9, r9, ror #8\n"                                                                      \
    "smlabb r4, r10, r11, r4\n"                                                                    \
    "smlatt r6, r10, r11, r6\n"                                                                    \
    "smlabb r5, r8, r9, r5\n"                                                                      \
    "smlatt r7, r8, r9, r7\n"
#define TE_NEXT_ROW                                                                                \
    "ldr r8, [r12, #36]\n"                                                                         \
    "ldr r9, [r12, #40]\n"                                                                         \
    "ldr r10, [r12, #28]\n"                                                                        \
    "ldr lr, [r12, #32]\n"                                                                         \
    "add r0, r0, r8\n"                                                                             \
    "add r1, r1, r9\n"                                                                             \
    "cmp r1, r10\n"                                                                                \
    "bne 1b\n"
#define TE_PUT(sum)                                                                                \
    "ldr r8, [r0], #4\n"                                                                           \
    "ldr r9, [r1], #4\n"                                                                           \
    "ldrb r10, [r2], #1\n"                                                                         \
    "add r8, r8, " sum ", lsl #1\n"                                                                \
    "smmulr r8, r8, r9\n"                                                                          \
    "lsl r11, lr, r10\n"                                                                           \
    "add r8, r8, r8, asr #31\n"                                                                    \
    "add r8, r8, r11, asr #1\n"                                                                    \
    "asr r8, r8, r10\n"                                                                            \
    "ssat r8, #8, r8\n"                                                                            \
    "strb r8, [r3], #1\n"

/* A cell's outputs up to `last`, four at a time. */
__attribute__((naked, noinline)) static void make_cell(te_block *block __attribute__((unused)))
{
    __asm__("push {r4-r11, lr}\n"
            "mov r12, r0\n"
            "7: ldr r0, [r12, #20]\n"
            "ldr r1, [r12, #24]\n"
            "ldr r2, [r12, #44]\n"
            "ldr r3, [r12, #48]\n"
            "ldr lr, [r12, #32]\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "1: subs lr, lr, #3\n"
            "blo 4f\n"
            "2:" TE_CELL("") TE_CELL(", r2") TE_CELL(", r2, lsl #1") "add r0, r0, r2\n"
            "cmp lr, #0\n"
            "add r0, r0, r2, lsl #1\n"
            "bne 3f\n" TE_NEXT_ROW "b 6f\n"
            "3: subs lr, lr, #3\n"
            "bhs 2b\n"
            "4: add lr, lr, #3\n"
            "5:" TE_CELL("") "subs lr, lr, #1\n"
            "add r0, r0, r2\n"
            "bne 5b\n" TE_NEXT_ROW
            "6: ldm r12, {r0-r3, lr}\n" TE_PUT("r4") TE_PUT("r5") TE_PUT("r6") TE_PUT("r7")
            "stm r12, {r0-r3}\n"
            "ldr r4, [r12, #20]\n"
            "ldr r5, [r12, #24]\n"
            "ldr r6, [r12, #28]\n"
            "ldr r7, [r12, #52]\n"
            "ldr r8, [r12, #56]\n"
            "adds r4, r4, #4\n"
            "adds r5, r5, r7\n"
            "adds r6, r6, r7\n"
            "str r4, [r12, #20]\n"
            "str r5, [r12, #24]\n"
            "str r6, [r12, #28]\n"
            "cmp r3, r8\n"
            "bne 7b\n"
            "pop {r4-r11, pc}\n");
}

#else

static void make_cell(te_block *block)
{
    for (; block->output != block->last; block->output += GROUP) {
        int32_t sums[GROUP] = {0};
        const int8_t *cell = block->cell, *code = block->code;
        while (code != block->end) {
            for (int32_t i = block->columns; i > 0; i--) {
                for (int32_t channel = 0; channel < GROUP; channel++) {
                    sums[channel] += (cell[channel] + (int16_t)block->offset) * code[channel];
                }
                cell += block->beside;
                code += GROUP;
            }
            cell += block->skip;
            code += block->gap;
        }
        for (int32_t channel = 0; channel < GROUP; channel++) {
            const int32_t right = *block->right++;
            const int32_t rounding = (int32_t)((uint32_t)block->twice << right) >> 1;
            const int32_t sum =
                (int32_t)((uint32_t)sums[channel] * TE_SCALE_STEP + (uint32_t)*block->bias++);
            int32_t value = te_rounding_high_mul(sum, *block->mantissa++);
            value += value >> 31;
            block->output[channel] = (int8_t)te_saturate_s8((value + rounding) >> right);
        }
        block->cell += GROUP;
        block->code += block->size;
        block->end += block->size;
    }
}

#endif

/* The outputs of a cell from a channel on, up to another one. */
static void make_channels(const te_depthwise_cells *layer, te_block *block, const int8_t *cell,
                          const int8_t *code, int32_t rows, int32_t first, int32_t last,
                          int8_t *output)
{
    block->bias = layer->scale.bias + first;
    block->mantissa = layer->scale.mantissa + first;
    block->right = layer->scale.right + first;
    block->output = output + first;
    block->last = output + last;
    block->cell = cell + first;
    block->code = code + (first + GROUP - 1) / GROUP * block->size;
    block->end = block->code + rows * GROUP * layer->window.width;
    make_cell(block);
}

void te_depthwise_conv2d_fours_s8(const te_depthwise_cells *layer, const int8_t *input,
                                  int8_t *output, int8_t *scratch)
{
    const te_window *window = &layer->window;
    const int32_t channels = layer->output.channels, fours = channels / GROUP * GROUP;
    const int32_t width = layer->input.width, pitch = GROUP * window->width;
    const int8_t *weights = (const int8_t *)layer->packed;
    te_block block;
    (void)scratch;
    block.beside = window->dilation_width * channels;
    block.offset = ((uint32_t)layer->activation.input_offset & 0xffffu) * 0x10001u;
    block.twice = 2 * layer->activation.output_offset + 1;
    block.size = pitch * window->height;
    int32_t top = -window->padding_top;
    for (int32_t y = layer->output.height; y > 0; y--) {
        const te_span rows =
            te_inside(top, window->dilation_height, window->height, layer->input.height);
        const int32_t line = (top + rows.first * window->dilation_height) * width;
        int32_t left = -window->padding_left;
        for (int32_t x = layer->output.width; x > 0; x--) {
            const te_span columns = te_inside(left, window->dilation_width, window->width, width);
            const int32_t column = left + columns.first * window->dilation_width;
            const int8_t *cell = input + (line + column) * channels;
            const int8_t *code = weights + rows.first * pitch + GROUP * columns.first;
            block.columns = columns.last - columns.first;
            block.skip = window->dilation_height * width * channels - block.columns * block.beside;
            block.gap = pitch - GROUP * block.columns;
            make_channels(layer, &block, cell, code, rows.last - rows.first, 0, fours, output);
            if (fours != channels) {
                make_channels(layer, &block, cell, code, rows.last - rows.first, channels - GROUP,
                              channels, output);
            }
            output += channels;
            left += window->stride_width;
        }
        top += window->stride_height;
    }
}
