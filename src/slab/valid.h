/* SPDX-License-Identifier: MIT */
/*
 * slab/valid.h - whether slabs hold together (base/valid.h)
 */
#ifndef STELE_SLAB_VALID_H
#define STELE_SLAB_VALID_H

#include "page/valid.h"

/* Returns NULL, or the invariant that is broken. The caller owns the slab, or no call is under way. */
const char *stele_slab_valid(const struct run *run);
/* When no call is under way: all slabs, and all of the heap. */
const char *stele_slabs_valid(void);

#endif
