/* Two models, one of them twice, in one program: every output is compared with the reference's. Valid C99
 * and C++11. Gives 0, or where it failed. */
#include "check.h"

#include "kws.h"
#include "vectors.h"
#include "vww.h"

typedef struct {
    int before;
    int after;
} calls;

static void count_before(void *context)
{
    static_cast_to(calls *, context)->before++;
}

static void count_after(void *context)
{
    static_cast_to(calls *, context)->after++;
}

static int differ(const int8_t *one, const int8_t *other, size_t count)
{
    int found = 0;
    for (size_t i = 0; i < count; i++) {
        found |= one[i] != other[i];
    }
    return found;
}

/* Both instances of one model are halfway at the same time. */
int check_models(void)
{
    static kws_arena first_arena, second_arena;
    static vww_arena other_arena;
    static kws_instance first, second;
    static vww_instance other;
    calls counted = {0, 0};
    te_hooks hooks;
    hooks.before = count_before;
    hooks.after = count_after;
    hooks.context = &counted;
    if (kws_init(&first, &first_arena, sizeof first_arena, NULL, 0) != TE_OK ||
        kws_init(&second, &second_arena, sizeof second_arena, NULL, 0) != TE_OK ||
        vww_init(&other, &other_arena, sizeof other_arena, NULL, 0) != TE_OK) {
        return 1;
    }
    if (kws_set_hooks(&second, &hooks) != TE_OK) {
        return 2;
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        const size_t next = (i + 1) % SAMPLES;
        int8_t output[VWW_OUTPUT_SIZE];
        int8_t *place = kws_input(&first);
        for (size_t j = 0; j < KWS_INPUT_SIZE; j++) {
            place[j] = kws_samples[i][j];
        }
        kws_inputs second_in;
        second_in.input = kws_samples[next];
        vww_inputs other_in;
        other_in.input = vww_samples[i];
        vww_outputs other_out;
        other_out.output = output;
        if (kws_invoke(&second, &second_in, NULL) != TE_OK ||
            kws_invoke(&first, NULL, NULL) != TE_OK ||
            vww_invoke(&other, &other_in, &other_out) != TE_OK) {
            return 3;
        }
        if (differ(kws_output(&first), kws_expected[i], KWS_OUTPUT_SIZE)) {
            return 4;
        }
        if (differ(kws_output(&second), kws_expected[next], KWS_OUTPUT_SIZE)) {
            return 5;
        }
        if (differ(output, vww_expected[i], VWW_OUTPUT_SIZE)) {
            return 6;
        }
    }
    if (counted.before != SAMPLES || counted.after != SAMPLES) {
        return 7;
    }
    if (kws_set_hooks(&second, NULL) != TE_OK || kws_invoke(&second, NULL, NULL) != TE_OK ||
        counted.before != SAMPLES) {
        return 8;
    }
    return kws_reset(&first) == TE_OK && vww_reset(&other) == TE_OK ? 0 : 9;
}

/* What a caller can get wrong. */
int check_status(void)
{
    static kws_arena arena;
    static kws_instance instance;
    if (kws_invoke(&instance, NULL, NULL) != TE_ERROR_NOT_INITIALIZED ||
        kws_reset(&instance) != TE_ERROR_NOT_INITIALIZED ||
        kws_set_hooks(&instance, NULL) != TE_ERROR_NOT_INITIALIZED || kws_input(&instance) ||
        kws_output(&instance)) {
        return 11;
    }
    if (kws_init(NULL, &arena, sizeof arena, NULL, 0) != TE_ERROR_NULL ||
        kws_init(&instance, NULL, sizeof arena, NULL, 0) != TE_ERROR_NULL ||
        kws_invoke(NULL, NULL, NULL) != TE_ERROR_NULL || kws_input(NULL)) {
        return 12;
    }
    if (kws_init(&instance, &arena, sizeof arena, NULL, 0) != TE_OK) {
        return 13;
    }
    if (kws_init(&instance, &arena, KWS_ARENA_SIZE - 1, NULL, 0) != TE_ERROR_ARENA_SIZE) {
        return 14;
    }
    /* What failed leaves no instance that could be used. */
    if (kws_invoke(&instance, NULL, NULL) != TE_ERROR_NOT_INITIALIZED) {
        return 15;
    }
    if (kws_init(&instance, arena.bytes + 1, KWS_ARENA_SIZE, NULL, 0) != TE_ERROR_ARENA_ALIGNMENT) {
        return 16;
    }
    return 0;
}

int check_verify(void)
{
    return kws_verify() == TE_OK && vww_verify() == TE_OK ? 0 : 21;
}

int check_conversion(void)
{
    for (size_t i = 0; i < REALS; i++) {
        if (kws_quantize_input(reals[i]) != quantized[i]) {
            return 31;
        }
    }
    for (int code = -128; code < 128; code++) {
        if (kws_dequantize_output(static_cast_to(int8_t, code)) != dequantized[code + 128]) {
            return 32;
        }
    }
    return 0;
}
