/* Frames of the link: COBS, ended by a zero byte, around
 *
 *   type u8, session u32, sequence u32, length u32, payload[length], crc32 u32
 *
 * all little-endian; the CRC-32 (zlib's) covers everything before it. */
#ifndef TE_FRAME_H
#define TE_FRAME_H

#include <stdint.h>

#include "te_crc32.h"

#define TE_FRAME_HEADER_SIZE 13u
#define TE_FRAME_OVERHEAD (TE_FRAME_HEADER_SIZE + 4u)

typedef struct {
    uint8_t type;
    uint32_t session;
    uint32_t sequence;
    uint32_t length;
} te_frame_header;

typedef enum {
    TE_FRAME_PENDING, /* more bytes are needed */
    TE_FRAME_COMPLETE, /* a whole frame with a right checksum is in the buffer */
    TE_FRAME_DAMAGED, /* a frame ended that was cut, too long or of a wrong checksum */
} te_frame_status;

typedef struct {
    uint8_t *data;
    uint32_t capacity;
    uint32_t length;
    uint8_t code; /* of the current COBS block, 0 before the first */
    uint8_t remaining; /* bytes that the block still brings */
    uint8_t overflow;
} te_frame_decoder;

/* Starts a decoder on a buffer of `capacity` bytes, frame overhead included. */
void te_frame_decoder_init(te_frame_decoder *decoder, uint8_t *data, uint32_t capacity);
/* Takes one byte from the wire. After COMPLETE, `header` is filled and the payload starts at
 * data + TE_FRAME_HEADER_SIZE, until the next call. */
te_frame_status te_frame_receive(te_frame_decoder *decoder, uint8_t byte, te_frame_header *header);

/* Sends one frame: te_frame_begin, any number of puts that add up to header.length, te_frame_end. */
void te_frame_begin(const te_frame_header *header);
void te_frame_put(const void *bytes, uint32_t count);
void te_frame_put_u32(uint32_t value);
void te_frame_end(void);

uint32_t te_load_u32(const uint8_t *bytes);

#endif
