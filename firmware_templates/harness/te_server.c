#include "te_server.h"

#include "firmware_id.h"
#include "link_memory.h"
#include "model.h"
#include "te_flash.h"
#include "te_frame.h"
#include "te_memory.h"
#include "te_platform.h"
#include "te_receive.h"

#ifdef TE_OBSERVED
#include "te_observe.h"
#define LARGEST_PAYLOAD (TE_OBSERVE_ARGUMENTS + TINYEDGE_MODEL_INPUT_SIZE)
#else
#define LARGEST_PAYLOAD TINYEDGE_MODEL_INPUT_SIZE
#endif

#define PROTOCOL_VERSION 3
#define BOARD_NAME_SIZE 24u

/* Message types; an answer has the type of its request with the top bit set. */
enum {
    MESSAGE_HELLO = 0x01, /* opens a session */
    MESSAGE_INFER = 0x02, /* payload: the int8 input */
    MESSAGE_STATS = 0x03,
    MESSAGE_CHANGES = 0x04, /* payload: the base's CRC-32, then what differs from it */
    MESSAGE_START = 0x05, /* as INFER, of the first frame of a sequence: states begin anew */
    MESSAGE_LAYERS = 0x10, /* payload: the int8 input */
    MESSAGE_OUTPUT = 0x11, /* payload: as te_observe.h says, then the int8 input */
    MESSAGE_ANSWER = 0x80,
    /* 0xfd: the firmware has stopped; see te_server_fault.c */
    MESSAGE_DAMAGED = 0xfe, /* answers no request, but a frame that cannot be read */
    MESSAGE_ERROR = 0xff, /* payload: one u32, an error below */
};

enum {
    ERROR_UNKNOWN_TYPE = 1,
    ERROR_WRONG_LENGTH = 2,
    ERROR_NO_SESSION = 3, /* the board was reset, or another host has taken over */
    ERROR_NO_MODEL = 4, /* the runtime cannot set the model up: its arena is too small */
    ERROR_NO_BASE = 5, /* the changes are to another input than the one kept */
    ERROR_STACK_OVERFLOW = 6, /* what was computed may be wrong */
    ERROR_OUT_OF_SEQUENCE = 7, /* another frame than the one behind the last */
    ERROR_NO_LAYER = 16,
};

/* An answer, so that a repeated request is answered again and not computed again. */
typedef struct {
    uint32_t known;
    uint32_t sequence;
    uint32_t input_crc;
    uint64_t ticks;
    int8_t logits[TINYEDGE_MODEL_OUTPUT_SIZE];
} answer;

static uint8_t frame[TE_FRAME_OVERHEAD + LARGEST_PAYLOAD];
static answer answers[TINYEDGE_LINK_ANSWERS];
#ifdef TINYEDGE_MODEL_STATE_SIZE
static uint32_t in_sequence; /* whether states are those before the frame below */
static uint32_t next_frame; /* number of its request */
#endif
static uint32_t session;
static uint32_t inferences;
static uint32_t damaged_frames;

TE_NOINIT static uint32_t boots;
static uint32_t boot_id; /* differs, as a rule, from one boot to the next */

static void begin_answer(const te_frame_header *request, uint8_t type, uint32_t length)
{
    te_frame_header header = *request;
    header.type = type;
    header.length = length;
    te_frame_begin(&header);
}

static void send_error(const te_frame_header *request, uint32_t code)
{
    begin_answer(request, MESSAGE_ERROR, 4);
    te_frame_put_u32(code);
    te_frame_end();
}

/* Tells the host at once, which would otherwise wait for an answer. */
static void send_damaged(void)
{
    const te_frame_header header = {MESSAGE_DAMAGED, session, damaged_frames, 0};
    te_frame_begin(&header);
    te_frame_end();
}

static void open_session(const te_frame_header *request)
{
    if (boot_id == 0) {
        boot_id = (boots * 0x9e3779b9u ^ (uint32_t)te_platform_ticks()) | 1u;
    }
    if (session != request->session) {
        session = request->session;
        for (uint32_t i = 0; i < TINYEDGE_LINK_ANSWERS; i++) {
            answers[i].known = 0;
        }
#ifdef TINYEDGE_MODEL_STATE_SIZE
        in_sequence = 0;
#endif
    }
}

/* A core that reads flash in another way than RAM reads it byte by byte. */
static void put_constant(const TE_FLASH uint8_t *bytes, uint32_t count)
{
#if TE_FLASH_APART
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t byte = bytes[i];
        te_frame_put(&byte, 1);
    }
#else
    te_frame_put(bytes, count);
#endif
}

