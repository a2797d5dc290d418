/* From reset to main on a Cortex-M: vectors, memory, the painted stack. */
#include <stdint.h>

#include "board.h"
#include "te_cortex_m.h"
#include "te_platform.h"

extern uint32_t _data_load[], _data_start[], _data_end[];
extern uint32_t _bss_start[], _bss_end[];
extern uint32_t _stack_limit[], _stack_top[];
extern void (*_constructors_start[])(void), (*_constructors_end[])(void);

int main(void);
void Reset_Handler(void);
void te_start(void);
void SysTick_Handler(void);

#define STACK_PAINT 0xa5a5a5a5u

static void halt(void)
{
    for (;;) {
    }
}

typedef void (*vector)(void);

/* The first entry is the initial stack pointer. Behind the system exceptions only the serial port's
 * interrupts are ever enabled. */
__attribute__((section(".isr_vector"), used)) static const struct {
    uint32_t *stack;
    vector handlers[15];
#ifdef BOARD_UART_ERROR_IRQ /* errors of the serial port have an interrupt of their own, the next */
    vector interrupts[BOARD_UART_ERROR_IRQ + 1u];
#else
    vector interrupts[BOARD_UART_IRQ + 1u];
#endif
} vectors = {
    _stack_top,
    {Reset_Handler, te_fault_handler, te_fault_handler, te_fault_handler, te_fault_handler,
     te_fault_handler, te_fault_handler, 0, 0, 0, te_fault_handler, te_fault_handler, 0,
     te_fault_handler, SysTick_Handler},
#ifdef BOARD_UART_ERROR_IRQ
    {[BOARD_UART_IRQ] = te_uart_handler, [BOARD_UART_ERROR_IRQ] = te_uart_handler},
#else
    {[BOARD_UART_IRQ] = te_uart_handler},
#endif
};

#define SYSTICK_CTRL (*(volatile uint32_t *)0xe000e010u)
#define NVIC_ICER ((volatile uint32_t *)0xe000e180u)
#define NVIC_ICPR ((volatile uint32_t *)0xe000e280u)
#ifdef __ARM_ARCH_6M__
#define NVIC_WORDS 1u /* of 32 interrupts */
#else
#define NVIC_WORDS 8u
#endif
#define SCB_ICSR (*(volatile uint32_t *)0xe000ed04u)
#define SCB_ICSR_PENDSTCLR (1u << 25)
#define SCB_VTOR (*(volatile uint32_t *)0xe000ed08u)
#define SCB_CCR (*(volatile uint32_t *)0xe000ed14u)
#define SCB_CCR_UNALIGN_TRP (1u << 3)
#define SCB_CPACR (*(volatile uint32_t *)0xe000ed88u)
#define SCB_CPACR_FPU (15u << 20)

#ifdef __ARM_ARCH_8M_MAIN__
#define NO_STACK_LIMIT "movs r0, #0\n msr msplim, r0\n"
#else
#define NO_STACK_LIMIT ""
#endif

/* A boot loader that jumps here may have left a stack of its own, also a process stack. */
__attribute__((naked)) void Reset_Handler(void)
{
    __asm volatile("cpsid i\n" NO_STACK_LIMIT
                   "ldr r0, =_stack_top\n"
                   "msr msp, r0\n"
                   "movs r0, #0\n"
                   "msr control, r0\n"
                   "isb\n"
                   "ldr r0, =te_start\n"
                   "bx r0\n"
                   ".ltorg");
}

/* Its interrupts, which have no handlers here. */
static void interrupts_reset(void)
{
    SYSTICK_CTRL = 0;
    SCB_ICSR = SCB_ICSR_PENDSTCLR;
    for (uint32_t word = 0; word < NVIC_WORDS; word++) {
        NVIC_ICER[word] = 0xffffffffu;
        NVIC_ICPR[word] = 0xffffffffu;
    }
}

__attribute__((used)) void te_start(void)
{
    interrupts_reset();
#ifdef __ARM_ARCH_6M__
    /* A Cortex-M0 has no vector table register and always traps unaligned accesses. A larger core
     * that runs its code shall trap them too. */
    SCB_CCR |= SCB_CCR_UNALIGN_TRP;
#else
    SCB_VTOR = (uint32_t)(uintptr_t)&vectors; /* a boot loader has its own */
#endif
    __asm volatile("dsb");
    __asm volatile("cpsie i");
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    SCB_CPACR |= SCB_CPACR_FPU; /* Helium's registers are the FPU's */
    __asm volatile("isb");
#endif
    __asm volatile("dsb");
    const uint32_t *from = _data_load;
    for (uint32_t *to = _data_start; to < _data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = _bss_start; to < _bss_end; to++) {
        *to = 0;
    }
    uint32_t *stack_pointer;
    __asm volatile("mov %0, sp" : "=r"(stack_pointer));
    for (volatile uint32_t *to = _stack_limit; to < stack_pointer; to++) {
        *to = STACK_PAINT;
    }
    for (void (**constructor)(void) = _constructors_start; constructor < _constructors_end;
         constructor++) {
        (*constructor)(); /* of C++ libraries; C has none */
    }
    main();
    halt();
}

uint32_t te_platform_stack_size(void)
{
    return (uint32_t)((uintptr_t)_stack_top - (uintptr_t)_stack_limit);
}

int te_platform_stack_overflowed(void)
{
    return *(const volatile uint32_t *)_stack_limit != STACK_PAINT;
}

uint32_t te_platform_stack_peak(void)
{
    const volatile uint32_t *word = _stack_limit;
    while ((uintptr_t)word < (uintptr_t)_stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)_stack_top - (uintptr_t)word);
}
