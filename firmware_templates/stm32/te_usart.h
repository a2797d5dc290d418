/* Registers of the serial port, which all families but the STM32F4 have alike. */
#ifndef TE_USART_H
#define TE_USART_H

#define USART_CR1 REGISTER(BOARD_UART_BASE + 0x00u)
#define USART_CR1_UE (1u << 0)
#define USART_BRR REGISTER(BOARD_UART_BASE + 0x0cu)
#define USART_STATUS REGISTER(BOARD_UART_BASE + 0x1cu)
#define USART_ICR REGISTER(BOARD_UART_BASE + 0x20u)
#define USART_ICR_ORECF (1u << 3)
#define USART_RECEIVED REGISTER(BOARD_UART_BASE + 0x24u)
#define USART_SENT REGISTER(BOARD_UART_BASE + 0x28u)
#define USART_CLEAR_OVERRUN() (USART_ICR = USART_ICR_ORECF)

#endif
