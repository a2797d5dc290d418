/* Registers of the serial port of the STM32F1 and STM32F4, in the first form that ST made. */
#ifndef TE_USART_FIRST_H
#define TE_USART_FIRST_H

#define USART_CR1 REGISTER(BOARD_UART_BASE + 0x0cu)
#define USART_CR1_UE (1u << 13)
#define USART_BRR REGISTER(BOARD_UART_BASE + 0x08u)
#define USART_STATUS REGISTER(BOARD_UART_BASE + 0x00u)
#define USART_RECEIVED REGISTER(BOARD_UART_BASE + 0x04u)
#define USART_SENT REGISTER(BOARD_UART_BASE + 0x04u)
/* Reading status and data has cleared it. */
#define USART_CLEAR_OVERRUN() ((void)0)

#endif
