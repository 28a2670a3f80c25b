/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_said.h - TABLE: the messages of a case, and what explains them
 *
 * Idea      A thread that stalls or dies takes with it what was in its hands (docs/any-context.md,
 *           rule 5). That may be a sheaf or a slab of a cache that another thread destroys: a trim,
 *           a shrinking heap and the runner of rounds handle all caches. Then destroying that one
 *           cache says that something remains. Nothing else explains such a message: it must be
 *           about one cache, and the thread must have stalled or died. A thread that jumps or exits does so
 *           where the library lets signals in, and has nothing of others in its hands there.
 * File      The standard error of the case and of its children.
 * Included  by every_pair.c alone.
 */
#ifndef STELE_TESTS_STRESS_EVERY_SAID_H
#define STELE_TESTS_STRESS_EVERY_SAID_H

#include "../leaving.h"
#include "stress.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

struct explained {
	const char *text;  /* a part of the message's line */
	const char *point; /* or NULL: any */
	unsigned ways;	   /* of the thread */
	unsigned most;	   /* so often in a case */
};

#define BY(way) (1u << LEAVING_##way)
#define MANY 1000

static const struct explained explained[] = {
	/* A slab that the thread was about to retire, as at rcu:slab-done. */
	{ "no object remains, but another thread has a slab in its hands", NULL,
	  BY(STALLS) | BY(DIES), 1 },
	/* A sheaf that it was about to take out of a slot, as at steal:finish. */
	{ "BUG lives: Objects remaining on kmem_cache_destroy()", NULL, BY(DIES), 1 },
	{ "stele: Object 0x", NULL, BY(DIES), MANY },
	{ "more objects", NULL, BY(DIES), 1 },
	{ "kmem_cache_destroy lives: Slab cache still has objects", NULL, BY(DIES), 1 },
	/* It stands still in a walk, at a cache that is destroyed. */
	{ "a walk of another thread stays at it", NULL, BY(STALLS), 1 },
	/* It is inside of the flavour of readers, and so was the parent of a child that says this. */
	{ "RCU: this process was forked while a grace period was under way", "runner:syncing",
	  BY(JUMPS) | BY(EXITS) | BY(STALLS) | BY(DIES), MANY },
};
#define EXPLAINED (sizeof(explained) / sizeof(explained[0]))

static int said_file;
static unsigned said_explained; /* cases with messages that were explained */

static void said_open(void)
{
	said_file = memfd_create("said", MFD_CLOEXEC);
	MUST(said_file >= 0 && fcntl(said_file, F_SETFL, O_APPEND) == 0);
}

static void said_begin_case(void)
{
	MUST(ftruncate(said_file, 0) == 0);
}

static bool explains(const struct explained *e, const char *line, const char *point,
		     enum leaving_way way)
{
	return strstr(line, e->text) && e->ways >> way & 1 &&
	       (!e->point || !strcmp(e->point, point));
}

/* Whether the case explains @line, and that it comes once more. */
static bool is_explained(const char *line, const char *point, enum leaving_way way,
			 unsigned times[EXPLAINED])
{
	for (unsigned i = 0; i < EXPLAINED; i++)
		if (explains(&explained[i], line, point, way))
			return times[i]++ < explained[i].most;
	return false;
}

/* False, after it is printed: there was a message that the case does not explain. */
static bool said_what_it_may(const char *point, enum leaving_way way)
{
	static char text[1 << 16];
	unsigned times[EXPLAINED] = { 0 };
	ssize_t n = pread(said_file, text, sizeof(text) - 1, 0);
	char *rest = text, *line;
	bool all = true;

	MUST(n >= 0);
	text[n] = 0;
	while ((line = strsep(&rest, "\n")))
		if (*line && !is_explained(line, point, way, times)) {
			printf("%s: %s\n", all ? "SAID" : "    ", line);
			all = false;
		}
	said_explained += n && all;
	return all;
}

/* Control: a message passes once if the thread explains it, and not if it does not. */
static bool said_can_fail(void)
{
	bool once, other, twice;

	said_open();
	dprintf(said_file, "stele: BUG lives: Objects remaining on kmem_cache_destroy()\n");
	once = said_what_it_may("walk:at", LEAVING_DIES);
	other = said_what_it_may("walk:at", LEAVING_JUMPS);
	dprintf(said_file, "stele: BUG lives: Objects remaining on kmem_cache_destroy()\n");
	twice = said_what_it_may("walk:at", LEAVING_DIES);
	return once && !other && !twice;
}

#endif
