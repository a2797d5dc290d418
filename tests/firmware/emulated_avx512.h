/* The few instructions of AVX-512 VNNI that a path uses, in C, for processors that lack them: included in
 * front of every file, and in the way of the compiler's own. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    int32_t lanes[16];
} emulated_512;

static inline emulated_512 emulated_set1(int32_t value)
{
    emulated_512 result;
    for (int i = 0; i < 16; i++) {
        result.lanes[i] = value;
    }
    return result;
}

static inline emulated_512 emulated_load(const void *bytes)
{
    emulated_512 result;
    memcpy(&result, bytes, sizeof result);
    return result;
}

static inline void emulated_store(void *bytes, emulated_512 value)
{
    memcpy(bytes, &value, sizeof value);
}

/* Sums of four products of bytes, the first without a sign, modulo 2^32. */
static inline emulated_512 emulated_dpbusd(emulated_512 sums, emulated_512 first,
                                           emulated_512 second)
{
    uint8_t a[64];
    int8_t b[64];
    memcpy(a, &first, sizeof a);
    memcpy(b, &second, sizeof b);
    for (int i = 0; i < 64; i++) {
        sums.lanes[i / 4] = (int32_t)((uint32_t)sums.lanes[i / 4] + (uint32_t)(a[i] * b[i]));
    }
    return sums;
}

#define __m512i emulated_512
#define _mm512_setzero_si512() emulated_set1(0)
#define _mm512_set1_epi32 emulated_set1
#define _mm512_loadu_si512 emulated_load
#define _mm512_storeu_si512 emulated_store
#define _mm512_dpbusd_epi32 emulated_dpbusd
#define __builtin_cpu_supports(name) 1
#define VNNI
#endif
