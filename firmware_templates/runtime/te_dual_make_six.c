/* SPDX-License-Identifier: Apache-2.0 */
/* Six windows of a depthwise convolution at once. */
#include "te_depthwise_dual.h"

#if defined(TE_DSP)

/* Of a row of three weights: r2 and r3 hold (a, b) and (b, c), r4-r7 four words, r8-r12 and lr the sums,
 * whose first row starts from the bias in r8. Loads behind one another take a cycle each. */
#define TE_ROW(at, word, b, c, d, e, f)                                                            \
    "ldr r2, [r0, #" at "]\n"                                                                      \
    "ldr r3, [r0, #" at " + 4]\n"                                                                  \
    "ldr r4, [r1, #" word "]\n"                                                                    \
    "ldr r5, [r1, #" word " + 4]\n"                                                                \
    "ldr r6, [r1, #" word " + 8]\n"                                                                \
    "ldr r7, [r1, #" word " + 12]\n"                                                               \
    "smlatb r9, r4, r2, " b "\n"                                                                   \
    "smlad r10, r5, r2, " c "\n"                                                                   \
    "smlatb r11, r5, r2, " d "\n"                                                                  \
    "smlad r12, r6, r2, " e "\n"                                                                   \
    "smlatb lr, r6, r2, " f "\n"                                                                   \
    "smlad r8, r4, r2, r8\n"                                                                       \
    "smlad r9, r5, r3, r9\n"                                                                       \
    "smlatb r10, r3, r6, r10\n"                                                                    \
    "smlad r11, r6, r3, r11\n"                                                                     \
    "smlatb r12, r3, r7, r12\n"                                                                    \
    "smlad lr, r7, r3, lr\n"                                                                       \
    "smlatb r8, r3, r5, r8\n"
#define TE_FIRST_ROW TE_ROW("0", "0", "r8", "r8", "r8", "r8", "r8")
#define TE_NEXT_ROW(at, word) TE_ROW(at, word, "r9", "r10", "r11", "r12", "lr")
#define TE_STRIDE                                                                                  \
    "ldr r4, [sp]\n"                                                                               \
    "add r1, r1, r4\n"
#define TE_ROUND(sum)                                                                              \
    "smmlar " sum ", " sum ", r5, r4\n"                                                            \
    "asr " sum ", " sum ", r6\n"                                                                   \
    "ssat " sum ", #8, " sum "\n"

/* Six windows of three rows of three columns in all channels, or five of them; nothing lies below the
 * zero point -128. On the stack: the bytes of a row, the biases, what is kept, and the arguments from
 * `end`, the end of the biases, on; of those, how far a mantissa lies from the next bias, and a shift
 * from its output. */
#define TE_SIX(rows)                                                                               \
    __asm__("push {r2-r11, lr}\n"                                                                  \
            "ldr r2, [sp, #48]\n"                                                                  \
            "ldr r4, [sp, #52]\n"                                                                  \
            "ldr r5, [sp, #56]\n"                                                                  \
            "sub r2, r2, r3\n"                                                                     \
            "sub r2, r2, #4\n"                                                                     \
            "sub r4, r4, r5\n"                                                                     \
            "str r2, [sp, #48]\n"                                                                  \
            "str r4, [sp, #52]\n"                                                                  \
            "mov r2, r3\n"                                                                         \
            "1: ldr r8, [r2]\n"                                                                    \
            "add r2, r2, #4\n"                                                                     \
            "str r2, [sp, #4]\n" rows "add r0, r0, #40\n"                                         \
            "ldr r2, [sp, #4]\n"                                                                   \
            "ldr r3, [sp, #48]\n"                                                                  \
            "ldr r6, [sp, #52]\n"                                                                  \
            "ldr r7, [sp, #56]\n"                                                                  \
            "ldr r5, [r2, r3]\n"                                                                   \
            "ldrb r6, [r7, r6]\n"                                                                  \
            "ldr r3, [sp, #60]\n"                                                                  \
            "mvn r4, #254\n" /* of the zero point: 2 * -128 + 1 */                                 \
            "lsl r4, r4, r6\n"                                                                     \
            "asr r4, r4, #1\n" TE_ROUND("r8") TE_ROUND("r9") TE_ROUND("r10") TE_ROUND("r11")       \
                TE_ROUND("r12")                                                                    \
            "strb r8, [r7]\n"                                                                      \
            "strb r9, [r7, r3]\n"                                                                  \
            "ldr r8, [sp, #64]\n"                                                                  \
            "add r9, r7, r3, lsl #1\n"                                                             \
            "add r7, r7, #1\n"                                                                     \
            "str r7, [sp, #56]\n"                                                                  \
            "strb r10, [r9]\n"                                                                     \
            "strb r11, [r9, r3]\n"                                                                 \
            "add r9, r9, r3, lsl #1\n"                                                             \
            "cmp r8, #0\n"                                                                         \
            "strb r12, [r9]\n"                                                                     \
            "bne 2f\n" TE_ROUND("lr")                                                              \
            "strb lr, [r9, r3]\n"                                                                  \
            "2: ldr r3, [sp, #44]\n"                                                               \
            "cmp r2, r3\n"                                                                         \
            "bne.w 1b\n"                                                                           \
            "add sp, sp, #8\n"                                                                     \
            "pop {r4-r11, pc}\n")
#define TE_SIX_ARGUMENTS                                                                           \
    const uint32_t *weights __attribute__((unused)), const uint32_t *words __attribute__((unused)), \
        int32_t row __attribute__((unused)), const int32_t *bias __attribute__((unused)),          \
        const int32_t *end __attribute__((unused)),                                                \
        const int32_t *mantissa __attribute__((unused)),                                           \
        const uint8_t *right __attribute__((unused)), int8_t *output __attribute__((unused)),      \
        int32_t next __attribute__((unused)), int32_t missing __attribute__((unused))

__attribute__((naked, noinline)) static void make_six_relu(TE_SIX_ARGUMENTS)
{
    TE_SIX(TE_FIRST_ROW TE_STRIDE TE_NEXT_ROW("8", "0") TE_STRIDE TE_NEXT_ROW("16", "0") TE_STRIDE);
}

/* The same where a row is these six windows. */
__attribute__((naked, noinline)) static void make_all_relu(TE_SIX_ARGUMENTS)
{
    TE_SIX(TE_FIRST_ROW TE_NEXT_ROW("8", "16") TE_NEXT_ROW("16", "32") "add r1, r1, #48\n");
}

void te_dual_make_six(const te_dual *dual, int32_t x, int8_t *output)
{
    const te_depthwise_ring *layer = dual->ring.layer;
    const te_scales *scale = &layer->scale;
    const int32_t channels = layer->output.channels;
    const uint32_t *weights = dual->weights + dual->rotation * 2;
    const uint32_t *words = dual->ring.words + x / 2;
    const int32_t missing = layer->output.width - x < 6;
    if (layer->words == 4) {
        make_all_relu(weights, words, 16, scale->bias, scale->bias + channels, scale->mantissa,
                      scale->right, output, channels, missing);
    } else {
        make_six_relu(weights, words, 4 * layer->words, scale->bias, scale->bias + channels,
                      scale->mantissa, scale->right, output, channels, missing);
    }
}

#else

void te_dual_make_six(const te_dual *dual, int32_t x, int8_t *output)
{
    te_dual_make_three(dual, x, 1, output);
}

#endif
