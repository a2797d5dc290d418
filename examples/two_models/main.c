/* Two models, one of them twice, with one arena. */

#include <stdio.h>
#include <string.h>

#include "clothes.h"
#include "digits.h"

/* Pixels from 0 to 16, as the data set has them. */
static const unsigned char SEVEN[DIGITS_INPUT_SIZE] = {
    0, 0, 7,  8, 13, 16, 15, 1, /* */
    0, 0, 7,  7, 4,  11, 12, 0, /* */
    0, 0, 0,  0, 8,  13, 1,  0, /* */
    0, 4, 8,  8, 15, 15, 6,  0, /* */
    0, 2, 11, 15, 15, 4, 0,  0, /* */
    0, 0, 0,  16, 5, 0,  0,  0, /* */
    0, 0, 9,  15, 1, 0,  0,  0, /* */
    0, 0, 13, 5, 0,  0,  0,  0,
};
static const unsigned char ONE[DIGITS_INPUT_SIZE] = {
    0, 0,  0,  12, 13, 5,  0, 0, /* */
    0, 0,  0,  11, 16, 9,  0, 0, /* */
    0, 0,  3,  15, 16, 6,  0, 0, /* */
    0, 7,  15, 16, 16, 2,  0, 0, /* */
    0, 0,  1,  16, 16, 3,  0, 0, /* */
    0, 0,  1,  16, 16, 6,  0, 0, /* */
    0, 0,  1,  16, 16, 6,  0, 0, /* */
    0, 0,  0,  11, 16, 10, 0, 0,
};

/* The models run one after the other, so one memory is enough. */
static union {
    digits_arena digits;
    clothes_arena clothes;
} arena;

static int largest(const int8_t *logits, int count) {
    int best = 0;
    for (int i = 1; i < count; i++) {
        if (logits[i] > logits[best]) {
            best = i;
        }
    }
    return best;
}

static int read_digit(const digits_instance *model, const unsigned char *pixels) {
    int8_t inputs[DIGITS_INPUT_SIZE], logits[DIGITS_OUTPUT_SIZE];
    const digits_inputs in = {inputs};
    const digits_outputs out = {logits};
    for (unsigned i = 0; i < DIGITS_INPUT_SIZE; i++) {
        inputs[i] = digits_quantize_input((float)pixels[i] / 16.0f);
    }
    return digits_invoke(model, &in, &out) == TE_OK ? largest(logits, DIGITS_OUTPUT_SIZE) : -1;
}

int main(void) {
    static int8_t image[CLOTHES_INPUT_SIZE];
    int8_t logits[CLOTHES_OUTPUT_SIZE];
    const clothes_inputs in = {image};
    const clothes_outputs out = {logits};
    digits_instance first, second;
    clothes_instance clothes;

    if (digits_init(&first, &arena, sizeof arena, NULL, 0) != TE_OK ||
        digits_init(&second, &arena, sizeof arena, NULL, 0) != TE_OK ||
        clothes_init(&clothes, &arena, sizeof arena, NULL, 0) != TE_OK) {
        puts("the arena is too small, or not aligned");
        return 1;
    }
    if (digits_verify() != TE_OK || clothes_verify() != TE_OK) {
        puts("the weights are damaged");
        return 1;
    }
    printf("first digit: %d\n", read_digit(&first, SEVEN));
    printf("second digit: %d\n", read_digit(&second, ONE));

    memset(image, clothes_quantize_input(0.5f), sizeof image); /* your camera's picture */
    if (clothes_invoke(&clothes, &in, &out) != TE_OK) {
        return 1;
    }
    printf("clothes: class %d\n", largest(logits, CLOTHES_OUTPUT_SIZE));
    return 0;
}
