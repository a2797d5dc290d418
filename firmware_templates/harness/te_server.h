/* The device half of the link: answers the host, for ever. */
#ifndef TE_SERVER_H
#define TE_SERVER_H

#include "te_fault.h"

#ifdef __cplusplus
extern "C" {
#endif

void te_server_run(void);
/* Tells the host why nothing else will be answered, again and again as it asks, for ever. Interrupts
 * may no longer come. */
void te_server_fault(const te_fault *fault);

#ifdef __cplusplus
}
#endif

#endif
