/* Paths for x86-64: AVX2, whose elements are int16 less their zero point, and AVX-512 VNNI, whose elements
 * are bytes without a sign; what the second lacks it takes from the first. */
#include "te_host_path.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
#ifndef VNNI /* tests emulate it on processors that lack it */
#define VNNI __attribute__((target("avx512f,avx512vnni")))
#endif

static int has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

static int has_avx512vnni(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
}

/* Two neighbours, or four, in every lane of 32 bits. */
static inline int32_t load32(const void *bytes)
{
    int32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

AVX2 static inline __m256i load(const void *bytes)
{
    return _mm256_loadu_si256((const __m256i *)bytes);
}

AVX2 static void widen(const int8_t *input, void *elements, int32_t offset, int32_t count)
{
    const __m256i added = _mm256_set1_epi16((int16_t)offset);
    int16_t *output = elements;
    for (; count >= 16; count -= 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)input);
        _mm256_storeu_si256((__m256i *)output, _mm256_add_epi16(_mm256_cvtepi8_epi16(bytes), added));
        input += 16;
        output += 16;
    }
    for (; count > 0; count--) {
        *output++ = (int16_t)(*input++ + offset);
    }
}

/* Six pixels and sixteen channels: twelve registers of sums, two of weights. vpmaddwd is exact, as no
 * product of ours is 2^30. */
AVX2 static void products(const uint8_t *const *pixels, const te_host_runs *runs,
                          const void *weights, int32_t *sums)
{
    __m256i a0, a1, b0, b1, c0, c1, d0, d1, e0, e1, f0, f1;
    a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = e0 = e1 = f0 = f1 = _mm256_setzero_si256();
    const uint8_t *next = weights;
    for (int32_t run = 0; run < runs->count; run++) {
        const int32_t offset = runs->offsets[run];
        const uint8_t *a = pixels[0] + offset, *b = pixels[1] + offset, *c = pixels[2] + offset;
        const uint8_t *d = pixels[3] + offset, *e = pixels[4] + offset, *f = pixels[5] + offset;
        const size_t end = 4 * (size_t)runs->groups;
        for (size_t at = 0; at < end; at += 4) {
            const __m256i low = load(next), high = load(next + 32);
            __m256i x;
#define PIXEL(name)                                                                     \
    x = _mm256_set1_epi32(load32(name + at));                                           \
    name##0 = _mm256_add_epi32(name##0, _mm256_madd_epi16(x, low));                     \
    name##1 = _mm256_add_epi32(name##1, _mm256_madd_epi16(x, high));
            PIXEL(a)
            PIXEL(b)
            PIXEL(c)
            PIXEL(d)
            PIXEL(e)
            PIXEL(f)
#undef PIXEL
            next += 64;
        }
    }
    const __m256i found[12] = {a0, a1, b0, b1, c0, c1, d0, d1, e0, e1, f0, f1};
    for (int32_t i = 0; i < 12; i++) {
        _mm256_storeu_si256((__m256i *)(sums + 8 * i), found[i]);
    }
}

