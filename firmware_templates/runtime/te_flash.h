/* SPDX-License-Identifier: Apache-2.0 */
/* Constants that stay in flash.
 *
 * Most cores read flash as they read RAM, and TE_FLASH is nothing. An AVR has another instruction
 * for it, and would copy constants to RAM before main: there, what is declared TE_FLASH stays in
 * flash, and a pointer to TE_FLASH reads it from there. Such pointers have 16 bits: constants lie
 * in the lowest 64 KB. C++ knows no such pointers; what takes or gives one is for C alone. */
#ifndef TE_FLASH_H
#define TE_FLASH_H

#if defined(__AVR__)
#define TE_FLASH_APART 1
#if !defined(__cplusplus)
#define TE_FLASH __flash
#endif
#else
#define TE_FLASH_APART 0
#define TE_FLASH
#endif

#endif
