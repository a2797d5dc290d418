/* The same hook in the host twin: whoever has loaded the library is called. */
#include "te_runtime.h"

typedef void (*te_observer)(uint32_t layer, const int8_t *output, uint32_t size);

void tinyedge_model_observe(te_observer called);

static te_observer observer;

void tinyedge_model_observe(te_observer called)
{
    observer = called;
}

void te_observe(uint32_t layer, const int8_t *output, uint32_t size)
{
    if (observer) {
        observer(layer, output, size);
    }
}
