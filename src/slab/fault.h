/* SPDX-License-Identifier: MIT */
/*
 * slab/fault.h - a fault of an object: what is damaged, its report and its repair (fault.c)
 */
#ifndef STELE_SLAB_FAULT_H
#define STELE_SLAB_FAULT_H

#include "slab/layout.h"
#include "slab/report.h"

/* A stretch of bytes that do not hold what they should. */
struct damage {
	const char *what; /* "Right Redzone" */
	const char *how;  /* "written behind the end of" */
	uint8_t *from, *to;
	uint8_t found, wanted;
};

static inline size_t damage_size(const struct damage *d)
{
	return (size_t)(d->to - d->from);
}

#define DAMAGES_MAX 6u

/* Filled in before anything is written. */
struct fault {
	const struct kmem_cache *s;
	const struct run *run;
	void *object; /* NULL: of the slab */
	struct stele_call call;
	const char *outcome; /* "not freed" */
	bool contents;	     /* the object's own bytes may be read */
	uint32_t asked;
	unsigned n;
	struct damage damage[DAMAGES_MAX];
};

/* Whether the record of the object is damaged itself. It is looked at last, and has no byte that it
 * should hold. */
static inline bool fault_is_of_record(const struct fault *f)
{
	return f->n && !f->damage[f->n - 1].wanted;
}

/* The one that was reported last, for a debugger. */
extern struct fault stele_last_fault __attribute__((visibility("hidden")));

/* Objects of a slab that are in use, or rest in sheaves: a look, which may change at once. */
unsigned stele_objects_used(const struct run *run);
/* Writes the line of one damage in a slab or a block. */
void stele_damage_report(const struct run *run, const struct damage *d);
/* Writes the frame of a report: the line "BUG", and all that is known of the object. */
void stele_fault_frame(const struct fault *f, const char *message);
/* Reports or counts a fault that has damages. True: it was reported. */
bool stele_fault_report(const struct fault *f);
/* After the repair: writes a line for each damage and the last line, if the fault was reported. */
void stele_fault_fixed(const struct fault *f, bool told);
/* Writes the line of a repair that restores no bytes. */
void stele_fault_fix(const struct kmem_cache *s, const char *what, const void *p, const char *how);
/* Counts a fault that has no damages. True: the caller reports it. */
bool stele_fault_counts(void);

#endif
