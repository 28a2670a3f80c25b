/* SPDX-License-Identifier: MIT */
/*
 * slab/valid.h - whether slabs hold together (base/valid.h)
 */
#ifndef STELE_SLAB_VALID_H
#define STELE_SLAB_VALID_H

#include "page/valid.h"

/* NULL, or what does not hold: of a slab that the caller owns, or of any when no call is under way. */
const char *stele_slab_valid(const struct run *run);
/* When no call is under way: all slabs, and all of the heap. */
const char *stele_slabs_valid(void);

#endif
