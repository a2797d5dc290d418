/* What the host sends, kept from the interrupt that receives it until somebody has time for it. */
#ifndef TE_RECEIVE_H
#define TE_RECEIVE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Forgets everything, also what cannot have been: for when memory may have been overwritten. */
void te_receive_reset(void);
/* From the platform: one byte has arrived. Where there is no room it is lost, and with it a frame. */
void te_receive_put(uint8_t byte);
/* Whether there are bytes that nobody has had time for. */
int te_receive_pending(void);
/* Waits for one byte from the host. */
uint8_t te_receive_byte(void);

#ifdef __cplusplus
}
#endif

#endif
