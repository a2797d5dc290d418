/* Registers of an STM32L4 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#include "te_usart.h"

#define HSI_HZ 16000000u

#define RCC_GPIOENR REGISTER(0x4002104cu) /* AHB2 */
/* APB1 is at 0x58, APB2 at 0x60. */
#define RCC_APBENR(apb) REGISTER(0x40021050u + 8u * (apb))

#define RCC_GPIOENR_FIRST 0u
#define GPIO_BASE 0x48000000u
#include "te_gpio.h"

#define FLASH_ACR_LATENCY_MASK 7u
#define FLASH_ACR_KEPT 0u

/* From 16 MHz to full speed in one step. */
#define TE_VOLTAGE_BOOST() ((void)0)
#define RCC_CFGR_BEFORE_PLL 0u
#define TE_FULL_SPEED() ((void)0)

/* The core itself wants nothing. */
#define TE_CORE_INIT() ((void)0)

#endif