static void send_hello(const te_frame_header *request)
{
    static const TE_FLASH uint32_t shape[] = TINYEDGE_MODEL_INPUT_SHAPE;
    static const TE_FLASH uint8_t board[BOARD_NAME_SIZE] = TINYEDGE_BOARD_NAME;
    static const TE_FLASH uint8_t firmware_hash[32] = TINYEDGE_FIRMWARE_HASH;
    begin_answer(request, MESSAGE_HELLO | MESSAGE_ANSWER, 52u + 64u + BOARD_NAME_SIZE);
    te_frame_put_u32(PROTOCOL_VERSION);
    te_frame_put_u32(TINYEDGE_MODEL_INPUT_RANK);
    for (uint32_t axis = 0; axis < 4; axis++) {
        te_frame_put_u32(axis < TINYEDGE_MODEL_INPUT_RANK ? shape[axis] : 1u);
    }
    te_frame_put_u32(TINYEDGE_MODEL_OUTPUT_SIZE);
    te_frame_put_u32(TINYEDGE_MODEL_INPUT_SIZE);
    te_frame_put_u32(te_platform_tick_hz());
    te_frame_put_u32(boot_id);
    te_frame_put_u32(TINYEDGE_LINK_RING);
    te_frame_put_u32(TINYEDGE_LINK_ANSWERS);
    te_frame_put_u32(TINYEDGE_LINK_CHANGES);
    put_constant(tinyedge_model_hash, 32);
    put_constant(firmware_hash, 32);
    put_constant(board, BOARD_NAME_SIZE);
    te_frame_end();
}

static void send_answer(const te_frame_header *request, const answer *known)
{
    begin_answer(request, MESSAGE_INFER | MESSAGE_ANSWER, 12u + TINYEDGE_MODEL_OUTPUT_SIZE);
    te_frame_put_u32(known->input_crc);
    te_frame_put_u32((uint32_t)known->ticks);
    te_frame_put_u32((uint32_t)(known->ticks >> 32));
    te_frame_put(known->logits, TINYEDGE_MODEL_OUTPUT_SIZE);
    te_frame_end();
}

#if TINYEDGE_LINK_CHANGES
static uint8_t base[TINYEDGE_MODEL_INPUT_SIZE]; /* the last input that came as a whole */
static uint32_t base_crc;
static uint32_t has_base;

/* Applies pairs of `skip u8, copy u8` and the bytes to copy; 0 if they leave the input. */
static int apply(uint8_t *input, const uint8_t *changes, uint32_t length)
{
    uint32_t at = 0, read = 0;
    while (read < length) {
        if (length - read < 2u) {
            return 0;
        }
        const uint32_t copied = changes[read + 1u];
        at += changes[read];
        read += 2u;
        if (copied > length - read || at > TINYEDGE_MODEL_INPUT_SIZE ||
            copied > TINYEDGE_MODEL_INPUT_SIZE - at) {
            return 0;
        }
        memcpy(input + at, changes + read, copied);
        at += copied;
        read += copied;
    }
    return 1;
}
#endif

/* Makes the request's input the model's; gives an error, or 0. */
static uint32_t take_input(const te_frame_header *request, const uint8_t *payload, uint32_t *crc)
{
    uint8_t *input = (uint8_t *)tinyedge_model_input();
    if (!input) {
        return ERROR_NO_MODEL;
    }
    if (request->type != MESSAGE_CHANGES) {
        if (request->length != TINYEDGE_MODEL_INPUT_SIZE) {
            return ERROR_WRONG_LENGTH;
        }
        *crc = te_crc32(0, payload, TINYEDGE_MODEL_INPUT_SIZE);
        memcpy(input, payload, TINYEDGE_MODEL_INPUT_SIZE);
#if TINYEDGE_LINK_CHANGES
        memcpy(base, payload, TINYEDGE_MODEL_INPUT_SIZE);
        base_crc = *crc;
        has_base = 1;
#endif
        return 0;
    }
#if TINYEDGE_LINK_CHANGES
    if (request->length < 4u) {
        return ERROR_WRONG_LENGTH;
    }
    if (!has_base || te_load_u32(payload) != base_crc) {
        return ERROR_NO_BASE;
    }
    memcpy(input, base, TINYEDGE_MODEL_INPUT_SIZE);
    if (!apply(input, payload + 4, request->length - 4u)) {
        return ERROR_WRONG_LENGTH;
    }
    *crc = te_crc32(0, input, TINYEDGE_MODEL_INPUT_SIZE);
    return 0;
#else
    return ERROR_NO_BASE;
#endif
}

#ifdef TINYEDGE_MODEL_STATE_SIZE
/* Begins a sequence, or tells whether a frame is the next one of it. */
static int follows(const te_frame_header *request)
{
    if (request->type == MESSAGE_START) {
        in_sequence = 0;
        tinyedge_model_reset();
        return 1;
    }
    return in_sequence && request->sequence == next_frame;
}
#endif

