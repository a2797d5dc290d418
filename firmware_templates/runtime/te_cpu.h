/* SPDX-License-Identifier: Apache-2.0 */
/* What a core can do in one instruction, with the same result in C for cores that cannot.
 *
 * This header and te_flash.h are the only ones that ask which core they are compiled for. */
#ifndef TE_CPU_H
#define TE_CPU_H

#include <stdint.h>

#include "te_fixed_point.h"
#include "te_flash.h"

/* TE_THUMB2: Cortex-M3 and up. TE_THUMB1: Cortex-M0. TE_DSP: the DSP extension (M4, M7, M33, M55).
 * TE_MVE: Helium (M55). None of them: C, on any machine. */
#if defined(__arm__) && defined(__thumb2__)
#define TE_THUMB2 1
#elif defined(__arm__) && defined(__thumb__)
#define TE_THUMB1 1
#endif
#if defined(TE_THUMB2) && defined(__ARM_FEATURE_DSP)
#define TE_DSP 1
#endif
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define TE_MVE 1
#endif

/* te_term holds a weight times the difference of two int8, and counts bytes of RAM; te_code holds a byte.
 * An AVR is quicker with as few bits as that takes, other cores with 32. */
#if defined(__AVR__)
typedef int16_t te_term;
typedef uint8_t te_code;
#else
typedef int32_t te_term;
typedef uint32_t te_code;
#endif

#define TE_INLINE static inline __attribute__((always_inline))
/* Loop bodies that should have the registers for themselves. */
#define TE_NOINLINE __attribute__((noinline))

/* round(a * b / 2^32), halves up; b >= 0. */
static inline int32_t te_rounding_high_mul(int32_t a, int32_t b)
{
#if defined(TE_DSP)
    int32_t result;
    __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#elif defined(TE_THUMB1)
    /* From products of 16 bits: there is no long multiplication. The last shift leaves the bit that
     * rounds in the carry. */
    int32_t high, middle, part;
    __asm__(".syntax unified\n"
            "asrs %[high], %[a], #16\n"
            "uxth %[a], %[a]\n"
            "movs %[middle], %[b_low]\n"
            "muls %[middle], %[a], %[middle]\n"
            "lsrs %[middle], %[middle], #16\n"
            "movs %[part], %[b_low]\n"
            "muls %[part], %[high], %[part]\n"
            "adds %[middle], %[middle], %[part]\n"
            "muls %[high], %[b_high], %[high]\n"
            "muls %[a], %[b_high], %[a]\n"
            "asrs %[part], %[middle], #16\n"
            "adds %[high], %[high], %[part]\n"
            "uxth %[middle], %[middle]\n"
            "adds %[a], %[a], %[middle]\n"
            "lsrs %[part], %[a], #16\n"
            "adcs %[high], %[part]\n"
            : [a] "+l"(a), [high] "=&l"(high), [middle] "=&l"(middle), [part] "=&l"(part)
            : [b_low] "l"(b & 0xffff), [b_high] "l"(b >> 16)
            : "cc");
    return high;
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* sum + round(a * b / 2^32), halves up; b >= 0. */
static inline int32_t te_rounding_high_mul_add(int32_t sum, int32_t a, int32_t b)
{
#if defined(TE_DSP)
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return sum + te_rounding_high_mul(a, b);
#endif
}

/* sum + the low, or the high, half of a as a signed number * the low half of b, modulo 2^32. */
static inline int32_t te_low_mul_add(int32_t sum, uint32_t a, int32_t b)
{
#if defined(TE_DSP)
    int32_t result;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return (int32_t)((uint32_t)sum + (uint32_t)((int32_t)(int16_t)a * (int16_t)b));
#endif
}

static inline int32_t te_high_mul_add(int32_t sum, uint32_t a, int32_t b)
{
#if defined(TE_DSP)
    int32_t result;
    __asm__("smlatb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return (int32_t)((uint32_t)sum + (uint32_t)(((int32_t)a >> 16) * (int16_t)b));
#endif
}

/* The same with the high halves of both. */
static inline int32_t te_highs_mul_add(int32_t sum, uint32_t a, uint32_t b)
{
#if defined(TE_DSP)
    int32_t result;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return (int32_t)((uint32_t)sum + (uint32_t)(((int32_t)a >> 16) * ((int32_t)b >> 16)));
#endif
}

/* Four bytes as they lie in memory, at any address: one load or store, where memcpy would stay a
 * call under -fno-builtin. */
static inline uint32_t te_load_word(const void *bytes)
{
    uint32_t word;
    __builtin_memcpy(&word, bytes, sizeof word);
    return word;
}

static inline void te_store_word(void *bytes, uint32_t word)
{
    __builtin_memcpy(bytes, &word, sizeof word);
}

/* Four bytes that lie on a word. */
static inline uint32_t te_load_aligned(const void *bytes)
{
    return te_load_word(__builtin_assume_aligned(bytes, 4));
}

/* The bytes 0 and 2, or 1 and 3, of a word as two signed 16-bit lanes. */
static inline uint32_t te_even_bytes(uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(word));
    return result;
#else
    const uint32_t signs = word & 0x00800080u;
    return (word & 0x00ff00ffu) | ((signs << 9) - (signs << 1));
#endif
}

static inline uint32_t te_odd_bytes(uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(word));
    return result;
#else
    return te_even_bytes(word >> 8);
#endif
}

