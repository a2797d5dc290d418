/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of single elements and of windows with Helium, which take what the plain ones take. */
#ifndef TE_ELEMENTWISE_MVE_H
#define TE_ELEMENTWISE_MVE_H

#include "te_mve.h"

/* One input's multiplier has to be one half, the output's shift negative, no channel repeated. */
void te_add_mve_s8(const te_add *layer, const int8_t *first, const int8_t *second, int8_t *output);
void te_requantize_mve_s8(const te_requantize *layer, const int8_t *input, int8_t *output);
void te_mean_mve_s8(const te_mean *layer, const int8_t *input, int8_t *output);
void te_average_pool2d_mve_s8(const te_pool2d *layer, const int8_t *input, int8_t *output);
void te_max_pool2d_mve_s8(const te_pool2d *layer, const int8_t *input, int8_t *output);

#endif
