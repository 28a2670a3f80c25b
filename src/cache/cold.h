/* SPDX-License-Identifier: MIT */
/*
 * cache/cold.h - slots that no thread seems to use (cold.c)
 *
 * Context   any.
 */
#ifndef STELE_CACHE_COLD_H
#define STELE_CACHE_COLD_H

#include <stdbool.h>
#include <stdint.h>

/* A slab was made: perhaps it is time for a look at slots that no thread uses. */
void stele_cold_note(void);
bool stele_cold_due(void);
void stele_cold_look(void);
void stele_cold_after_fork(void);
/* The child of vfork() of which this is the kernel's number is gone. */
void stele_cold_thread_gone(uint32_t thread);

#endif