/* Two taps at a time, lane by lane. */
AVX2 static void taps(const uint8_t *const *pixels, int32_t several, const int32_t *offsets,
                      int32_t count, const int16_t *weights, int32_t *sums)
{
    for (; several > 0; several -= 2) { /* the second one may be none that counts */
        const uint8_t *a = pixels[0], *b = pixels[1];
        __m256i a0 = _mm256_setzero_si256(), a1 = a0, b0 = a0, b1 = a0;
        for (int32_t tap = 0; tap < count; tap += 2) {
            const __m256i v = load(weights + 16 * tap), w = load(weights + 16 * tap + 16);
            const __m256i low = _mm256_unpacklo_epi16(v, w), high = _mm256_unpackhi_epi16(v, w);
            __m256i x = load(a + offsets[tap]), y = load(a + offsets[tap + 1]);
            a0 = _mm256_add_epi32(a0, _mm256_madd_epi16(_mm256_unpacklo_epi16(x, y), low));
            a1 = _mm256_add_epi32(a1, _mm256_madd_epi16(_mm256_unpackhi_epi16(x, y), high));
            x = load(b + offsets[tap]);
            y = load(b + offsets[tap + 1]);
            b0 = _mm256_add_epi32(b0, _mm256_madd_epi16(_mm256_unpacklo_epi16(x, y), low));
            b1 = _mm256_add_epi32(b1, _mm256_madd_epi16(_mm256_unpackhi_epi16(x, y), high));
        }
        __m256i *out = (__m256i *)sums;
        _mm256_storeu_si256(out, _mm256_permute2x128_si256(a0, a1, 0x20));
        _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(a0, a1, 0x31));
        _mm256_storeu_si256(out + 2, _mm256_permute2x128_si256(b0, b1, 0x20));
        _mm256_storeu_si256(out + 3, _mm256_permute2x128_si256(b0, b1, 0x31));
        pixels += 2;
        sums += 2 * TE_HOST_LANES;
    }
}

/* te_doubling_high_mul. */
AVX2 static inline __m256i high_mul(__m256i x, __m256i mantissa)
{
    const __m256i half = _mm256_set1_epi64x((int64_t)1 << 30);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, mantissa), half);
    const __m256i odd = _mm256_add_epi64(
        _mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(mantissa, 32)), half);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_add_epi64(odd, odd), 0xaa);
}

/* te_rounding_divide_by_pot. */
AVX2 static inline __m256i divided(__m256i x, __m256i right, __m256i mask, __m256i threshold)
{
    const __m256i least = _mm256_sub_epi32(threshold, _mm256_srai_epi32(x, 31));
    const __m256i up = _mm256_cmpgt_epi32(_mm256_and_si256(x, mask), least);
    return _mm256_sub_epi32(_mm256_srav_epi32(x, right), up);
}

AVX2 static inline __m256i limited(__m256i x, __m256i offset, __m256i low, __m256i high)
{
    return _mm256_min_epi32(_mm256_max_epi32(_mm256_add_epi32(x, offset), low), high);
}

/* Sixteen values of int8's range as bytes. */
AVX2 static inline __m128i packed(__m256i first, __m256i second)
{
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), _MM_SHUFFLE(3, 1, 2, 0));
    return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

/* Eight lanes of so many pixels, in place. */
AVX2 static inline void requantize_lanes(int32_t *sums, int32_t pixels, const te_host_scale *scale,
                                         const te_host_range *range, int32_t lane, int usual)
{
    const __m256i bias = load(scale->of[TE_HOST_BIAS] + lane);
    const __m256i step = load(scale->of[TE_HOST_STEP] + lane);
    const __m256i left = load(scale->of[TE_HOST_LEFT] + lane);
    const __m256i mantissa = load(scale->of[TE_HOST_MANTISSA] + lane);
    const __m256i right = load(scale->of[TE_HOST_RIGHT] + lane);
    const __m256i mask = load(scale->of[TE_HOST_MASK] + lane);
    const __m256i threshold = load(scale->of[TE_HOST_THRESHOLD] + lane);
    const __m256i offset = _mm256_set1_epi32(range->output_offset);
    const __m256i least = _mm256_set1_epi32(range->clamp_min);
    const __m256i most = _mm256_set1_epi32(range->clamp_max);
    for (int32_t *at = sums + lane; pixels > 0; pixels--, at += TE_HOST_LANES) {
        __m256i total = load(at);
        if (usual) {
            total = _mm256_add_epi32(bias, total);
        } else {
            total = _mm256_add_epi32(bias, _mm256_mullo_epi32(total, step));
            total = _mm256_sllv_epi32(total, left);
        }
        const __m256i scaled = divided(high_mul(total, mantissa), right, mask, threshold);
        _mm256_storeu_si256((__m256i *)at, limited(scaled, offset, least, most));
    }
}

