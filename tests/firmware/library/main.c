#include "check.h"

int main(void)
{
    int failed = check_models();
    failed = failed ? failed : check_status();
    failed = failed ? failed : check_verify();
    return failed ? failed : check_conversion();
}
