/* The device half of the link: answers the host, for ever. */
#ifndef TE_SERVER_H
#define TE_SERVER_H

void te_server_run(void);

#endif
