/* Counter and serial port of Arm's MPS2 and MPS3 FPGA images (application notes AN385 and others):
 * the clocks run from reset on, and the serial port is the CMSDK's APB UART (DDI0479). */
#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define UART_DATA REGISTER(BOARD_UART_BASE + 0x00u)
#define UART_STATE REGISTER(BOARD_UART_BASE + 0x04u)
#define UART_STATE_TX_FULL (1u << 0)
#define UART_STATE_RX_FULL (1u << 1)
#define UART_CTRL REGISTER(BOARD_UART_BASE + 0x08u)
#define UART_CTRL_ENABLE ((1u << 0) | (1u << 1) | (1u << 3)) /* transmitter, receiver, its interrupt */
#define UART_INTCLEAR REGISTER(BOARD_UART_BASE + 0x0cu)
#define UART_INTCLEAR_RX (1u << 1)
#define UART_BAUDDIV REGISTER(BOARD_UART_BASE + 0x10u)

void te_platform_init(void)
{
    UART_BAUDDIV = BOARD_UART_DIVIDER;
    UART_CTRL = UART_CTRL_ENABLE;
    te_enable_interrupt(BOARD_UART_IRQ);
    te_systick_start();
}

void te_uart_receive(void)
{
    UART_INTCLEAR = UART_INTCLEAR_RX; /* before the byte is read: the next one raises it again */
    if (UART_STATE & UART_STATE_RX_FULL) {
        te_receive_put((uint8_t)UART_DATA);
    }
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
