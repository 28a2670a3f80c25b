/* SPDX-License-Identifier: MIT */
/*
 * cache/start.h - what has to be done before the first cache (start.c)
 */
#ifndef STELE_CACHE_START_H
#define STELE_CACHE_START_H

/* Any context, idempotent. A program that makes a cache names this, and so gets the whole file with the
 * handlers of fork and the report at exit when it is linked with an archive. */
void stele_cache_start(void);
/* fork.c: from now on the child of a fork makes whole what it has copied. Once. */
void stele_cache_watch_forks(void);
/* at_exit.c: the program ends. */
void stele_cache_at_exit(void);

#endif
