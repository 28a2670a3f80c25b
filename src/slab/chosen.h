/* SPDX-License-Identifier: MIT */
/*
 * slab/chosen.h - the debug flags that the user has chosen for a cache (chosen.c)
 */
#ifndef STELE_SLAB_CHOSEN_H
#define STELE_SLAB_CHOSEN_H

#include <stele/slab.h>

/* The flags of a cache that was asked for with @flags: those, and what the option `debug` adds. Any
 * context, once the options are read. */
slab_flags_t stele_debug_chosen(const char *name, slab_flags_t flags);
/* The same of large blocks, which have no cache. */
slab_flags_t stele_debug_large(void);

#endif
