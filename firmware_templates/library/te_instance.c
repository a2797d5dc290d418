/* SPDX-License-Identifier: Apache-2.0 */
/* What the code of every model does in the same way. */
#include "te_instance.h"

#include "te_crc32.h"

te_status te_check_arena(const void *arena, size_t size, size_t needed, size_t alignment)
{
    if (!arena) {
        return TE_ERROR_NULL;
    }
    if (size < needed) {
        return TE_ERROR_ARENA_SIZE;
    }
    return (uintptr_t)arena % alignment == 0 ? TE_OK : TE_ERROR_ARENA_ALIGNMENT;
}

te_status te_check_state(const void *state, size_t size, size_t needed, size_t alignment)
{
    if (needed == 0) {
        return TE_OK;
    }
    if (!state) {
        return TE_ERROR_NULL;
    }
    if (size < needed) {
        return TE_ERROR_STATE_SIZE;
    }
    return (uintptr_t)state % alignment == 0 ? TE_OK : TE_ERROR_STATE_ALIGNMENT;
}

uint32_t te_crc32_constants(uint32_t crc, const TE_FLASH void *constants, size_t size)
{
    const TE_FLASH uint8_t *bytes = (const TE_FLASH uint8_t *)constants;
#if TE_FLASH_APART
    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = bytes[i];
        crc = te_crc32(crc, &byte, 1);
    }
    return crc;
#else
    return te_crc32(crc, bytes, (uint32_t)size);
#endif
}
