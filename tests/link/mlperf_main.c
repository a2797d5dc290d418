/* The server as a program that sanitizers watch: the host's bytes come from stdin, the board's go to
 * stdout, and the board's clock ticks once a reading. */
#include <stdio.h>
#include <stdlib.h>

#include "te_platform.h"
#include "te_receive.h"
#include "te_server.h"

static uint64_t ticks;

void te_receive_reset(void)
{
}

uint8_t te_receive_byte(void)
{
    const int byte = getchar();
    if (byte == EOF) {
        exit(0);
    }
    return (uint8_t)byte;
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    fwrite(bytes, 1, count, stdout);
}

uint64_t te_platform_ticks(void)
{
    return ticks += UINT64_C(0x123456789a);
}

uint32_t te_platform_tick_hz(void)
{
    return 168000000;
}

int main(void)
{
    te_server_run();
    return 0;
}
