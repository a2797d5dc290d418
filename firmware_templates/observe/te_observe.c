#include "te_observe.h"

#include "model.h"
#include "te_platform.h"
#include "te_runtime.h"

typedef struct {
    uint64_t ticks;
    uint32_t crc;
} layer_record;

static layer_record records[TINYEDGE_MODEL_LAYERS];
static uint64_t before; /* the counter when the current layer began */

/* What is sent of an output, straight from the arena, while the layer after it waits. */
static struct {
    te_frame_header answer;
    uint32_t input_crc;
    uint32_t layer;
    uint32_t offset;
    uint32_t count;
    int sent;
} wanted;

static enum { WATCH_NOTHING, WATCH_LAYERS, WATCH_OUTPUT } watched;

static void send_output(const int8_t *output, uint32_t size)
{
    const uint32_t left = wanted.offset < size ? size - wanted.offset : 0;
    const uint32_t count = wanted.count < left ? wanted.count : left;
    wanted.answer.length = 8u + count;
    te_frame_begin(&wanted.answer);
    te_frame_put_u32(wanted.input_crc);
    te_frame_put_u32(size);
    if (count > 0) {
        te_frame_put(output + wanted.offset, count);
    }
    te_frame_end();
    wanted.sent = 1;
}

void te_observe(uint32_t layer, const int8_t *output, uint32_t size)
{
    if (watched == WATCH_LAYERS) {
        records[layer].ticks = te_platform_ticks() - before;
        records[layer].crc = te_crc32(0, (const uint8_t *)output, size);
        before = te_platform_ticks(); /* the checksum is not the next layer's */
    } else if (watched == WATCH_OUTPUT && layer == wanted.layer) {
        send_output(output, size);
    }
}

void te_observe_layers(const te_frame_header *answer, uint32_t input_crc)
{
    watched = WATCH_LAYERS;
    before = te_platform_ticks();
    tinyedge_model_invoke();
    watched = WATCH_NOTHING;

    te_frame_header header = *answer;
    header.length = 4u + 12u * TINYEDGE_MODEL_LAYERS;
    te_frame_begin(&header);
    te_frame_put_u32(input_crc);
    for (uint32_t layer = 0; layer < TINYEDGE_MODEL_LAYERS; layer++) {
        te_frame_put_u32((uint32_t)records[layer].ticks);
        te_frame_put_u32((uint32_t)(records[layer].ticks >> 32));
        te_frame_put_u32(records[layer].crc);
    }
    te_frame_end();
}

int te_observe_output(const te_frame_header *answer, uint32_t input_crc, const uint8_t *arguments)
{
    wanted.answer = *answer;
    wanted.input_crc = input_crc;
    wanted.layer = te_load_u32(arguments);
    wanted.offset = te_load_u32(arguments + 4);
    wanted.count = te_load_u32(arguments + 8);
    wanted.sent = 0;
    watched = WATCH_OUTPUT;
    tinyedge_model_invoke();
    watched = WATCH_NOTHING;
    return wanted.sent;
}
