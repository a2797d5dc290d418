#include "te_memory.h"

void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
    while (count-- > 0) {
        *to++ = *from++;
    }
    return destination;
}

void *memset(void *destination, int value, size_t count)
{
    unsigned char *to = destination;
    while (count-- > 0) {
        *to++ = (unsigned char)value;
    }
    return destination;
}
