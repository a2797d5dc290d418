/* The device half of the link as a program of the host's, its serial port a TCP socket.
 *
 * Prints the port it listens on, then serves one connection after another, as a board keeps its
 * memory while the cable is out. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "model.h"
#include "te_platform.h"
#include "te_receive.h"
#include "te_server.h"

/* A byte to stderr for every inference, wherever it leads: they are counted even if we are killed.
 * An inference takes TINYEDGE_COMPUTE_US more than it does, and with TINYEDGE_FAULT it ends in one. */
void __real_tinyedge_model_invoke(void);
void __wrap_tinyedge_model_invoke(void);

void __wrap_tinyedge_model_invoke(void)
{
    static const te_fault fault = {6, 0x08001234, 0x08000457, 0x01000000, 0x2001ff80, 1u << 25, 0, 0, 0, 1};
    const char *more = getenv("TINYEDGE_COMPUTE_US");
    if (getenv("TINYEDGE_FAULT")) {
        te_server_fault(&fault);
    }
    __real_tinyedge_model_invoke();
    if (more) {
        usleep((useconds_t)atoi(more));
    }
    if (write(STDERR_FILENO, "i", 1) != 1) {
        exit(1);
    }
}

static int server;
static int line = -1;

static void connect_line(void)
{
    const int no_delay = 1;
    line = accept(server, NULL, NULL);
    if (line < 0) {
        exit(1);
    }
    setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
}

void te_platform_init(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 1) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &length) != 0) {
        exit(1);
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    connect_line();
}

void te_platform_poll(void)
{
    static uint8_t received[512];
    static long count, at;
    while (at >= count) {
        at = 0;
        count = read(line, received, sizeof received);
        if (count <= 0) {
            close(line);
            connect_line();
        }
    }
    te_receive_put(received[at++]);
}

void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    while (count > 0) {
        const long written = write(line, bytes, count);
        if (written <= 0) {
            return; /* nobody listens */
        }
        bytes += written;
        count -= (uint32_t)written;
    }
}

uint64_t te_platform_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint32_t te_platform_tick_hz(void)
{
    return 1000000u;
}

uint32_t te_platform_stack_size(void)
{
    return 0;
}

uint32_t te_platform_stack_peak(void)
{
    return 0;
}

int te_platform_stack_overflowed(void)
{
    return 0;
}

int main(void)
{
    te_platform_init();
    te_server_run();
    return 0;
}
