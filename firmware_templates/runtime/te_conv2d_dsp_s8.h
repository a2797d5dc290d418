/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution for cores with the DSP extension, for weights of 8 and 4 bits. */
#ifndef TE_CONV2D_DSP_S8_H
#define TE_CONV2D_DSP_S8_H

#include "te_dsp_dot.h"
#include "te_scale.h"

typedef struct te_conv2d_dsp te_conv2d_dsp;

/* All output channels of some cells, whose widened windows are given. */
typedef void (*te_dsp_multiplier)(const te_conv2d_dsp *layer, const uint32_t *words, int32_t cells,
                                  int8_t *output);

/* Two or three output cells at a time, `groups` times: what their windows hold is widened to 16 bits, once
 * for all output channels. Cells go row by row, whatever the width; the output may overwrite what
 * no later window holds. Weights as `dot` reads them, columns ordered (height, width, in).
 *
 * Scratch: `groups` times 8 bytes a cell for every step of four columns, and 4 bytes a step more, and 4,
 * where the input channels are no multiple of four. */
struct te_conv2d_dsp {
    te_shape input;
    te_shape output;
    te_window window; /* dilations are 1 */
    te_activation activation;
    const uint8_t *packed;
    te_scales scale; /* bias holds the input's offset */
    te_dsp_multiplier multiply;
    te_dsp_dot dot;
    int32_t pixels;   /* cells of one `dot` */
    int32_t channels; /* output channels of one `dot`: a power of two */
    int32_t groups;   /* at most TE_DSP_CELLS / pixels */
    int32_t steps;    /* of a window */
    int32_t safe_steps; /* whose sums `dot` holds for sure */
};

/* By `dot`, any scaling and activation. */
void te_dsp_multiply(const te_conv2d_dsp *layer, const uint32_t *words, int32_t cells,
                     int8_t *output);

/* Without `dot`: two cells of four channels at a time, weights as te_dsp_dot2_int8 reads them. Output
 * channels are a multiple of four, a window's sums are safe, no channel has a step, outputs take the
 * whole int8 range, and every shift to the right is at least 1, unless nothing lies below the zero
 * point -128. */
void te_dsp_quads_int8(const te_conv2d_dsp *layer, const uint32_t *words, int32_t cells,
                       int8_t *output);

void te_conv2d_dsp_s8(const te_conv2d_dsp *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch);

#endif
