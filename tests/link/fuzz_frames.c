/* Feeds the device half of the link: LLVMFuzzerTestOneInput, and a main of its own with a seed.
 *
 *     fuzz SEED EXECUTIONS
 *
 * Half of the executions are garbage. The others are a good frame that was damaged by up to four
 * faults; if it is accepted, it has to be the frame that was sent. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "te_frame.h"
#include "te_platform.h"
#include "te_receive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t wire[4096];
static size_t on_wire;

/* Frames that are encoded go here, and back in as what a host sends. */
void te_platform_write(const uint8_t *bytes, uint32_t count)
{
    if (on_wire + count <= sizeof wire) {
        memcpy(wire + on_wire, bytes, count);
        on_wire += count;
    }
}

void te_platform_init(void)
{
}

void te_platform_poll(void)
{
    abort(); /* nobody waits here: all that is read was put */
}

uint64_t te_platform_ticks(void)
{
    return 0;
}

uint32_t te_platform_tick_hz(void)
{
    return 1;
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

#include "te_server.c" /* to call what te_server_run calls for ever */

static te_frame_decoder decoder;
static unsigned long accepted;

static int feed(const uint8_t *data, size_t size, te_frame_header *header)
{
    int complete = 0;
    for (size_t i = 0; i < size; i++) {
        te_receive_put(data[i]);
        const te_frame_status status = te_frame_receive(&decoder, te_receive_byte(), header);
        if (status == TE_FRAME_COMPLETE) {
            complete++;
        }
    }
    return complete;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    te_frame_decoder_init(&decoder, frame, sizeof frame);
    for (size_t i = 0; i < size; i++) {
        te_receive_put(data[i]);
        on_wire = 0;
        serve(&decoder, te_receive_byte());
    }
    return 0;
}

#ifndef TINYEDGE_LIBFUZZER

static uint64_t state;

static uint32_t draw(void) /* xorshift64* (Vigna 2016) */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)(state * 0x2545f4914f6cdd1du >> 32);
}

static size_t damage(uint8_t *data, size_t size)
{
    for (uint32_t faults = 1 + draw() % 4; faults > 0 && size > 0; faults--) {
        const size_t at = draw() % size;
        switch (draw() % 4) {
        case 0: /* a bit flips */
            data[at] ^= (uint8_t)(1u << draw() % 8);
            break;
        case 1: /* a byte is lost */
            memmove(data + at, data + at + 1, size - at - 1);
            size--;
            break;
        case 2: /* a byte comes twice */
            memmove(data + at + 1, data + at, size - at);
            size++;
            break;
        default: /* a burst */
            for (size_t i = at; i < size && i < at + 8; i++) {
                data[i] = (uint8_t)draw();
            }
            break;
        }
    }
    return size;
}

/* A good frame on the wire, of a type that the server knows, or of any. */
static te_frame_header send_frame(uint8_t *payload)
{
    static const uint8_t types[] = {
        MESSAGE_HELLO,  MESSAGE_INFER,  MESSAGE_STATS, MESSAGE_CHANGES,
#ifdef TE_OBSERVED
        MESSAGE_LAYERS, MESSAGE_OUTPUT,
#endif
    };
    te_frame_header header = {types[draw() % sizeof types], draw() % 2, draw() % 16, 0};
    header.length = draw() % 4 ? draw() % 24 : TINYEDGE_MODEL_INPUT_SIZE;
#ifdef TE_OBSERVED
    if (header.type == MESSAGE_OUTPUT && draw() % 4) {
        header.length += TE_OBSERVE_ARGUMENTS;
    }
#endif
    if (draw() % 16 == 0) {
        header.type = (uint8_t)draw();
    }
    for (uint32_t i = 0; i < header.length; i++) {
        payload[i] = (uint8_t)(draw() % 3 ? draw() % 8 : draw());
    }
#ifdef TE_OBSERVED
    if (header.type == MESSAGE_OUTPUT && draw() % 4) {
        memset(payload, 0, TE_OBSERVE_ARGUMENTS); /* layer, offset and count, most of them possible */
        payload[0] = (uint8_t)(draw() % 2);
        payload[4] = (uint8_t)(draw() % 16);
        payload[8] = (uint8_t)(draw() % 16);
    }
#endif
    if (header.type == MESSAGE_CHANGES && has_base && header.length >= 4 && draw() % 4) {
        for (int i = 0; i < 4; i++) {
            payload[i] = (uint8_t)(base_crc >> (8 * i));
        }
    }
    on_wire = 0;
    te_frame_begin(&header);
    te_frame_put(payload, header.length);
    te_frame_end();
    return header;
}

static void check_damaged(void)
{
    static uint8_t payload[TINYEDGE_MODEL_INPUT_SIZE + 64], damaged[2 * sizeof wire];
    const te_frame_header sent = send_frame(payload);
    memcpy(damaged, wire, on_wire);
    const size_t size = damage(damaged, on_wire);
    te_frame_decoder_init(&decoder, frame, sizeof frame);
    te_frame_header header;
    static const uint8_t end = 0;
    if (feed(damaged, size, &header) + feed(&end, 1, &header) == 0) {
        return;
    }
    accepted++; /* what was damaged lies behind the end, or was undone */
    if (header.type != sent.type || header.session != sent.session ||
        header.sequence != sent.sequence || header.length != sent.length ||
        memcmp(frame + TE_FRAME_HEADER_SIZE, payload, sent.length) != 0) {
        fprintf(stderr, "a wrong payload was accepted\n");
        exit(1);
    }
}

int main(int count, char **arguments)
{
    if (count != 3) {
        return 2;
    }
    state = strtoull(arguments[1], NULL, 10) * 2 + 1;
    const unsigned long executions = strtoul(arguments[2], NULL, 10);
    for (unsigned long i = 0; i < executions; i++) {
        static uint8_t data[2 * sizeof wire];
        size_t size;
        switch (draw() % 4) {
        case 0:
            size = draw() % 64;
            for (size_t at = 0; at < size; at++) {
                data[at] = (uint8_t)(draw() % 4 ? draw() % 16 : draw());
            }
            LLVMFuzzerTestOneInput(data, size);
            break;
        case 1: { /* good ones reach the server */
            static uint8_t payload[TINYEDGE_MODEL_INPUT_SIZE + 64];
            send_frame(payload);
            size = on_wire;
            memcpy(data, wire, size);
            LLVMFuzzerTestOneInput(data, size);
            break;
        }
        default:
            check_damaged();
            break;
        }
    }
    printf("%lu executions, %lu damaged frames still right\n", executions, accepted);
    return 0;
}

#endif
