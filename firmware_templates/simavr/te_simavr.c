/* An AVR firmware in simavr, its USART 0 on a TCP socket of this machine.
 *
 *     te_simavr FIRMWARE.elf PART HZ
 *
 * Prints the socket's port on stdout and serves one connection after another until it is killed; while
 * there is none, the time of the AVR stands still. It runs as fast as this machine can, but for the
 * time that the firmware sleeps. What arrives is handed over at the rate that the firmware has set, as
 * far as the AVR's receiver takes it: a firmware that reads too slowly loses bytes as on the board.
 *
 * simavr is licensed under the GPL, version 3: it is linked here, in a process of its own, and nowhere
 * else. */
#include <elf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>

/* Instructions between two looks at the socket. */
#define SLICE 1000
/* Of silence on the line, before a sleeping AVR lets this machine sleep: longer than a byte takes. */
#define IDLE_MS 5u

static int server;
static int line = -1;

static uint8_t received[4096];
static size_t received_count, received_at;
static uint8_t sent[4096];
static size_t sent_count;

static avr_irq_t *input;
static int room = 1; /* in the AVR's receiver */
static avr_cycle_count_t idle; /* cycles slept since there was a byte on the line */

static void fail(const char *message)
{
    fprintf(stderr, "te_simavr: %s\n", message);
    exit(1);
}

static void quiet(avr_t *avr, const int level, const char *format, va_list arguments)
{
    (void)avr;
    if (level == LOG_ERROR) {
        vfprintf(stderr, format, arguments);
    }
}

/* Writes what an ELF's program headers say to flash; simavr's own reader knows sections of certain
 * names only. */
static void load(avr_t *avr, const char *path)
{
    FILE *file = fopen(path, "rb");
    Elf32_Ehdr header;
    if (!file || fread(&header, sizeof header, 1, file) != 1 ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != EM_AVR) {
        fail("not an AVR's ELF");
    }
    for (uint32_t i = 0; i < header.e_phnum; i++) {
        Elf32_Phdr part;
        if (fseek(file, (long)(header.e_phoff + i * header.e_phentsize), SEEK_SET) != 0 ||
            fread(&part, sizeof part, 1, file) != 1) {
            fail("damaged ELF");
        }
        const uint32_t size = avr->flashend + 1u;
        if (part.p_type != PT_LOAD || part.p_filesz == 0) {
            continue;
        }
        if (part.p_paddr >= size || part.p_filesz > size - part.p_paddr) {
            fail("the program is larger than the part's flash");
        }
        if (fseek(file, (long)part.p_offset, SEEK_SET) != 0 ||
            fread(avr->flash + part.p_paddr, 1, part.p_filesz, file) != part.p_filesz) {
            fail("damaged ELF");
        }
        if (part.p_paddr + part.p_filesz > avr->codeend) {
            avr->codeend = part.p_paddr + part.p_filesz;
        }
    }
    fclose(file);
}

static void listen_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    server = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || bind(server, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(server, 1) != 0 ||
        getsockname(server, (struct sockaddr *)&address, &length) != 0) {
        fail("no socket");
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void connect_line(void)
{
    const int no_delay = 1;
    line = accept(server, NULL, NULL);
    if (line < 0) {
        fail("no connection");
    }
    setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
}

static void disconnect(void)
{
    close(line);
    line = -1;
    received_count = received_at = sent_count = 0;
}

static void flush_sent(void)
{
    size_t at = 0;
    while (line >= 0 && at < sent_count) {
        const ssize_t count = write(line, sent + at, sent_count - at);
        if (count <= 0) {
            disconnect();
            return;
        }
        at += (size_t)count;
    }
    sent_count = 0;
}

/* Gives the AVR what has arrived; waits for that so many milliseconds. */
static void receive(int wait_ms)
{
    while (line < 0) {
        connect_line();
    }
    if (received_at == received_count) {
        struct pollfd waiting = {.fd = line, .events = POLLIN};
        if (poll(&waiting, 1, wait_ms) > 0) {
            const ssize_t count = read(line, received, sizeof received);
            if (count <= 0) {
                disconnect();
                return;
            }
            received_count = (size_t)count;
            received_at = 0;
        }
    }
    while (room && received_at < received_count) {
        idle = 0;
        avr_raise_irq(input, received[received_at++]);
    }
}

static void on_output(avr_irq_t *irq, uint32_t value, void *unused)
{
    (void)irq;
    (void)unused;
    idle = 0;
    if (sent_count == sizeof sent) {
        flush_sent();
    }
    sent[sent_count++] = (uint8_t)value;
}

static void on_room(avr_irq_t *irq, uint32_t value, void *there_is)
{
    (void)irq;
    (void)value;
    room = there_is != NULL;
}

/* The core sleeps until an interrupt, for at most so many cycles. Its sleep becomes ours once nothing
 * has been on the line for a while. */
static void on_sleep(avr_t *avr, avr_cycle_count_t cycles)
{
    const avr_cycle_count_t millisecond = avr->frequency / 1000u;
    idle += cycles;
    if (idle >= IDLE_MS * millisecond) {
        flush_sent();
        idle -= millisecond;
        receive(1);
    }
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fail("usage: te_simavr FIRMWARE.elf PART HZ");
    }
    signal(SIGPIPE, SIG_IGN);
    avr_global_logger_set(quiet);
    avr_t *avr = avr_make_mcu_by_name(arguments[2]);
    if (!avr) {
        fail("simavr does not know the part");
    }
    avr_init(avr);
    avr->frequency = (uint32_t)strtoul(arguments[3], NULL, 10);
    load(avr, arguments[1]);

    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    static char yes;
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_output, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_room, &yes);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_room, NULL);
    input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr->sleep = on_sleep;

    listen_here();
    for (;;) {
        receive(0);
        for (int i = 0; i < SLICE; i++) {
            const int state = avr_run(avr);
            if (state == cpu_Done || state == cpu_Crashed) {
                flush_sent();
                fail("the firmware crashed, or sleeps for ever");
            }
        }
        flush_sent();
    }
}
