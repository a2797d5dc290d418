/* What is known of a fault: registers as the core has left them, 0 where it has none. */
#ifndef TE_FAULT_H
#define TE_FAULT_H

#include <stdint.h>

typedef struct {
    uint32_t exception; /* its number: 3 is HardFault */
    uint32_t pc; /* where it happened; 0 where the stack could not be read */
    uint32_t lr;
    uint32_t xpsr;
    uint32_t sp; /* of what the exception has put on the stack */
    uint32_t cfsr; /* causes, by Armv7-M's and Armv8-M's bits */
    uint32_t hfsr;
    uint32_t mmfar; /* addresses, where cfsr says that they are valid */
    uint32_t bfar;
    uint32_t stack_overflowed;
} te_fault;

#endif
