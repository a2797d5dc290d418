/* SPDX-License-Identifier: Apache-2.0 */
/* A fully connected layer with ternary weights, four products a multiplication. */
#include "te_fully_connected_quad_s8.h"

#include "te_dsp_widen.h"
#include "te_quad.h"

#define STEP_WORDS 4
#define CHANNELS 4
/* The low field grows by at most 2 * 128 a column: 24 columns fit into its 14 bits. */
#define DRAINED_STEPS 3
/* The high field grows by at most 128 a column: 1008 columns fit into its 18 bits. */
#define PART_STEPS 126

#if defined(TE_DSP)

/* r4 and r5 sum the pairs, r6 and r7 what was in their low fields; r3 is the mask. The end of the
 * columns waits on the stack, as all fourteen registers are in use. */
#define TE_WORD(column, turn)                                                                      \
    "and lr, r3, r2" turn "\n"                                                                     \
    "smlad r4, " column ", lr, r4\n"                                                               \
    "and lr, r3, r12" turn "\n"                                                                    \
    "smlad r5, " column ", lr, r5\n"
#define TE_STEP                                                                                    \
    "ldm r0!, {r8-r11}\n"                                                                          \
    "ldm r1!, {r2, r12}\n" TE_WORD("r8", "") TE_WORD("r9", ", ror #4") TE_WORD("r10", ", ror #8")  \
        TE_WORD("r11", ", ror #12")

__attribute__((naked, noinline)) static const uint8_t *
dot(const uint32_t *columns __attribute__((unused)), const uint8_t *weights __attribute__((unused)),
    int32_t steps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__("add r12, r0, r2, lsl #4\n"
            "push {r3-r12, lr}\n"
            "movs r7, #3\n"
            "udiv r6, r2, r7\n"
            "mls r2, r6, r7, r2\n" /* steps % 3 */
            "movw r3, #0xc003\n"
            "movt r3, #0xc003\n"
            "movs r4, #0\n"
            "movs r5, #0\n"
            "movs r6, #0\n"
            "movs r7, #0\n"
            "cmp r2, #1\n"
            "beq 3f\n"
            "bhi 2f\n"
            "1:" TE_STEP "2:" TE_STEP "3:" TE_STEP
            "sbfx lr, r4, #0, #14\n"
            "add r6, r6, lr\n"
            "sub r4, r4, lr\n"
            "sbfx lr, r5, #0, #14\n"
            "add r7, r7, lr\n"
            "sub r5, r5, lr\n"
            "ldr lr, [sp, #36]\n"
            "cmp r0, lr\n"
            "bne 1b\n"
            "asrs r4, r4, #14\n"
            "asrs r5, r5, #14\n"
            "mov r0, r1\n"
            "pop {r3}\n"
            "str r6, [r3]\n"
            "str r4, [r3, #4]\n"
            "str r7, [r3, #8]\n"
            "str r5, [r3, #12]\n"
            "pop {r4-r12, pc}\n");
}

#else

static int32_t low_field(int32_t sum)
{
    return (int32_t)((((uint32_t)sum & 0x3fffu) ^ 0x2000u)) - 0x2000;
}

static const uint8_t *dot(const uint32_t *columns, const uint8_t *weights, int32_t steps,
                          int32_t *sums)
{
    int32_t packed[CHANNELS / 2] = {0}, low[CHANNELS / 2] = {0};
    for (; steps > 0; steps--) {
        for (int32_t pair = 0; pair < CHANNELS / 2; pair++) {
            const uint32_t word = te_load_word(weights);
            weights += sizeof word;
            for (uint32_t i = 0; i < STEP_WORDS; i++) {
                packed[pair] = te_smlad(columns[i], te_turned(word, 4 * i) & TE_QUAD_MASK, packed[pair]);
            }
            if (steps % DRAINED_STEPS == 1) {
                low[pair] += low_field(packed[pair]);
                packed[pair] -= low_field(packed[pair]);
            }
        }
        columns += STEP_WORDS;
    }
    for (int32_t pair = 0; pair < CHANNELS / 2; pair++) {
        sums[2 * pair] = low[pair];
        sums[2 * pair + 1] = packed[pair] >> 14;
    }
    return weights;
}

#endif

static int32_t sum_of(const uint32_t *columns, int32_t words)
{
    int32_t sum = 0;
    for (; words > 0; words--) {
        sum = te_smlad(*columns++, 0x00010001u, sum);
    }
    return sum;
}

void te_fully_connected_quad_s8(const te_fully_connected_quad *layer, const int8_t *input,
                                int8_t *output, int8_t *scratch)
{
    const int32_t zero_point = layer->activation.output_offset;
    const te_scale_kind kind = te_scale_kind_of(&layer->activation);
    const uint8_t *weights = layer->packed;
    uint32_t *columns = (uint32_t *)(void *)scratch; /* the exporter aligns scratch to words */
    te_dsp_widen_row(columns, input, layer->inputs, 2 * layer->steps);
    /* What a weight that is stored as weight + 1 counts too much. */
    const int32_t extra = sum_of(columns, STEP_WORDS * layer->steps);
    for (int32_t channel = 0; channel < layer->outputs; channel += CHANNELS) {
        int32_t sums[CHANNELS] = {-extra, 0, -extra, 0};
        for (int32_t at = 0; at < layer->steps; at += PART_STEPS) {
            const int32_t left = layer->steps - at;
            int32_t part[CHANNELS];
            weights = dot(columns + STEP_WORDS * at, weights,
                          left < PART_STEPS ? left : PART_STEPS, part);
            for (int32_t i = 0; i < CHANNELS; i++) {
                sums[i] += part[i];
            }
        }
        for (int32_t i = 0; i < CHANNELS && channel + i < layer->outputs; i++) {
            const te_scale scale = te_scale_of(&layer->scale, zero_point, channel + i);
            *output++ = te_scaled_sum(&scale, &layer->activation, kind, sums[i]);
        }
    }
}
