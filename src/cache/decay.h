/* SPDX-License-Identifier: MIT */
/*
 * cache/decay.h - a program that shrinks takes its caches with it (decay.c)
 *
 * Context   any.
 */
#ifndef STELE_CACHE_DECAY_H
#define STELE_CACHE_DECAY_H

#include <stdbool.h>

/* Frames in slabs: more, less. The second is a count only: the next one that shrinks looks. */
void stele_decay_grown(unsigned frames);
void stele_decay_lowered(unsigned frames);
void stele_decay_shrunk(unsigned frames);
/* A round through the caches is under way; and a bounded part of it. */
bool stele_decay_pending(void);
void stele_decay_go_on(void);

#endif
