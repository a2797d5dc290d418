#include "te_memory.h"

#include <stdint.h>

#define ON_WORDS(address) (((uintptr_t)(address) & 3u) == 0)

void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
    if (ON_WORDS(to) && ON_WORDS(from)) {
        uint32_t *word_to = destination;
        const uint32_t *word_from = source;
        for (; count >= 16; count -= 16) {
            const uint32_t a = word_from[0], b = word_from[1], c = word_from[2], d = word_from[3];
            word_to[0] = a;
            word_to[1] = b;
            word_to[2] = c;
            word_to[3] = d;
            word_to += 4;
            word_from += 4;
        }
        to = (unsigned char *)word_to;
        from = (const unsigned char *)word_from;
    }
    while (count-- > 0) {
        *to++ = *from++;
    }
    return destination;
}

void *memset(void *destination, int value, size_t count)
{
    unsigned char *to = destination;
    if (ON_WORDS(to)) {
        const uint32_t word = (unsigned char)value * 0x01010101u;
        uint32_t *word_to = destination;
        for (; count >= 16; count -= 16) {
            word_to[0] = word;
            word_to[1] = word;
            word_to[2] = word;
            word_to[3] = word;
            word_to += 4;
        }
        to = (unsigned char *)word_to;
    }
    while (count-- > 0) {
        *to++ = (unsigned char)value;
    }
    return destination;
}
