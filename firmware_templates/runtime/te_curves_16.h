/* SPDX-License-Identifier: Apache-2.0 */
/* Sigmoid and tanh of 16 bits, between the values of one table of sigmoid(i / 24), as TensorFlow Lite
 * computes them; and cells of 16 bits that lie anywhere in memory. */
#ifndef TE_CURVES_16_H
#define TE_CURVES_16_H

#include "te_fixed_point.h"
#include "te_flash.h"

static inline int32_t te_clamp_16(int32_t x)
{
    return x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x;
}

static inline int32_t te_load_16(const int8_t *bytes)
{
    return (int32_t)(uint8_t)bytes[0] + 256 * bytes[1];
}

static inline void te_store_16(int8_t *bytes, int32_t value)
{
    const uint32_t bits = (uint32_t)value;
    const uint8_t low = (uint8_t)bits, high = (uint8_t)(bits >> 8);
    bytes[0] = (int8_t)(low < 128 ? low : low - 256);
    bytes[1] = (int8_t)(high < 128 ? high : high - 256);
}

/* The larger half of a sigmoid, of a magnitude with `bits` fraction bits between values of the table. */
static inline int32_t te_half_sigmoid(const TE_FLASH uint16_t *table, int32_t x, int32_t bits,
                                      int32_t most)
{
    const int32_t at = x >> bits;
    if (at >= 255) {
        return most;
    }
    const int32_t low = table[at], high = table[at + 1];
    return low * ((int32_t)1 << bits) + (x & (((int32_t)1 << bits) - 1)) * (high - low);
}

/* From 12 fraction bits to 15. */
static inline int32_t te_sigmoid_16(const TE_FLASH uint16_t *table, int32_t x)
{
    x *= 3;
    const int32_t half = te_half_sigmoid(table, x < 0 ? -x : x, 9, (int32_t)0x7fff << 10);
    const int32_t one = (int32_t)1 << 9;
    return (x >= 0 ? half + one : ((int32_t)1 << 25) - half + one - 1) >> 10;
}

/* To 15 fraction bits, from as many as the multiplier and the shift to the right say. */
static inline int32_t te_tanh_16(const TE_FLASH uint16_t *table, int32_t x, int32_t multiplier,
                                 int32_t shift)
{
    x = (x * multiplier + (((int32_t)1 << shift) >> 1)) >> shift;
    const int32_t half = te_half_sigmoid(table, x < 0 ? -x : x, 8, (int32_t)0xffff << 8);
    const int32_t middle = half - ((int32_t)1 << 23), one = (int32_t)1 << 7;
    return (x >= 0 ? middle + one : one - 1 - middle) >> 8;
}

#endif
