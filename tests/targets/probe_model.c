#include "model.h"

#ifdef __ARM_FEATURE_MVE
#include <arm_mve.h>
#endif

enum {
    PROBE_LOOP = 0, /* two instructions an iteration */
    PROBE_UNALIGNED = 1,
    PROBE_DSP = 2,
    PROBE_MVE = 3,
    PROBE_UNDEFINED = 4, /* an instruction that no core has */
    PROBE_READ = 5, /* of an address */
    PROBE_STACK = 6, /* all but so many bytes */
};

const uint8_t tinyedge_model_hash[32] = {0};

static union {
    int8_t bytes[8];
    uint32_t words[2];
} input;
static uint32_t output;

int8_t *tinyedge_model_input(void)
{
    return input.bytes;
}

const int8_t *tinyedge_model_output(void)
{
    return (const int8_t *)&output;
}

tinyedge_arena_usage tinyedge_model_arena(void)
{
    const tinyedge_arena_usage usage = {0, 0, 0, 0};
    return usage;
}

static uint32_t loop(uint32_t count)
{
    __asm volatile(".syntax unified\n1: subs %0, #1\n bne 1b" : "+l"(count) : : "cc");
    return count;
}

/* In assembly, since a compiler avoids such an access where it knows of it. */
static uint32_t load_unaligned(void)
{
    uint32_t value;
    __asm volatile("ldr %0, [%1]" : "=l"(value) : "l"(input.bytes + 1) : "memory");
    return value;
}

static uint32_t multiply_halfwords(void)
{
    uint32_t value = 0;
#ifdef __ARM_FEATURE_DSP
    /* 3 * 5 + 2 * 7 + 1 */
    __asm volatile("smlad %0, %1, %2, %3" : "=r"(value) : "r"(0x00020003), "r"(0x00070005), "r"(1));
#endif
    return value;
}

static uint32_t multiply_vectors(void)
{
    uint32_t value = 0;
#ifdef __ARM_FEATURE_MVE
    value = (uint32_t)vmladavq_s8(vdupq_n_s8(-3), vdupq_n_s8(5)); /* 16 lanes */
#endif
    return value;
}

static void run_undefined(void)
{
    __asm volatile(".short 0xde00"); /* udf #0 */
}

static uint32_t read_word(uint32_t address)
{
    return *(const volatile uint32_t *)(uintptr_t)address;
}

extern uint32_t _stack_limit[];

static void use_stack_but(uint32_t bytes)
{
    volatile uint32_t *word;
    __asm volatile("mov %0, sp" : "=r"(word));
    while (word > _stack_limit + bytes / 4u) {
        *--word = 0;
    }
}

void tinyedge_model_invoke(void)
{
    switch (input.words[0]) {
    case PROBE_LOOP:
        output = loop(input.words[1]);
        break;
    case PROBE_UNALIGNED:
        output = load_unaligned();
        break;
    case PROBE_DSP:
        output = multiply_halfwords();
        break;
    case PROBE_MVE:
        output = multiply_vectors();
        break;
    case PROBE_UNDEFINED:
        run_undefined();
        break;
    case PROBE_READ:
        output = read_word(input.words[1]);
        break;
    case PROBE_STACK:
        use_stack_but(input.words[1]);
        break;
    default:
        break;
    }
}
