/* Registers of an STM32F4 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#define HSI_HZ 16000000u

#define RCC_GPIOENR REGISTER(0x40023830u) /* AHB1 */
/* APB1 is at 0x40, APB2 at 0x44. */
#define RCC_APBENR(apb) REGISTER(0x4002383cu + 4u * (apb))

#define RCC_GPIOENR_FIRST 0u
#define GPIO_BASE 0x40020000u
#include "te_gpio.h"

#define FLASH_ACR_ACCELERATORS (7u << 8) /* prefetch, caches for instructions and data */

#define USART_CR1 REGISTER(BOARD_UART_BASE + 0x0cu)
#define USART_CR1_UE (1u << 13)
#define USART_BRR REGISTER(BOARD_UART_BASE + 0x08u)
#define USART_STATUS REGISTER(BOARD_UART_BASE + 0x00u)
#define USART_RECEIVED REGISTER(BOARD_UART_BASE + 0x04u)
#define USART_SENT REGISTER(BOARD_UART_BASE + 0x04u)
/* Reading status and data has cleared it. */
#define USART_CLEAR_OVERRUN() ((void)0)

/* The core itself wants nothing. */
#define TE_CORE_INIT() ((void)0)

#endif
