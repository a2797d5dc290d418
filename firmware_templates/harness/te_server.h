/* The device half of the link: answers the host, for ever. */
#ifndef TE_SERVER_H
#define TE_SERVER_H

#ifdef __cplusplus
extern "C" {
#endif

void te_server_run(void);

#ifdef __cplusplus
}
#endif

#endif
