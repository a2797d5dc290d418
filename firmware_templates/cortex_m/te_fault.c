/* The handler of faults, and of all exceptions that nobody expects. */
#include "te_fault.h"

#include "te_cortex_m.h"
#include "te_platform.h"
#include "te_server.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SCB_CFSR REGISTER(0xe000ed28u)
#define SCB_HFSR REGISTER(0xe000ed2cu)
#define SCB_MMFAR REGISTER(0xe000ed34u)
#define SCB_BFAR REGISTER(0xe000ed38u)

#define FRAME_BYTES 32u /* r0 to r3, r12, lr, pc, xpsr */

extern uint32_t _ram_start[], _stack_top[];

__attribute__((used)) void te_fault_report(const uint32_t *frame);

/* Goes on with the stack as it is, unless there is too little left of it, or it is none. */
__attribute__((naked)) void te_fault_handler(void)
{
    __asm volatile(".syntax unified\n"
                   "mov r0, sp\n"
                   "ldr r1, =_stack_limit + 512\n"
                   "ldr r2, =_stack_top - 32\n"
                   "cmp r0, r1\n"
                   "blo 1f\n"
                   "cmp r0, r2\n"
                   "bls 2f\n"
                   "1: mov sp, r2\n"
                   "2: bl te_fault_report\n"
                   ".ltorg\n");
}

static int is_readable(const uint32_t *frame)
{
    const uintptr_t at = (uintptr_t)frame;
    return at % 4u == 0 && at >= (uintptr_t)_ram_start &&
           at <= (uintptr_t)_stack_top - FRAME_BYTES;
}

void te_fault_report(const uint32_t *frame)
{
    te_fault fault = {.exception = te_exception(), .sp = (uint32_t)(uintptr_t)frame};
    if (is_readable(frame)) {
        fault.lr = frame[5];
        fault.pc = frame[6];
        fault.xpsr = frame[7];
    }
#ifndef __ARM_ARCH_6M__
    fault.cfsr = SCB_CFSR;
    fault.hfsr = SCB_HFSR;
    fault.mmfar = SCB_MMFAR;
    fault.bfar = SCB_BFAR;
#endif
    fault.stack_overflowed = (uint32_t)te_platform_stack_overflowed();
    te_server_fault(&fault);
}
