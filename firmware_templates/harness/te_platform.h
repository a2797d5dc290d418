/* What the harness asks of a board. Each board family implements it once. */
#ifndef TE_PLATFORM_H
#define TE_PLATFORM_H

#include <stdint.h>

/* Where a variable survives a reset, but not the loss of power, after which it holds anything. Not
 * every Arduino core has a place for it; there it begins at zero. */
#if defined(ARDUINO) && !defined(__AVR__)
#define TE_NOINIT
#else
#define TE_NOINIT __attribute__((section(".noinit")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Clock, counter and serial port, whose interrupt handler passes on to te_receive_put what arrives,
 * also while the model runs. */
void te_platform_init(void);
/* Passes on at most one byte that has arrived, where no interrupt has done so. */
void te_platform_poll(void);
void te_platform_write(const uint8_t *bytes, uint32_t count);
/* A counter that never goes back, and its frequency. */
uint64_t te_platform_ticks(void);
uint32_t te_platform_tick_hz(void);
/* Bytes of RAM left for the stack, and the most of it ever in use (painted stack). */
uint32_t te_platform_stack_size(void);
uint32_t te_platform_stack_peak(void);
/* Whether the stack has ever taken all of it, and maybe more. */
int te_platform_stack_overflowed(void);

#ifdef __cplusplus
}
#endif

#endif
