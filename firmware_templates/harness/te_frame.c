#include "te_frame.h"

#include "te_platform.h"

uint32_t te_load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static void restart(te_frame_decoder *decoder)
{
    decoder->length = 0;
    decoder->code = 0;
    decoder->remaining = 0;
    decoder->overflow = 0;
}

void te_frame_decoder_init(te_frame_decoder *decoder, uint8_t *data, uint32_t capacity)
{
    decoder->data = data;
    decoder->capacity = capacity;
    restart(decoder);
}

static void append(te_frame_decoder *decoder, uint8_t byte)
{
    if (decoder->length < decoder->capacity) {
        decoder->data[decoder->length++] = byte;
    } else {
        decoder->overflow = 1;
    }
}

static te_frame_status finish(const te_frame_decoder *decoder, te_frame_header *header)
{
    const uint8_t *data = decoder->data;
    if (decoder->code == 0) {
        return TE_FRAME_PENDING; /* an empty frame: zeros only clear the line */
    }
    if (decoder->remaining > 0 || decoder->overflow || decoder->length < TE_FRAME_OVERHEAD) {
        return TE_FRAME_DAMAGED;
    }
    header->type = data[0];
    header->session = te_load_u32(data + 1);
    header->sequence = te_load_u32(data + 5);
    header->length = te_load_u32(data + 9);
    const uint32_t covered = decoder->length - 4u;
    if (header->length != covered - TE_FRAME_HEADER_SIZE ||
        te_load_u32(data + covered) != te_crc32(0, data, covered)) {
        return TE_FRAME_DAMAGED;
    }
    return TE_FRAME_COMPLETE;
}

te_frame_status te_frame_receive(te_frame_decoder *decoder, uint8_t byte, te_frame_header *header)
{
    if (byte == 0) {
        const te_frame_status status = finish(decoder, header);
        restart(decoder);
        return status;
    }
    if (decoder->remaining > 0) {
        append(decoder, byte);
        decoder->remaining--;
    } else {
        if (decoder->code != 0 && decoder->code != 255) {
            append(decoder, 0);
        }
        decoder->code = byte;
        decoder->remaining = (uint8_t)(byte - 1);
    }
    return TE_FRAME_PENDING;
}

/* The COBS block being filled: its code, then its bytes. */
static uint8_t block[255];
static uint8_t filled;
static uint32_t checksum;

static void flush(void)
{
    block[0] = (uint8_t)(filled + 1);
    te_platform_write(block, (uint32_t)filled + 1u);
    filled = 0;
}

static void encode(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bytes[i] == 0) {
            flush();
        } else {
            block[1 + filled++] = bytes[i];
            if (filled == 254) {
                flush();
            }
        }
    }
}

void te_frame_put(const void *bytes, uint32_t count)
{
    checksum = te_crc32(checksum, bytes, count);
    encode(bytes, count);
}

static void store_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

void te_frame_put_u32(uint32_t value)
{
    uint8_t bytes[4];
    store_u32(bytes, value);
    te_frame_put(bytes, 4);
}

void te_frame_begin(const te_frame_header *header)
{
    filled = 0;
    checksum = 0;
    te_frame_put(&header->type, 1);
    te_frame_put_u32(header->session);
    te_frame_put_u32(header->sequence);
    te_frame_put_u32(header->length);
}

void te_frame_end(void)
{
    static const uint8_t delimiter = 0;
    uint8_t bytes[4];
    store_u32(bytes, checksum);
    encode(bytes, 4);
    flush();
    te_platform_write(&delimiter, 1);
}
