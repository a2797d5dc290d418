#include "te_fixed_point.h"
#include "te_runtime.h"

void te_mean_s8(const te_mean *layer, const int8_t *input, int8_t *output)
{
    const int32_t cells = layer->input.height * layer->input.width;
    for (int32_t channel = 0; channel < layer->input.channels; channel++) {
        int32_t sum = 0;
        for (int32_t cell = 0; cell < cells; cell++) {
            sum += input[cell * layer->input.channels + channel] + layer->input_offset;
        }
        const int32_t mean = te_multiply(sum, layer->mantissa, layer->shift);
        output[channel] = te_clamp(mean + layer->output_offset, -128, 127);
    }
}
