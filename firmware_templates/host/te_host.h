/* A model on this machine, many samples at a time: the twin's vector kernels.
 *
 * What `host.c` holds of a model is the same that `model.c` would hold if all of its kernels were plain:
 * constants, and the calls in their order. A path says by which instructions steps are computed; all
 * paths give the same bytes, and `plain` calls the runtime's plain kernels for every sample.
 */
#ifndef TE_HOST_H
#define TE_HOST_H

#include <stdint.h>

#include "te_runtime.h"

/* What vector kernels know how to compute; all else is left to the plain ones. */
typedef enum {
    TE_HOST_OTHER,
    TE_HOST_CONV2D,
    TE_HOST_DEPTHWISE_CONV2D,
    TE_HOST_FULLY_CONNECTED,
    TE_HOST_ADD,
} te_host_kind;

/* Where a tensor lies. In arena and states it takes `offset` times as many bytes as there are samples
 * at a time from their beginning, one sample behind the other; a constant is there once. */
typedef struct {
    enum { TE_HOST_ARENA, TE_HOST_STATES, TE_HOST_CONSTANT } memory;
    uint32_t offset;
    uint32_t size;
    const int8_t *constant;
} te_host_tensor;

typedef void (*te_host_plain)(const int8_t *const *inputs, int8_t *output, int8_t *scratch);

/* One kernel's call. */
typedef struct {
    te_host_kind kind;
    const void *layer;
    te_host_plain plain;
    int32_t count; /* of inputs */
    te_host_tensor inputs[TE_CONCATENATION_MAX];
    te_host_tensor output;
} te_host_step;

/* A tensor that is kept from one frame to the next. */
typedef struct {
    te_host_tensor tensor;
    te_host_tensor next;
    const int8_t *initial; /* NULL: all of it is `fill` */
    int32_t fill;
    int32_t after; /* the step behind which it takes its next value; -1: before the first */
} te_host_state;

typedef struct {
    const te_host_step *steps;
    int32_t step_count;
    const te_host_state *states;
    int32_t state_count;
    te_host_tensor input;
    te_host_tensor output;
    uint32_t arena; /* bytes a sample */
    uint32_t kept;  /* bytes of states a sample */
    uint32_t scratch; /* of the plain kernels */
} te_host_program;

extern const te_host_program tinyedge_host_program;

typedef struct te_host te_host;

/* Whether this processor has the path of a name. */
int tinyedge_host_has(const char *path);
/* Prepares the model for so many samples at a time, from 1 on. The path is the name of one that this
 * processor has, or NULL for the fastest. NULL: memory has run out. */
te_host *tinyedge_host_open(const char *path, int32_t samples);
void tinyedge_host_close(te_host *host);
/* The name of the path that was chosen. */
const char *tinyedge_host_path(const te_host *host);
/* Bytes that a call of tinyedge_host_run needs for itself. */
uint64_t tinyedge_host_workspace(const te_host *host);
/* Runs sequences of frames, (count, frames, input) to (count, frames, output). May be called by several
 * threads at once, each with a workspace of its own. */
void tinyedge_host_run(const te_host *host, const int8_t *inputs, int8_t *outputs, int32_t count,
                       int32_t frames, void *workspace);

#endif
