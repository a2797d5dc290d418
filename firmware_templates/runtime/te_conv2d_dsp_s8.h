/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution for cores with the DSP extension, for weights of 8 and 4 bits. */
#ifndef TE_CONV2D_DSP_S8_H
#define TE_CONV2D_DSP_S8_H

#include "te_dsp_dot.h"
#include "te_scale.h"

/* Two or three output cells at a time, `groups` times: what their windows hold is widened to 16 bits, once
 * for all output channels. Cells go row by row, whatever the width; the output may overwrite what
 * no later window holds. Weights as `dot` reads them, columns ordered (height, width, in).
 *
 * Scratch: `groups` times 8 bytes a cell for every step of four columns, and 4 bytes a step more, and 4,
 * where the input channels are no multiple of four. */
typedef struct {
    te_shape input;
    te_shape output;
    te_window window; /* dilations are 1 */
    te_activation activation;
    const uint8_t *packed;
    const te_scale *scale; /* bias holds the input's offset */
    te_dsp_dot dot;
    int32_t pixels;   /* cells of one `dot` */
    int32_t channels; /* output channels of one `dot`: a power of two */
    int32_t groups;   /* at most TE_DSP_CELLS / pixels */
    int32_t steps;    /* of a window */
    int32_t safe_steps; /* whose sums `dot` holds for sure */
} te_conv2d_dsp;

void te_conv2d_dsp_s8(const te_conv2d_dsp *layer, const int8_t *input, int8_t *output,
                      int8_t *scratch);

#endif
