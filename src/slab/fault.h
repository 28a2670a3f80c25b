/* SPDX-License-Identifier: MIT */
/*
 * slab/fault.h - a fault of an object: what is damaged, the report of it, the repair (fault.c)
 */
#ifndef STELE_SLAB_FAULT_H
#define STELE_SLAB_FAULT_H

#include "slab/layout.h"
#include "slab/report.h"

/* Bytes that are not what they should be. */
struct damage {
	const char *what; /* "Right Redzone" */
	const char *how;  /* "written behind the end of" */
	uint8_t *from, *to;
	uint8_t found, wanted;
};

#define DAMAGES_MAX 6u

/* Filled in before anything is written. */
struct fault {
	const struct kmem_cache *s;
	const struct run *run;
	void *object; /* NULL: of the slab */
	struct stele_call call;
	const char *outcome; /* "not freed" */
	uint32_t asked;
	unsigned n;
	struct damage damage[DAMAGES_MAX];
};

/* The one that was reported last, for a debugger. */
extern struct fault stele_last_fault __attribute__((visibility("hidden")));

/* The frame of a report about an object: the line "BUG", and all that is known. */
void stele_fault_frame(const struct fault *f, const char *message);
/* All of a fault that has damages: report, or count. True: it was reported. */
bool stele_fault_report(const struct fault *f);
/* "FIX cache: Restoring ..." of each damage, after the repair. @told: as the report was. */
void stele_fault_fixed(const struct fault *f, bool told);
/* The same of another repair, which is told. */
void stele_fault_fix(const struct kmem_cache *s, const char *what, const void *p, const char *how);
/* Counts a fault that has no damages. True: it is to be reported, not only counted. */
bool stele_fault_counts(void);
/* Faults so far. */
uint64_t stele_faults(void);

#endif
