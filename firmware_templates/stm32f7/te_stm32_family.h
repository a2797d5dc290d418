/* Registers of an STM32F7 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#include "te_cache.h"
#include "te_usart.h"

#define HSI_HZ 16000000u

#define RCC_GPIOENR REGISTER(0x40023830u) /* AHB1 */
/* APB1 is at 0x40, APB2 at 0x44. */
#define RCC_APBENR(apb) REGISTER(0x4002383cu + 4u * (apb))

#define RCC_GPIOENR_FIRST 0u
#define GPIO_BASE 0x40020000u
#include "te_gpio.h"

/* Prefetch and ART serve what reads the flash by its address at the ITCM interface, 0x00200000; code
 * that is linked to 0x08000000 lives on the core's caches. */
#define FLASH_ACR_ACCELERATORS (3u << 8)

/* What the core itself wants before anything else. */
#define TE_CORE_INIT() te_cache_enable()

#endif