static void infer(const te_frame_header *request, const uint8_t *payload)
{
    if (request->session != session) {
        send_error(request, ERROR_NO_SESSION);
        return;
    }
    answer *slot = &answers[request->sequence % TINYEDGE_LINK_ANSWERS];
    if (!slot->known || slot->sequence != request->sequence) {
        uint32_t crc = 0;
#ifdef TINYEDGE_MODEL_STATE_SIZE
        if (!follows(request)) {
            send_error(request, ERROR_OUT_OF_SEQUENCE);
            return;
        }
#endif
        const uint32_t error = take_input(request, payload, &crc);
        if (error != 0) {
            send_error(request, error);
            return;
        }
#ifdef TINYEDGE_MODEL_STATE_SIZE
        in_sequence = 0; /* until this frame is through */
#endif
        const uint64_t start = te_platform_ticks();
        tinyedge_model_invoke();
        slot->ticks = te_platform_ticks() - start;
        if (te_platform_stack_overflowed()) {
            send_error(request, ERROR_STACK_OVERFLOW);
            return;
        }
        slot->input_crc = crc;
        memcpy(slot->logits, tinyedge_model_output(), TINYEDGE_MODEL_OUTPUT_SIZE);
        slot->sequence = request->sequence;
        slot->known = 1;
#ifdef TINYEDGE_MODEL_STATE_SIZE
        in_sequence = 1;
        next_frame = request->sequence + 1u;
#endif
        inferences++;
    }
    send_answer(request, slot);
}

#ifdef TE_OBSERVED
/* Runs the model while it is watched. Nothing is remembered: a repeated request is computed again. */
static void observe(const te_frame_header *request, const uint8_t *payload)
{
    const uint32_t arguments = request->type == MESSAGE_OUTPUT ? TE_OBSERVE_ARGUMENTS : 0;
    if (request->session != session) {
        send_error(request, ERROR_NO_SESSION);
        return;
    }
    if (request->length != arguments + TINYEDGE_MODEL_INPUT_SIZE) {
        send_error(request, ERROR_WRONG_LENGTH);
        return;
    }
    const uint32_t crc = te_crc32(0, payload + arguments, TINYEDGE_MODEL_INPUT_SIZE);
    te_frame_header answered = *request;
    answered.type |= MESSAGE_ANSWER;
    memcpy(tinyedge_model_input(), payload + arguments, TINYEDGE_MODEL_INPUT_SIZE);
#ifdef TINYEDGE_MODEL_STATE_SIZE
    in_sequence = 0; /* watched is the first frame of a sequence */
    tinyedge_model_reset();
#endif
    inferences++;
    if (request->type == MESSAGE_LAYERS) {
        te_observe_layers(&answered, crc);
    } else if (!te_observe_output(&answered, crc, payload)) {
        send_error(request, ERROR_NO_LAYER);
    }
}
#endif

static void send_stats(const te_frame_header *request)
{
    const tinyedge_arena_usage arena = tinyedge_model_arena();
    begin_answer(request, MESSAGE_STATS | MESSAGE_ANSWER, 32);
    te_frame_put_u32(te_platform_stack_size());
    te_frame_put_u32(te_platform_stack_peak());
    te_frame_put_u32(inferences);
    te_frame_put_u32(damaged_frames);
    te_frame_put_u32(arena.size);
    te_frame_put_u32(arena.smallest);
    te_frame_put_u32(arena.head);
    te_frame_put_u32(arena.tail);
    te_frame_end();
}

static void answer_request(const te_frame_header *request, const uint8_t *payload)
{
    switch (request->type) {
    case MESSAGE_HELLO:
        open_session(request);
        send_hello(request);
        break;
    case MESSAGE_INFER:
    case MESSAGE_CHANGES:
#ifdef TINYEDGE_MODEL_STATE_SIZE
    case MESSAGE_START:
#endif
        infer(request, payload);
        break;
    case MESSAGE_STATS:
        send_stats(request);
        break;
#ifdef TE_OBSERVED
    case MESSAGE_LAYERS:
    case MESSAGE_OUTPUT:
        observe(request, payload);
        break;
#endif
    default:
        send_error(request, ERROR_UNKNOWN_TYPE);
        break;
    }
}

static void serve(te_frame_decoder *decoder, uint8_t byte)
{
    te_frame_header request;
    switch (te_frame_receive(decoder, byte, &request)) {
    case TE_FRAME_COMPLETE:
        answer_request(&request, frame + TE_FRAME_HEADER_SIZE);
        break;
    case TE_FRAME_DAMAGED:
        damaged_frames++;
        send_damaged();
        break;
    case TE_FRAME_PENDING:
        break;
    }
}

void te_server_run(void)
{
    te_frame_decoder decoder;
    te_frame_decoder_init(&decoder, frame, sizeof frame);
    boots++;
    for (;;) {
        serve(&decoder, te_receive_byte());
    }
}
