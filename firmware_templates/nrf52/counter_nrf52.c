/* The counter of an nRF52, and the cache between core and flash. */
#include "te_nrf5.h"
#include "te_platform.h"
#include "te_systick.h"

#define NVMC_ICACHECNF REGISTER(0x4001e540u)
#define NVMC_ICACHECNF_CACHEEN 1u

/* Without the cache every fetch from flash waits. */
void te_family_init(void)
{
    NVMC_ICACHECNF = NVMC_ICACHECNF_CACHEEN;
    te_systick_start();
}

uint64_t te_platform_ticks(void)
{
    return te_systick_ticks();
}
