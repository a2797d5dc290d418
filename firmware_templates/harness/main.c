#include "te_platform.h"
#include "te_server.h"

int main(void)
{
    te_platform_init();
    te_server_run();
    return 0;
}
