/* Pins, which all families but the STM32F1 have alike; the family's header comes first. */
#ifndef TE_GPIO_H
#define TE_GPIO_H

#include <stdint.h>

#define GPIO_MODER(port) REGISTER(GPIO_BASE + 0x00u + 0x400u * (port))
#define GPIO_PUPDR(port) REGISTER(GPIO_BASE + 0x0cu + 0x400u * (port))
#define GPIO_BSRR(port) REGISTER(GPIO_BASE + 0x18u + 0x400u * (port))
#define GPIO_AFR(port, pin) REGISTER(GPIO_BASE + 0x20u + 0x400u * (port) + 4u * ((pin) / 8u))

/* Gives a pin of the serial port to it, with a pull-up. */
static inline void te_pin_init(uint32_t port, uint32_t pin, uint32_t function)
{
    RCC_GPIOENR |= 1u << (RCC_GPIOENR_FIRST + port);
    (void)RCC_GPIOENR; /* the peripheral needs some cycles: reading back takes them */
    GPIO_AFR(port, pin) =
        (GPIO_AFR(port, pin) & ~(15u << (pin % 8u * 4u))) | function << (pin % 8u * 4u);
    GPIO_PUPDR(port) = (GPIO_PUPDR(port) & ~(3u << (pin * 2u))) | 1u << (pin * 2u);
    GPIO_MODER(port) = (GPIO_MODER(port) & ~(3u << (pin * 2u))) | 2u << (pin * 2u);
}

#define te_output_init te_pin_init
#define te_input_init te_pin_init

#endif
