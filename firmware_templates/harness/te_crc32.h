/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of frames and of constants: CRC-32 as in zlib, Ethernet and PNG. */
#ifndef TE_CRC32_H
#define TE_CRC32_H

#include <stdint.h>

/* CRC-32 of `count` more bytes; start with 0. */
uint32_t te_crc32(uint32_t crc, const uint8_t *bytes, uint32_t count);

#endif
