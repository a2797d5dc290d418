/* Reads inputs from stdin, writes logits to stdout: the model as a program that sanitizers watch. */
#include <stdio.h>

#include "model.h"

int main(void)
{
    while (fread(tinyedge_model_input(), 1, TINYEDGE_MODEL_INPUT_SIZE, stdin) ==
           TINYEDGE_MODEL_INPUT_SIZE) {
        tinyedge_model_invoke();
        fwrite(tinyedge_model_output(), 1, TINYEDGE_MODEL_OUTPUT_SIZE, stdout);
    }
    return 0;
}
