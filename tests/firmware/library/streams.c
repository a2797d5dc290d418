/* Two streams of one model, whose instances share an arena and have states of their own. */
#include <string.h>

#include "stream.h"
#include "vectors.h"

enum { FRAMES = 8 };

static int differs(const stream_instance *instance, int frame)
{
    int8_t output[STREAM_OUTPUT_SIZE];
    const stream_inputs in = {frames[frame]};
    const stream_outputs out = {output};
    return stream_invoke(instance, &in, &out) != TE_OK ||
           memcmp(output, expected[frame], sizeof output) != 0;
}

int main(void)
{
    static stream_arena arena;
    static stream_state states[2];
    stream_instance first, second;
    if (stream_init(&first, &arena, sizeof arena, &states[0], sizeof states[0]) != TE_OK ||
        stream_init(&second, &arena, sizeof arena, &states[1], sizeof states[1]) != TE_OK) {
        return 1;
    }
    /* Both are halfway at the same time; the second begins again where the first goes on. */
    for (int frame = 0; frame < FRAMES; frame++) {
        if (differs(&first, frame)) {
            return 2;
        }
        if (frame == 5 && stream_reset(&second) != TE_OK) {
            return 3;
        }
        if (differs(&second, frame < 5 ? frame : frame - 5)) {
            return 4;
        }
    }
    if (stream_init(&first, &arena, sizeof arena, NULL, 0) != TE_ERROR_NULL) {
        return 5;
    }
    if (stream_init(&first, &arena, sizeof arena, &states[0], 1) != TE_ERROR_STATE_SIZE) {
        return 6;
    }
    if (stream_init(&first, &arena, sizeof arena, states[0].bytes + 1, sizeof states[0]) !=
        TE_ERROR_STATE_ALIGNMENT) {
        return 7;
    }
    return stream_verify() == TE_OK ? 0 : 8;
}
