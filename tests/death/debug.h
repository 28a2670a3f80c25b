/* SPDX-License-Identifier: MIT */
/*
 * tests/death/debug.h - what a report about the bytes of an object says, line by line
 */
#ifndef STELE_TESTS_DEATH_DEBUG_H
#define STELE_TESTS_DEATH_DEBUG_H

#include "death.h"

#include <stele/debug.h>

#define ALL (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)

/* The next line of what was said, from *at on; NULL: no more. */
static inline char *debug_line(char **at)
{
	char *line = *at, *end = line ? strchr(line, '\n') : NULL;

	if (!end)
		return NULL;
	*end = 0;
	*at = end + 1;
	MUST(strncmp(line, "stele: ", 7) == 0);
	return line + 7;
}

/* The lines up to one that begins like this. Returns that one. */
static inline __attribute__((format(printf, 2, 3))) char *debug_find(char **at, const char *format,
								     ...)
{
	char expected[256], *line;
	va_list ap;

	va_start(ap, format);
	vsnprintf(expected, sizeof(expected), format, ap);
	va_end(ap);
	while ((line = debug_line(at)))
		if (strncmp(line, expected, strlen(expected)) == 0)
			return line;
	fprintf(stderr, "not said: %s\n", expected);
	exit(1);
}

struct damage {
	const char *cache, *what;
	char *from, *to; /* the last byte */
	unsigned found, wanted;
};

/* Ends what said_begin() began: a report of this damage, which ends with the line @last. */
static inline bool said_damage(const struct damage *d, const char *last)
{
	char *at = death_text.text, *line;

	stderr_end(&death_text);
	line = debug_find(&at, "[%s overwritten] %p-%p @offset=", d->what, (void *)d->from,
			  (void *)d->to);
	if (d->wanted) {
		char expected[64];

		snprintf(expected, sizeof(expected), ". First byte 0x%x instead of 0x%x", d->found,
			 d->wanted);
		MUST(strcmp(strchr(strchr(line, '@'), '.'), expected) == 0);
	}
	debug_find(&at, "=====");
	debug_find(&at, "BUG %s (Not tainted): Object corrupt", d->cache);
	debug_find(&at, "-----");
	debug_find(&at, "Slab ");
	debug_find(&at, "Object ");
	debug_find(&at, "FIX %s: Restoring %s %p-%p=0x%x", d->cache, d->what, (void *)d->from,
		   (void *)d->to, d->wanted);
	line = debug_line(&at);
	if (line && strcmp(line, last) == 0 && !debug_line(&at))
		return true;
	fprintf(stderr, "expected: %s\nsaid:     %s\n", last, line ? line : "nothing");
	return false;
}

static inline __attribute__((format(printf, 1, 2))) const char *text_of(const char *format, ...)
{
	static char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return text;
}

/* Writes one byte that the compiler does not know to be outside. */
static inline void poke(void *p, long offset, char value)
{
	*((volatile char *)of_unknown_origin(p) + offset) = value;
}

static inline struct kmem_cache *checked_cache(const char *name, size_t size)
{
	struct kmem_cache *s = kmem_cache_create(name, size, 0, ALL, NULL);

	MUST(s);
	return s;
}

#endif
