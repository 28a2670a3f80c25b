/* SPDX-License-Identifier: MIT */
/*
 * page/valid.h - whether the structures of this floor hold together (base/valid.h)
 */
#ifndef STELE_PAGE_VALID_H
#define STELE_PAGE_VALID_H

#include "base/valid.h"
#include "page/run.h"

/* Each returns NULL, or the invariant that is broken. The caller owns the run, or no call is under way. */
const char *stele_run_valid(const struct run *run);
/* When no call is under way: */
const char *stele_area_valid(uint32_t number);
const char *stele_heap_valid(void); /* all areas, and all runs */

#endif