/* Lanes + the bytes 0 and 2, or 1 and 3, of a word as signed numbers. */
static inline uint32_t te_even_bytes_on(uint32_t lanes, uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(lanes), "r"(word));
    return result;
#else
    const uint32_t bytes = te_even_bytes(word);
    return ((lanes + bytes) & 0xffffu) | ((lanes & 0xffff0000u) + (bytes & 0xffff0000u));
#endif
}

static inline uint32_t te_odd_bytes_on(uint32_t lanes, uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(lanes), "r"(word));
    return result;
#else
    return te_even_bytes_on(lanes, word >> 8);
#endif
}

/* Turned right; `bits` below 32. */
static inline uint32_t te_turned(uint32_t word, uint32_t bits)
{
    return bits == 0 ? word : word >> bits | word << (32 - bits);
}

/* sum + low lane * low lane + high lane * high lane, modulo 2^32. */
static inline int32_t te_smlad(uint32_t a, uint32_t b, int32_t sum)
{
#if defined(TE_DSP)
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b) : "cc");
    return sum;
#else
    const int32_t low = (int32_t)(int16_t)(a & 0xffffu) * (int16_t)(b & 0xffffu);
    const int32_t high = (int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16);
    return (int32_t)((uint32_t)sum + (uint32_t)low + (uint32_t)high);
#endif
}

/* sum + a * b, modulo 2^32. */
static inline int32_t te_mul_add(int32_t sum, int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)sum + (uint32_t)a * (uint32_t)b);
}

static inline int32_t te_saturate_s8(int32_t value)
{
#if defined(TE_THUMB2)
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return result;
#else
    return te_clamp(value, -128, 127);
#endif
}

/* Bytes 0 and 2, or 1 and 3, of a word as signed numbers, each with 128 added, in two halves. */
static inline uint32_t te_even_offset_bytes(uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(0x00800080u), "r"(word));
    return result;
#else
    return (word ^ 0x00800080u) & 0x00ff00ffu;
#endif
}

static inline uint32_t te_odd_offset_bytes(uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(0x00800080u), "r"(word));
    return result;
#else
    return ((word ^ 0x80008000u) >> 8) & 0x00ff00ffu;
#endif
}

/* The lower, or the upper, halves of two words: that of `low` becomes the lower one. */
static inline uint32_t te_lower_halves(uint32_t low, uint32_t high)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(low), "r"(high));
    return result;
#else
    return (low & 0xffffu) | high << 16;
#endif
}

static inline uint32_t te_upper_halves(uint32_t low, uint32_t high)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(high), "r"(low));
    return result;
#else
    return low >> 16 | (high & 0xffff0000u);
#endif
}

/* Lanes + bytes 0 and 2, or 1 and 3, of a word as numbers without sign. */
static inline uint32_t te_add_even_bytes(uint32_t lanes, uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("uxtab16 %0, %1, %2" : "=r"(result) : "r"(lanes), "r"(word));
    return result;
#else
    return lanes + (word & 0x00ff00ffu);
#endif
}

static inline uint32_t te_add_odd_bytes(uint32_t lanes, uint32_t word)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("uxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(lanes), "r"(word));
    return result;
#else
    return lanes + (word >> 8 & 0x00ff00ffu);
#endif
}

/* The larger one of each two signed bytes, and the smaller one. */
static inline uint32_t te_max_bytes(uint32_t a, uint32_t b)
{
#if defined(TE_DSP)
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n"
            "sel %0, %1, %2"
            : "=&r"(result)
            : "r"(a), "r"(b)
            : "cc");
    return result;
#else
    uint32_t result = 0;
    for (int32_t shift = 0; shift < 32; shift += 8) {
        const uint32_t mask = (uint32_t)0xff << shift;
        const int8_t first = (int8_t)(a >> shift), second = (int8_t)(b >> shift);
        result |= (first > second ? a : b) & mask;
    }
    return result;
#endif
}

static inline uint32_t te_min_bytes(uint32_t a, uint32_t b)
{
    return ~te_max_bytes(~a, ~b);
}

#endif
