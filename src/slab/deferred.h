/* SPDX-License-Identifier: MIT */
/*
 * slab/deferred.h - slabs that became empty in a call which must not retire them (deferred.c)
 */
#ifndef STELE_SLAB_DEFERRED_H
#define STELE_SLAB_DEFERRED_H

#include "base/effort.h"
#include <stdbool.h>

struct run;

#define PATIENCE 1000 /* naps, a second or so: how long what others have in hand is waited for */

/* Notes a slab that may be idle. Any context. */
void stele_deferred_note(struct run *run);
bool stele_deferred_noted(void);
/* Retires some of those that were noted. EFFORT_BOUNDED: no system call. Any context. */
void stele_deferred_retire(enum effort effort);
/* Retires all of them. Ordinary threads. */
void stele_deferred_retire_all(void);
/* The same; the slabs that other threads have in hand are done as well. Ordinary threads. */
void stele_deferred_wait(void);
void stele_deferred_after_fork(void);

#endif
