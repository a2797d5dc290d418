/* Registers of an STM32F1 that other families have elsewhere, or differently. */
#ifndef TE_STM32_FAMILY_H
#define TE_STM32_FAMILY_H

#include <stdint.h>

#include "te_usart_first.h"

#define HSI_HZ 8000000u

#define RCC_GPIOENR REGISTER(0x40021018u) /* APB2 */
#define RCC_GPIOENR_FIRST 2u
/* APB1 is at 0x1c, APB2 at 0x18. */
#define RCC_APBENR(apb) REGISTER(0x40021020u - 4u * (apb))

#define GPIO_BASE 0x40010800u
#define GPIO_CR(port, pin) REGISTER(GPIO_BASE + 0x400u * (port) + 4u * ((pin) / 8u))
#define GPIO_BSRR(port) REGISTER(GPIO_BASE + 0x10u + 0x400u * (port))
#define GPIO_CR_OUTPUT 0xbu /* the peripheral's, push-pull, up to 50 MHz */
#define GPIO_CR_INPUT 0x8u  /* with a pull-up or pull-down */

static inline void te_pin_init(uint32_t port, uint32_t pin, uint32_t mode)
{
    RCC_GPIOENR |= 1u << (RCC_GPIOENR_FIRST + port);
    (void)RCC_GPIOENR; /* the peripheral needs some cycles: reading back takes them */
    GPIO_BSRR(port) = 1u << pin; /* of an input: pull-up */
    GPIO_CR(port, pin) = (GPIO_CR(port, pin) & ~(15u << (pin % 8u * 4u))) | mode << (pin % 8u * 4u);
}

/* Pins have no alternate functions to choose from: what is not remapped is connected. */
#define te_output_init(port, pin, function) te_pin_init(port, pin, GPIO_CR_OUTPUT)
#define te_input_init(port, pin, function) te_pin_init(port, pin, GPIO_CR_INPUT)

/* The core itself wants nothing. */
#define TE_CORE_INIT() ((void)0)

#endif
