/* The interface of a generated model.h, around instructions whose effect and number are known. */
#ifndef TINYEDGE_MODEL_H
#define TINYEDGE_MODEL_H

#include <stdint.h>

/* What to do, and how often: two little-endian 32-bit numbers. */
#define TINYEDGE_MODEL_INPUT_SIZE 8
#define TINYEDGE_MODEL_INPUT_SHAPE {8}
#define TINYEDGE_MODEL_INPUT_RANK 1
#define TINYEDGE_MODEL_OUTPUT_SIZE 4

extern const uint8_t tinyedge_model_hash[32];

typedef struct {
    uint32_t size;
    uint32_t smallest;
    uint32_t head;
    uint32_t tail;
} tinyedge_arena_usage;

int8_t *tinyedge_model_input(void);
const int8_t *tinyedge_model_output(void);
void tinyedge_model_invoke(void);
tinyedge_arena_usage tinyedge_model_arena(void);

#endif
