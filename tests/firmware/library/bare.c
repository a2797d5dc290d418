/* The same on a bare Cortex-M: vectors, and semihosting's exit. */
#include <stddef.h>
#include <stdint.h>

#include "check.h"

int main(void);
void Reset_Handler(void);
/* What the compiler itself calls is not seen by -flto. */
__attribute__((used)) void *memcpy(void *destination, const void *source, size_t count);
__attribute__((used)) void *memset(void *destination, int value, size_t count);

extern uint32_t stack_top[];

static void stop(uint32_t code)
{
    const uint32_t block[2] = {0x20026u, code}; /* ADP_Stopped_ApplicationExit */
    register uint32_t operation __asm__("r0") = 0x20u; /* SYS_EXIT_EXTENDED */
    register const uint32_t *arguments __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(arguments) : "memory");
    for (;;) {
    }
}

/* QEMU loads RAM as the ELF file has it, and clears the rest. */
void Reset_Handler(void)
{
    stop((uint32_t)main());
}

static void fault(void)
{
    stop(99u);
}

void *memcpy(void *destination, const void *source, size_t count)
{
    uint8_t *to = destination;
    const uint8_t *from = source;
    while (count--) {
        *to++ = *from++;
    }
    return destination;
}

void *memset(void *destination, int value, size_t count)
{
    uint8_t *to = destination;
    while (count--) {
        *to++ = (uint8_t)value;
    }
    return destination;
}

typedef struct {
    void *stack;
    void (*handlers[15])(void);
} vectors;

__attribute__((section(".vectors"), used)) static const vectors table = {
    stack_top,
    {Reset_Handler, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
     fault, fault}};
