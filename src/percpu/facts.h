/* SPDX-License-Identifier: MIT */
/*
 * percpu/facts.h - what this system gives, what was chosen and why
 *
 * Context   stele_system() any, after start; it starts the floor when needed.
 * Tests     tests/unit/percpu/test_system.c
 */
#ifndef STELE_PERCPU_FACTS_H
#define STELE_PERCPU_FACTS_H

#include <stddef.h>

enum stele_mode {
	STELE_MODE_FALLBACK = 0, /* slots by thread, one trylock each */
	STELE_MODE_CPU_ID = 1,	 /* restartable sequences, slot = cpu_id */
	STELE_MODE_MM_CID = 2,	 /* restartable sequences, slot = mm_cid */
};

struct stele_system {
	int mode;	      /* enum stele_mode */
	unsigned slots;	      /* how many slots can exist */
	size_t page_size;     /* of the system, or as the option page_size pretends */
	size_t arena_bytes;   /* addresses for objects; mapped as they are used */
	int own_registration; /* 1: Stele registers threads for rseq itself */
	const char *why;      /* one sentence about the mode */
};

const struct stele_system *stele_system(void);
extern struct stele_system stele_system_facts __attribute__((visibility("hidden")));

#endif
