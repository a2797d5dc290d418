/* Registers of an STM32F3 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#include "te_usart.h"

#define HSI_HZ 8000000u

#define RCC_GPIOENR REGISTER(0x40021014u) /* AHB */
#define RCC_GPIOENR_FIRST 17u
/* APB1 is at 0x1c, APB2 at 0x18. */
#define RCC_APBENR(apb) REGISTER(0x40021020u - 4u * (apb))

#define GPIO_BASE 0x48000000u
#include "te_gpio.h"

/* The core itself wants nothing. */
#define TE_CORE_INIT() ((void)0)

#endif
