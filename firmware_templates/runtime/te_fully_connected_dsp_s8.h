/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layers for cores with the DSP extension, for weights of 8 and 4 bits. */
#ifndef TE_FULLY_CONNECTED_DSP_S8_H
#define TE_FULLY_CONNECTED_DSP_S8_H

#include "te_dsp_dot.h"
#include "te_scale.h"

/* Two outputs at a time. The input is widened to scratch first, so the output may overwrite it.
 *
 * Scratch: 8 bytes for every step of four inputs. */
typedef struct {
    int32_t inputs;
    int32_t outputs;
    te_activation activation;
    const uint8_t *packed;
    te_scales scale; /* bias holds the input's offset */
    te_dsp_dot dot;     /* for one pixel */
    int32_t steps;
    int32_t safe_steps; /* whose sums `dot` holds for sure */
} te_fully_connected_dsp;

void te_fully_connected_dsp_s8(const te_fully_connected_dsp *layer, const int8_t *input,
                               int8_t *output, int8_t *scratch);

/* The same in less time and code where the sums of all steps are safe, no channel has a step, outputs take
 * the whole int8 range, and every shift to the right is at least 1, unless nothing lies below the zero
 * point -128. */
void te_fully_connected_whole_s8(const te_fully_connected_dsp *layer, const int8_t *input,
                                 int8_t *output, int8_t *scratch);

#endif
