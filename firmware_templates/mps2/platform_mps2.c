/* Counter and serial port of Arm's MPS2 and MPS3 FPGA images (application notes AN385 and others):
 * the clocks run from reset on, and the serial port is the CMSDK's APB UART (DDI0479). */
#include "board.h"
#include "te_platform.h"
#include "te_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define UART_DATA REGISTER(BOARD_UART_BASE + 0x00u)
#define UART_STATE REGISTER(BOARD_UART_BASE + 0x04u)
#define UART_STATE_TX_FULL (1u << 0)
#define UART_STATE_RX_FULL (1u << 1)
#define UART_CTRL REGISTER(BOARD_UART_BASE + 0x08u)
#define UART_CTRL_ENABLE ((1u << 0) | (1u << 1)) /* transmitter, receiver */
#define UART_BAUDDIV REGISTER(BOARD_UART_BASE + 0x10u)

void te_platform_init(void)
{
    UART_BAUDDIV = BOARD_UART_DIVIDER;
    UART_CTRL = UART_CTRL_ENABLE;
    te_systick_start();
}

uint8_t te_platform_read(void)
{
    while (!(UART_STATE & UART_STATE_RX_FULL)) {
    }
    return (uint8_t)UART_DATA;
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (UART_STATE & UART_STATE_TX_FULL) {
        }
        UART_DATA = bytes[i];
    }
}

uint64_t te_platform_ticks(void)
{
    return te_systick_ticks();
}

uint32_t te_platform_tick_hz(void)
{
    return BOARD_SYSCLK_HZ;
}
