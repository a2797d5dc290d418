/* Four threads, each with an instance of its own, two of them of one model. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kws.h"
#include "vectors.h"
#include "vww.h"

enum { THREADS = 4, ROUNDS = 50 };

static int run_kws(void)
{
    static kws_arena arenas[THREADS];
    static int taken;
    kws_arena *arena = &arenas[__atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST)];
    kws_instance instance;
    int8_t output[KWS_OUTPUT_SIZE];
    int failed = kws_init(&instance, arena, sizeof *arena, NULL, 0) != TE_OK;
    for (int round = 0; round < ROUNDS * SAMPLES; round++) {
        const int i = round % SAMPLES;
        const kws_inputs in = {kws_samples[i]};
        const kws_outputs out = {output};
        failed |= kws_invoke(&instance, &in, &out) != TE_OK;
        failed |= memcmp(output, kws_expected[i], sizeof output) != 0;
    }
    return failed;
}

static int run_vww(void)
{
    vww_arena *arena = malloc(sizeof *arena);
    vww_instance instance;
    int8_t output[VWW_OUTPUT_SIZE];
    int failed = vww_init(&instance, arena, sizeof *arena, NULL, 0) != TE_OK;
    for (int round = 0; round < ROUNDS * SAMPLES; round++) {
        const int i = round % SAMPLES;
        const vww_inputs in = {vww_samples[i]};
        const vww_outputs out = {output};
        failed |= vww_invoke(&instance, &in, &out) != TE_OK;
        failed |= memcmp(output, vww_expected[i], sizeof output) != 0;
    }
    free(arena);
    return failed;
}

static void *run(void *which)
{
    const int failed = *(const int *)which % 2 ? run_vww() : run_kws();
    return failed ? which : NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    int failed = 0;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, run, &numbers[i])) {
            return 2;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        failed |= pthread_join(threads[i], &result) || result;
    }
    return failed;
}
