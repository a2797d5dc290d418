/* The caches of a Cortex-M7. */
#ifndef TE_CACHE_H
#define TE_CACHE_H

/* Empties and switches on both. Nothing but the core reads or writes RAM: there is nothing to keep
 * coherent. */
void te_cache_enable(void);

#endif
