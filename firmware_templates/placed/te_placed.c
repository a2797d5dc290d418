/* Fills the memories that a board's description places something in, before main: weights are copied
 * from flash, the arena and the state zeroed. The linker script has the tables. */
#include <stdint.h>

#include "te_memory.h"

typedef struct {
    const void *from;
    void *to;
    uint32_t bytes;
} te_copy;

typedef struct {
    void *from;
    uint32_t bytes;
} te_zero;

extern const te_copy _copies_start[], _copies_end[];
extern const te_zero _zeros_start[], _zeros_end[];

__attribute__((constructor)) static void te_fill_placed(void)
{
    for (const te_copy *copy = _copies_start; copy < _copies_end; copy++) {
        memcpy(copy->to, copy->from, copy->bytes);
    }
    for (const te_zero *zero = _zeros_start; zero < _zeros_end; zero++) {
        memset(zero->from, 0, zero->bytes);
    }
}
