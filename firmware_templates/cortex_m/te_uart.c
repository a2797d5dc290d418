/* The serial port's interrupt, and the core's sleep between bytes. */
#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_receive.h"

void te_uart_handler(void)
{
    te_uart_receive();
}

/* The interrupt comes first where there is one; an emulator without interrupts is polled. */
void te_platform_poll(void)
{
    te_platform_ticks(); /* notices that a counter without an interrupt has wrapped */
    te_mask_interrupts();
    te_uart_receive();
    te_sleep_unless(te_receive_pending() || te_exception()); /* nothing wakes a fault's handler */
    te_unmask_interrupts();
}
