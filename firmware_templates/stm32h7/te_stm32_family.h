/* Registers of an STM32H7 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#include "te_cache.h"
#include "te_usart.h"

#define HSI_HZ 64000000u

#define RCC_GPIOENR REGISTER(0x580244e0u) /* AHB4 */
/* The lower half of APB1 is at 0xe8, APB2 at 0xf0. */
#define RCC_APBENR(apb) REGISTER(0x580244e0u + 8u * (apb))

#define RCC_GPIOENR_FIRST 0u
#define GPIO_BASE 0x58020000u
#include "te_gpio.h"

/* What the core itself wants before anything else. */
#define TE_CORE_INIT() te_cache_enable()

#endif
