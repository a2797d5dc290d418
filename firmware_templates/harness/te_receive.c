#include "te_receive.h"

#include "link_memory.h"
#include "te_platform.h"

/* The interrupt handler alone moves `end`, the server alone `start`; equal, the ring is empty. */
static volatile uint8_t ring[TINYEDGE_LINK_RING + 1u];
static volatile uint32_t start;
static volatile uint32_t end;

static uint32_t next(uint32_t position)
{
    return position == TINYEDGE_LINK_RING ? 0 : position + 1u;
}

void te_receive_reset(void)
{
    start = 0;
    end = 0;
}

void te_receive_put(uint8_t byte)
{
    const uint32_t after = next(end);
    if (after != start) {
        ring[end] = byte;
        end = after;
    }
}

int te_receive_pending(void)
{
    return start != end;
}

uint8_t te_receive_byte(void)
{
    while (!te_receive_pending()) {
        te_platform_poll();
    }
    const uint8_t byte = ring[start];
    start = next(start);
    return byte;
}
