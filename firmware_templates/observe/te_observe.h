/* The model watched from the host, layer by layer: part of a firmware that is compiled with
 * TE_OBSERVED, and of no other. */
#ifndef TE_OBSERVE_H
#define TE_OBSERVE_H

#include "te_frame.h"

/* Bytes before the input in a request for an output: layer, offset, most bytes to send, each u32. */
#define TE_OBSERVE_ARGUMENTS 12u

/* Both run the model on the input that it holds, and send the answer, whose header lacks only its
 * length; `input_crc` is the input's CRC-32.
 *
 * For every layer its ticks (u64) and the CRC-32 of its output. */
void te_observe_layers(const te_frame_header *answer, uint32_t input_crc);
/* The size of a layer's output (u32), and as many of its bytes as are asked for and there. Gives 0,
 * and sends nothing, if there is no such layer. */
int te_observe_output(const te_frame_header *answer, uint32_t input_crc, const uint8_t *arguments);

#endif
