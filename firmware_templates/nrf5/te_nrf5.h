/* What the families of nRF5 share. */
#ifndef TE_NRF5_H
#define TE_NRF5_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Of the family: prepares the core, and starts the counter that te_platform_ticks reads. */
void te_family_init(void);

#endif
