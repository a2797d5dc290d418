/* Registers of an STM32F4 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#include "te_usart_first.h"

#define HSI_HZ 16000000u

#define RCC_GPIOENR REGISTER(0x40023830u) /* AHB1 */
/* APB1 is at 0x40, APB2 at 0x44. */
#define RCC_APBENR(apb) REGISTER(0x4002383cu + 4u * (apb))

#define RCC_GPIOENR_FIRST 0u
#define GPIO_BASE 0x40020000u
#include "te_gpio.h"

#define FLASH_ACR_ACCELERATORS (7u << 8) /* prefetch, caches for instructions and data */

/* The core itself wants nothing. */
#define TE_CORE_INIT() ((void)0)

#endif
