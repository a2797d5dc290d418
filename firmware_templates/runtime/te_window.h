/* SPDX-License-Identifier: Apache-2.0 */
/* Which cells of a window lie inside the input. */
#ifndef TE_WINDOW_H
#define TE_WINDOW_H

#include <stdint.h>

/* Window cells [first, last) of one axis that fall on the input; cell i lies at origin + i * step. */
typedef struct {
    int32_t first;
    int32_t last;
} te_span;

static inline te_span te_inside(int32_t origin, int32_t step, int32_t cells, int32_t size)
{
    te_span span = {0, cells};
    if (origin < 0) {
        span.first = (-origin + step - 1) / step;
    }
    if (origin + (cells - 1) * step >= size) {
        span.last = origin >= size ? 0 : (size - 1 - origin) / step + 1;
    }
    return span;
}

#endif
