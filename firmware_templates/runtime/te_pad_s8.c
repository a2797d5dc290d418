#include "te_memory.h"

#include "te_runtime.h"

void te_pad_s8(const te_pad *layer, const int8_t *input, int8_t *output)
{
    const int32_t row = layer->input.width * layer->input.channels;
    const int32_t padded = layer->output.width * layer->output.channels;
    memset(output, layer->value, (size_t)(layer->output.height * padded));
    output += layer->padding_top * padded + layer->padding_left * layer->input.channels;
    for (int32_t y = 0; y < layer->input.height; y++) {
        memcpy(output, input, (size_t)row);
        input += row;
        output += padded;
    }
}
