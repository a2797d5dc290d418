/* What the harness asks of a board, by what every Arduino core has: Serial, whose own buffer takes the
 * place of te_receive.c, and micros(). An AVR also sleeps, counts cycles and paints its stack. */
#include <Arduino.h>

#include "te_platform.h"
#include "te_receive.h"

#if defined(__AVR__)
#include <avr/interrupt.h>
#include <avr/sleep.h>
#include <util/atomic.h>
#endif

#if defined(TIMER1_OVF_vect)

static volatile uint32_t wraps;

ISR(TIMER1_OVF_vect)
{
    wraps++;
}

/* Timer 1 counts every cycle of the core. Arduino's own time is timer 0. */
static void counter_init(void)
{
    TCCR1A = 0;
    TCCR1B = _BV(CS10);
    TCNT1 = 0;
    TIMSK1 = _BV(TOIE1);
}

uint64_t te_platform_ticks(void)
{
    uint32_t high;
    uint16_t low;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        low = TCNT1;
        high = wraps;
        if ((TIFR1 & _BV(TOV1)) && low < 0x8000u) {
            high++; /* its interrupt has had no chance yet */
        }
    }
    return (uint64_t)high << 16 | low;
}

uint32_t te_platform_tick_hz(void)
{
    return F_CPU;
}

#else

static uint32_t before;
static uint32_t wraps;

static void counter_init(void)
{
    before = micros();
}

/* Counts at most one wrap a call: what runs between two calls takes less than 71 minutes. */
uint64_t te_platform_ticks(void)
{
    const uint32_t now = micros();
    if (now < before) {
        wraps++;
    }
    before = now;
    return (uint64_t)wraps << 32 | now;
}

uint32_t te_platform_tick_hz(void)
{
    return 1000000u;
}

#endif

#if defined(__AVR__)

extern uint8_t _end[]; /* behind the last variable */

static const uint8_t STACK_PAINT = 0xa5;

static void paint_stack(void)
{
    for (volatile uint8_t *byte = _end; byte < (uint8_t *)SP; byte++) {
        *byte = STACK_PAINT;
    }
}

uint32_t te_platform_stack_size(void)
{
    return RAMEND + 1u - (uintptr_t)_end;
}

int te_platform_stack_overflowed(void)
{
    return *(const volatile uint8_t *)_end != STACK_PAINT;
}

uint32_t te_platform_stack_peak(void)
{
    const volatile uint8_t *byte = _end;
    while ((uintptr_t)byte <= RAMEND && *byte == STACK_PAINT) {
        byte++;
    }
    return RAMEND + 1u - (uintptr_t)byte;
}

/* Sleeps until an interrupt, unless a byte has arrived: interrupts are let in by the instruction
 * before the sleep begins, and taken only behind it. */
static void wait(void)
{
    set_sleep_mode(SLEEP_MODE_IDLE);
    noInterrupts();
    if (!Serial.available()) {
        sleep_enable();
        interrupts();
        sleep_cpu();
        sleep_disable();
    }
    interrupts();
}

#else

static void paint_stack(void)
{
}

/* Where other cores have their stack, Arduino does not tell. */
uint32_t te_platform_stack_size(void)
{
    return 0;
}

int te_platform_stack_overflowed(void)
{
    return 0;
}

uint32_t te_platform_stack_peak(void)
{
    return 0;
}

static void wait(void)
{
    yield();
}

#endif

/* Behind Serial.begin. */
void te_platform_init(void)
{
    paint_stack();
    counter_init();
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    Serial.write(bytes, count);
}

/* A full buffer has lost what came next: that a host repeats a request while the model runs. The part
 * of it that is left would only be answered as damaged, and have the next request repeated, too. */
static void drop_what_is_cut(void)
{
#if defined(SERIAL_RX_BUFFER_SIZE)
    if (Serial.available() == SERIAL_RX_BUFFER_SIZE - 1) {
        while (Serial.read() >= 0) {
        }
    }
#endif
}

uint8_t te_receive_byte(void)
{
    drop_what_is_cut();
    for (;;) {
        const int byte = Serial.read();
        if (byte >= 0) {
            return (uint8_t)byte;
        }
        wait();
    }
}