AVX2 static void requantize(int32_t *sums, int32_t pixels, const te_host_scale *scale,
                            const te_host_range *range, int8_t *output, size_t stride,
                            int32_t live)
{
    for (int32_t lane = 0; lane < live; lane += 8) {
        if (scale->usual) {
            requantize_lanes(sums, pixels, scale, range, lane, 1);
        } else {
            requantize_lanes(sums, pixels, scale, range, lane, 0);
        }
    }
    for (; pixels > 0; pixels--) {
        const __m128i bytes = packed(load(sums), load(sums + 8));
        if (live == TE_HOST_LANES) {
            _mm_storeu_si128((__m128i *)output, bytes);
        } else if (live == TE_HOST_LANES / 2) {
            _mm_storel_epi64((__m128i *)output, bytes);
        } else {
            int8_t all[TE_HOST_LANES];
            _mm_storeu_si128((__m128i *)all, bytes);
            memcpy(output, all, (size_t)live);
        }
        sums += TE_HOST_LANES;
        output += stride;
    }
}

/* An input of an addition: its multiplier is below one, and one half for the larger scale. */
typedef struct {
    __m256i offset, mantissa, right, mask, threshold;
    int half;
} te_term_of;

AVX2 static inline te_term_of term_of(const te_host_sum *sum, int which)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << sum->right[which]) - 1u);
    te_term_of term;
    term.offset = _mm256_set1_epi32(sum->offset[which]);
    term.mantissa = _mm256_set1_epi32(sum->mantissa[which]);
    term.right = _mm256_set1_epi32(sum->right[which]);
    term.mask = _mm256_set1_epi32(mask);
    term.threshold = _mm256_set1_epi32(mask >> 1);
    term.half = sum->mantissa[which] == 1 << 30 && sum->right[which] == 0;
    return term;
}

AVX2 static inline __m256i rescaled(const te_term_of *term, const int8_t *input)
{
    const __m256i bytes = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)input));
    const __m256i centred = _mm256_add_epi32(bytes, term->offset);
    if (term->half) {
        return _mm256_slli_epi32(centred, 19);
    }
    return divided(high_mul(_mm256_slli_epi32(centred, 20), term->mantissa), term->right,
                   term->mask, term->threshold);
}

AVX2 static void add(const te_host_sum *sum, const int8_t *first, const int8_t *second,
                     int8_t *output, size_t count)
{
    const te_term_of one = term_of(sum, 0), two = term_of(sum, 1);
    const __m256i sign = _mm256_set1_epi32(sum->sign);
    const __m256i mantissa = _mm256_set1_epi32(sum->output_mantissa);
    const int32_t dropped = (int32_t)(((uint32_t)1 << sum->output_right) - 1u);
    const __m256i right = _mm256_set1_epi32(sum->output_right);
    const __m256i mask = _mm256_set1_epi32(dropped), threshold = _mm256_set1_epi32(dropped >> 1);
    const __m256i offset = _mm256_set1_epi32(sum->range.output_offset);
    const __m256i least = _mm256_set1_epi32(sum->range.clamp_min);
    const __m256i most = _mm256_set1_epi32(sum->range.clamp_max);
    int8_t tails[3][16];
    size_t step = 16;
    for (size_t at = 0; at < count; at += step) {
        const int8_t *a = first + at, *b = second + at;
        if (count - at < step) {
            step = count - at;
            memset(tails, 0, sizeof tails);
            memcpy(tails[0], a, step);
            memcpy(tails[1], b, step);
            a = tails[0];
            b = tails[1];
        }
        __m256i found[2];
        for (int half = 0; half < 2; half++) {
            const __m256i total = _mm256_add_epi32(
                rescaled(&one, a + 8 * half), _mm256_sign_epi32(rescaled(&two, b + 8 * half), sign));
            found[half] = limited(divided(high_mul(total, mantissa), right, mask, threshold), offset,
                                  least, most);
        }
        if (step == 16) {
            _mm_storeu_si128((__m128i *)(output + at), packed(found[0], found[1]));
        } else {
            _mm_storeu_si128((__m128i *)tails[2], packed(found[0], found[1]));
            memcpy(output + at, tails[2], step);
        }
    }
}

