/* Registers of an STM32G4 that other families have elsewhere, or differently. */
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

#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_KEPT (1u << 18) /* the debugger's access */

#define PWR_CR5 REGISTER(0x40007080u)
#define PWR_CR5_R1MODE (1u << 8)

/* Boost mode, which 170 MHz and few wait states take: it is entered at half the speed, for a microsecond. */
#define TE_VOLTAGE_BOOST() (PWR_CR5 &= ~PWR_CR5_R1MODE)
#define RCC_CFGR_BEFORE_PLL (8u << 4) /* AHB: half the core's clock */
#define TE_FULL_SPEED()                                           \
    do {                                                          \
        for (uint32_t i = 0; i < BOARD_SYSCLK_HZ / 1000000u; i++) { \
            (void)RCC_GPIOENR; /* at least a cycle each */        \
        }                                                         \
        REGISTER(0x40021008u) &= ~RCC_CFGR_BEFORE_PLL;            \
    } while (0)

/* The core itself wants nothing. */
#define TE_CORE_INIT() ((void)0)

#endif
