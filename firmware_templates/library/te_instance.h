/* SPDX-License-Identifier: Apache-2.0 */
/* What the code of every model does in the same way. It is for that code alone. */
#ifndef TE_INSTANCE_H
#define TE_INSTANCE_H

#include "te_api.h"
#include "te_flash.h"

/* Whether memory that a caller gives will do: `needed` bytes at a multiple of `alignment`. */
te_status te_check_arena(const void *arena, size_t size, size_t needed, size_t alignment);
/* The same of state; what needs none takes any. */
te_status te_check_state(const void *state, size_t size, size_t needed, size_t alignment);

/* CRC-32 of `size` more bytes of constants; start with 0. */
uint32_t te_crc32_constants(uint32_t crc, const TE_FLASH void *constants, size_t size);

#endif
