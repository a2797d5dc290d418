/* SysTick as the counter of a platform: 24 bits, which its interrupt extends to 64. */
#ifndef TE_SYSTICK_H
#define TE_SYSTICK_H

#include <stdint.h>

/* Starts counting cycles of the processor clock. */
void te_systick_start(void);
uint64_t te_systick_ticks(void);

#endif