const te_host_path te_host_avx2 = {
    .name = "avx2",
    .usable = has_avx2,
    .pixels = 6,
    .element = 2,
    .copy = widen,
    .group = 2,
    .paired = 1,
    .weight = 2,
    .products = products,
    .widen = widen,
    .taps = taps,
    .requantize = requantize,
    .add = add,
};

AVX2 static void to_bytes(const int8_t *input, void *elements, int32_t offset, int32_t count)
{
    const __m256i added = _mm256_set1_epi8((int8_t)offset);
    uint8_t *output = elements;
    for (; count >= 32; count -= 32) {
        _mm256_storeu_si256((__m256i *)output, _mm256_add_epi8(load(input), added));
        input += 32;
        output += 32;
    }
    for (; count > 0; count--) {
        *output++ = (uint8_t)(*input++ + offset);
    }
}

/* Twelve pixels and sixteen channels. vpdpbusd does not saturate: sums are exact modulo 2^32. */
VNNI static void products_of_bytes(const uint8_t *const *pixels, const te_host_runs *runs,
                                   const void *weights, int32_t *sums)
{
    __m512i a0, b0, c0, d0, e0, f0, g0, h0, i0, j0, k0, l0;
    a0 = b0 = c0 = d0 = e0 = f0 = g0 = h0 = i0 = j0 = k0 = l0 = _mm512_setzero_si512();
    const uint8_t *next = weights;
    for (int32_t run = 0; run < runs->count; run++) {
        const int32_t offset = runs->offsets[run];
        const uint8_t *a = pixels[0] + offset, *b = pixels[1] + offset, *c = pixels[2] + offset;
        const uint8_t *d = pixels[3] + offset, *e = pixels[4] + offset, *f = pixels[5] + offset;
        const uint8_t *g = pixels[6] + offset, *h = pixels[7] + offset, *i = pixels[8] + offset;
        const uint8_t *j = pixels[9] + offset, *k = pixels[10] + offset, *l = pixels[11] + offset;
        const size_t end = 4 * (size_t)runs->groups;
        for (size_t at = 0; at < end; at += 4) {
            const __m512i codes = _mm512_loadu_si512(next);
#define PIXEL(name) \
    name##0 = _mm512_dpbusd_epi32(name##0, _mm512_set1_epi32(load32(name + at)), codes);
            PIXEL(a)
            PIXEL(b)
            PIXEL(c)
            PIXEL(d)
            PIXEL(e)
            PIXEL(f)
            PIXEL(g)
            PIXEL(h)
            PIXEL(i)
            PIXEL(j)
            PIXEL(k)
            PIXEL(l)
#undef PIXEL
            next += 64;
        }
    }
    const __m512i found[12] = {a0, b0, c0, d0, e0, f0, g0, h0, i0, j0, k0, l0};
    for (int32_t pixel = 0; pixel < 12; pixel++) {
        _mm512_storeu_si512(sums + TE_HOST_LANES * pixel, found[pixel]);
    }
}

const te_host_path te_host_avx512vnni = {
    .name = "avx512vnni",
    .usable = has_avx512vnni,
    .pixels = 12,
    .element = 1,
    .bias = 128,
    .copy = to_bytes,
    .group = 4,
    .paired = 1,
    .weight = 1,
    .products = products_of_bytes,
    .widen = widen,
    .taps = taps,
    .requantize = requantize,
    .add = add,
};

#else
typedef int te_host_no_x86; /* a file of C may not be empty */
#endif
