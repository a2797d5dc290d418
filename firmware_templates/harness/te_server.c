#include "te_server.h"

#include "firmware_id.h"
#include "model.h"
#include "te_frame.h"
#include "te_memory.h"
#include "te_platform.h"

#define PROTOCOL_VERSION 2
#define BOARD_NAME_SIZE 24u

/* Message types; an answer has the type of its request with the top bit set. */
enum {
    MESSAGE_HELLO = 0x01, /* opens a session */
    MESSAGE_INFER = 0x02, /* payload: the int8 input */
    MESSAGE_STATS = 0x03,
    MESSAGE_ANSWER = 0x80,
    MESSAGE_ERROR = 0xff, /* payload: one u32, an error below */
};

enum {
    ERROR_UNKNOWN_TYPE = 1,
    ERROR_WRONG_LENGTH = 2,
    ERROR_NO_SESSION = 3, /* the board was reset, or another host has taken over */
    ERROR_NO_MODEL = 4, /* the runtime cannot set the model up: its arena is too small */
};

/* The last answer, so that a repeated request is answered again and not computed again. */
typedef struct {
    uint32_t known;
    uint32_t sequence;
    uint32_t input_crc;
    uint64_t ticks;
    int8_t logits[TINYEDGE_MODEL_OUTPUT_SIZE];
} answer;

static uint8_t frame[TE_FRAME_OVERHEAD + TINYEDGE_MODEL_INPUT_SIZE];
static answer last;
static uint32_t session;
static uint32_t boot_id; /* differs, as a rule, from one boot to the next */
static uint32_t inferences;
static uint32_t damaged_frames;

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

static void send_hello(const te_frame_header *request)
{
    static const uint32_t shape[] = TINYEDGE_MODEL_INPUT_SHAPE;
    static const char board[BOARD_NAME_SIZE] = TINYEDGE_BOARD_NAME;
    static const uint8_t firmware_hash[32] = TINYEDGE_FIRMWARE_HASH;
    begin_answer(request, MESSAGE_HELLO | MESSAGE_ANSWER, 40u + 64u + BOARD_NAME_SIZE);
    te_frame_put_u32(PROTOCOL_VERSION);
    te_frame_put_u32(TINYEDGE_MODEL_INPUT_RANK);
    for (uint32_t axis = 0; axis < 4; axis++) {
        te_frame_put_u32(axis < TINYEDGE_MODEL_INPUT_RANK ? shape[axis] : 1u);
    }
    te_frame_put_u32(TINYEDGE_MODEL_OUTPUT_SIZE);
    te_frame_put_u32(TINYEDGE_MODEL_INPUT_SIZE);
    te_frame_put_u32(te_platform_tick_hz());
    te_frame_put_u32(boot_id);
    te_frame_put(tinyedge_model_hash, 32);
    te_frame_put(firmware_hash, 32);
    te_frame_put(board, BOARD_NAME_SIZE);
    te_frame_end();
}

static void compute(uint32_t sequence, const uint8_t *input)
{
    last.input_crc = te_crc32(0, input, TINYEDGE_MODEL_INPUT_SIZE);
    memcpy(tinyedge_model_input(), input, TINYEDGE_MODEL_INPUT_SIZE);
    const uint64_t start = te_platform_ticks();
    tinyedge_model_invoke();
    last.ticks = te_platform_ticks() - start;
    memcpy(last.logits, tinyedge_model_output(), TINYEDGE_MODEL_OUTPUT_SIZE);
    last.sequence = sequence;
    last.known = 1;
    inferences++;
}

static void infer(const te_frame_header *request, const uint8_t *input)
{
    if (request->session != session) {
        send_error(request, ERROR_NO_SESSION);
        return;
    }
    if (request->length != TINYEDGE_MODEL_INPUT_SIZE) {
        send_error(request, ERROR_WRONG_LENGTH);
        return;
    }
    if (!tinyedge_model_input()) {
        send_error(request, ERROR_NO_MODEL);
        return;
    }
    if (!last.known || request->sequence != last.sequence) {
        compute(request->sequence, input);
    }
    begin_answer(request, MESSAGE_INFER | MESSAGE_ANSWER, 12u + TINYEDGE_MODEL_OUTPUT_SIZE);
    te_frame_put_u32(last.input_crc);
    te_frame_put_u32((uint32_t)last.ticks);
    te_frame_put_u32((uint32_t)(last.ticks >> 32));
    te_frame_put(last.logits, TINYEDGE_MODEL_OUTPUT_SIZE);
    te_frame_end();
}

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
        if (boot_id == 0) {
            boot_id = (uint32_t)te_platform_ticks() | 1u; /* when the host first spoke */
        }
        session = request->session;
        last.known = 0;
        send_hello(request);
        break;
    case MESSAGE_INFER:
        infer(request, payload);
        break;
    case MESSAGE_STATS:
        send_stats(request);
        break;
    default:
        send_error(request, ERROR_UNKNOWN_TYPE);
        break;
    }
}

void te_server_run(void)
{
    te_frame_decoder decoder;
    te_frame_decoder_init(&decoder, frame, sizeof frame);
    for (;;) {
        te_frame_header request;
        switch (te_frame_receive(&decoder, te_platform_read(), &request)) {
        case TE_FRAME_COMPLETE:
            answer_request(&request, frame + TE_FRAME_HEADER_SIZE);
            break;
        case TE_FRAME_DAMAGED:
            damaged_frames++;
            break;
        case TE_FRAME_PENDING:
            break;
        }
    }
}
