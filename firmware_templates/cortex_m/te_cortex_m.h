/* Interrupts of a Cortex-M, the serial port's among them. */
#ifndef TE_CORTEX_M_H
#define TE_CORTEX_M_H

#include <stdint.h>

/* The interrupt BOARD_UART_IRQ. */
void te_uart_handler(void);
/* Faults, and what nobody expects. */
void te_fault_handler(void);
/* Of the platform: passes on at most one byte that has arrived, and lets the next one interrupt. */
void te_uart_receive(void);

static inline void te_enable_interrupt(uint32_t number)
{
    volatile uint32_t *const nvic_iser = (volatile uint32_t *)(uintptr_t)0xe000e100u;
    nvic_iser[number / 32u] = 1u << (number % 32u);
}

static inline void te_mask_interrupts(void)
{
    __asm volatile("cpsid i" ::: "memory");
}

static inline void te_unmask_interrupts(void)
{
    __asm volatile("cpsie i" ::: "memory");
}

/* Number of the exception that is being handled, 0 for none. */
static inline uint32_t te_exception(void)
{
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    return number & 0x1ffu;
}

/* Waits for an interrupt, also for one that is masked, unless there is something to do. */
static inline void te_sleep_unless(int busy)
{
    if (!busy) {
        __asm volatile("wfi" ::: "memory");
    }
}

#endif
