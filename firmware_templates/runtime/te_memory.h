/* SPDX-License-Identifier: Apache-2.0 */
/* The two library functions that the runtime uses. A hosted build links its libc's; firmware brings
 * its own (te_memory.c), so that it depends on no libc. */
#ifndef TE_MEMORY_H
#define TE_MEMORY_H

#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memset(void *destination, int value, size_t count);

#endif
