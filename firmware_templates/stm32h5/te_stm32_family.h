/* Registers of an STM32H5 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#include "te_usart.h"

#define HSI_HZ 64000000u

#define RCC_GPIOENR REGISTER(0x44020c8cu) /* AHB2 */
/* The lower half of APB1 is at 0x9c, APB2 at 0xa4. */
#define RCC_APBENR(apb) REGISTER(0x44020c94u + 8u * (apb))

#define RCC_GPIOENR_FIRST 0u
#define GPIO_BASE 0x42020000u
#include "te_gpio.h"

/* The cache between the core and its flash. */
#define ICACHE_CR REGISTER(0x40030400u)
#define ICACHE_CR_EN (1u << 0)

/* What the core itself wants before anything else. */
#define TE_CORE_INIT() ((void)(ICACHE_CR |= ICACHE_CR_EN))

#endif
