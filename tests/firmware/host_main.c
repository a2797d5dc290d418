/* The vector kernels as a program: `path` and samples at a time are its arguments, sequences come from
 * stdin, of so many frames each, and logits go to stdout; the last argument takes bytes off the workspace. Inputs, outputs and workspace begin at odd
 * addresses and end where their memory ends. */
#include <stdio.h>
#include <stdlib.h>

#include "te_host.h"

int main(int count, char **arguments)
{
    te_host *host = count == 6 ? tinyedge_host_open(arguments[1], atoi(arguments[2])) : NULL;
    if (!host) {
        return 3;
    }
    const int32_t samples = atoi(arguments[3]), frames = atoi(arguments[4]);
    const size_t values = (size_t)samples * (size_t)frames;
    const size_t from = values * tinyedge_host_program.input.size;
    const size_t to = values * tinyedge_host_program.output.size;
    const size_t own = tinyedge_host_workspace(host);
    int8_t *inputs = malloc(from + 1), *outputs = malloc(to + 1), *workspace = malloc(own + 1 - (size_t)atoi(arguments[5]));
    if (!inputs || !outputs || !workspace || fread(inputs + 1, 1, from, stdin) != from) {
        return 4;
    }
    tinyedge_host_run(host, inputs + 1, outputs + 1, samples, frames, workspace + 1);
    fwrite(outputs + 1, 1, to, stdout);
    free(inputs);
    free(outputs);
    free(workspace);
    tinyedge_host_close(host);
    return 0;
}
